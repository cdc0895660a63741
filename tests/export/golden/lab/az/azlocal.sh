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
    --custom-location /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.ExtendedLocation/customLocations/lab \
    --vm-switch-name 'ConvergedSwitch(compute_management)' \
    --ip-allocation-method Static \
    --address-prefixes 10.220.32.0/24 \
    --gateway 10.220.32.1 \
    --dns-servers 10.220.32.5 \
    --ip-pool-start 10.220.32.18 \
    --ip-pool-end 10.220.32.37 \
    --ip-pool-type vm \
    --vlan 110
}

cluster_0() {
  az aksarc create \
    --subscription 00000000-0000-0000-0000-000000000000 \
    --resource-group azure-local \
    --name lab-a \
    --location eastus \
    --custom-location /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.ExtendedLocation/customLocations/lab \
    --vnet-ids /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.AzureStackHCI/logicalNetworks/aks \
    --kubernetes-version 1.33.5 \
    --load-balancer-count 0 \
    --control-plane-count 3 \
    --control-plane-vm-size Standard_A4_v2 \
    --pod-cidr 10.244.0.0/16 \
    --ssh-key-value ./cluster-a.pub \
    --node-count 5 \
    --node-vm-size Standard_A4_v2 \
    --max-pods 110 \
    --aad-admin-group-object-ids 00000000-0000-0000-0000-000000000001 "$@"
}

above_0() {
  az k8s-runtime load-balancer enable \
    --resource-uri /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.Kubernetes/connectedClusters/lab-a
  az k8s-runtime load-balancer create \
    --resource-uri /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.Kubernetes/connectedClusters/lab-a \
    --load-balancer-name services \
    --addresses '["10.220.32.47-10.220.32.49"]' \
    --advertise-mode ARP
}

cluster_1() {
  az aksarc create \
    --subscription 00000000-0000-0000-0000-000000000000 \
    --resource-group azure-local \
    --name lab-b \
    --location eastus \
    --custom-location /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.ExtendedLocation/customLocations/lab \
    --vnet-ids /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.AzureStackHCI/logicalNetworks/aks \
    --kubernetes-version 1.33.5 \
    --load-balancer-count 0 \
    --control-plane-count 1 \
    --control-plane-vm-size Standard_A4_v2 \
    --pod-cidr 10.244.0.0/16 \
    --ssh-key-value ./cluster-b.pub \
    --node-count 3 \
    --node-vm-size Standard_A4_v2 \
    --max-pods 110 \
    --aad-admin-group-object-ids 00000000-0000-0000-0000-000000000001 "$@"
}

above_1() {
  :
}

validate() {
  cluster_0 \
    --validate
  cluster_1 \
    --validate
}

clusters() {
  cluster_0
  above_0
  cluster_1
  above_1
}

case "${1:-}" in
networks | validate | clusters) "$1" ;;
*)
  echo 'usage: bash azlocal.sh networks | validate | clusters' >&2
  exit 2
  ;;
esac
