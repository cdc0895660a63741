#!/usr/bin/env bash
# The yardstick of `make bench`: what a careful engineer would write for one cluster of two nodes and a resource
# bridge, on the same node image, seeds and charts. It knows nothing of azlocal and cleans nothing up.
#
# In FOLDER: network-*.xml, NAME.xml and seeds/NAME/ of each machine, values/CHART.yaml, kubeconfig, pool.yaml (the
# pods' network), addresses.yaml (MetalLB's pool).
set -euo pipefail
folder=$1 image=$2 bundle=$3
cd "$folder"
export KUBECONFIG=$folder/kubeconfig PATH=$bundle/binaries:$PATH
lxc() { virsh --quiet --connect lxc:///system "$@"; }

truncate --size 100G store.xfs
mkfs.xfs -q -m reflink=1 store.xfs
mkdir store
mount -o loop store.xfs store
for network in network-*.xml; do
  virsh --quiet --connect qemu:///system net-create "$network"
done
cp --sparse=always "$image" store/image

start() {
  cp --reflink=always store/image "store/$1.raw"
  lxc define "$1.xml"
  # libvirt_lxc gives up when another took its loop device.
  until lxc start "$1"; do sleep 0.2; done
}
for machine in seeds/*; do
  start "${machine#seeds/}" &
done
wait

until kubectl get nodes >/dev/null 2>&1; do sleep 0.5; done
install() { helm install "$1" "$bundle/charts/$1" --namespace "$2" --create-namespace --values "values/$1.yaml" "${@:3}"; }
install calico kube-system --skip-crds &
install metallb metallb-system &
install local-path-provisioner local-path-storage &
wait
until kubectl apply -f pool.yaml 2>/dev/null; do sleep 0.5; done

until [[ $(kubectl get nodes --no-headers 2>/dev/null | grep -cw Ready) == "$(find . -name '*-node.xml' | wc -l)" ]]; do
  sleep 1
done
until kubectl wait pods --all --all-namespaces --for condition=Ready --timeout 300s >/dev/null; do sleep 1; done
until kubectl apply -f addresses.yaml 2>/dev/null; do sleep 1; done
