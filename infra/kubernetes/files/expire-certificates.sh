#!/bin/sh
# Has a control plane serve certificates that have ended: signs all of kubeadm's again, and ends what has the old ones
# open, which kubelet starts again. Run as root on the machine, by a drill: expire-certificates.sh CONFIGURATION, where
# that is kubeadm's ClusterConfiguration with a certificateValidityPeriod below five minutes, from which kubeadm counts.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '%s\n' "$1" >"$folder/cluster.yaml"
kubeadm certs renew all --config "$folder/cluster.yaml"
sync --file-system /etc/kubernetes
pkill -x 'etcd|kube-apiserver|kube-controller|kube-scheduler' || true # of which some may be starting
