#!/usr/bin/env bash
# azlocal export made this; what it says comes from the stack's files. Export again instead of editing.
# Usage: bash azlocal.sh networks | validate | clusters
# networks: makes the logical networks. validate: has Azure check each cluster, and makes nothing.
# clusters: makes the clusters, their pools, and what is installed on them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

networks() {
  az stack-hci-vm network lnet create \
    --subscription 00000000-0000-0000-0000-000000000000 \
    --resource-group azure-local \
    --name aks \
    --location eastus \
    --custom-location /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.ExtendedLocation/customLocations/local \
    --vm-switch-name 'ConvergedSwitch(compute)' \
    --ip-allocation-method Static \
    --address-prefixes 10.197.41.0/24 \
    --gateway 10.197.41.1 \
    --dns-servers 10.197.41.1 \
    --ip-pool-start 10.197.41.20 \
    --ip-pool-end 10.197.41.99 \
    --ip-pool-type vm
}

cluster_0() {
  az aksarc create \
    --subscription 00000000-0000-0000-0000-000000000000 \
    --resource-group azure-local \
    --name local-a \
    --location eastus \
    --custom-location /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.ExtendedLocation/customLocations/local \
    --vnet-ids /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.AzureStackHCI/logicalNetworks/aks \
    --kubernetes-version 1.33.5 \
    --load-balancer-count 0 \
    --control-plane-count 1 \
    --control-plane-vm-size Standard_A4_v2 \
    --pod-cidr 10.244.0.0/16 \
    --generate-ssh-keys \
    --node-count 1 \
    --node-vm-size Standard_A2_v2 \
    --max-pods 110 "$@"
}

above_0() {
  az k8s-runtime load-balancer enable \
    --resource-uri /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.Kubernetes/connectedClusters/local-a
  az k8s-runtime load-balancer create \
    --resource-uri /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.Kubernetes/connectedClusters/local-a \
    --load-balancer-name services \
    --addresses '["10.197.41.100-10.197.41.102"]' \
    --advertise-mode ARP
}

validate() {
  cluster_0 \
    --validate
}

clusters() {
  cluster_0
  above_0
}

case "${1:-}" in
networks | validate | clusters) "$1" ;;
*)
  echo 'usage: bash azlocal.sh networks | validate | clusters' >&2
  exit 2
  ;;
esac
