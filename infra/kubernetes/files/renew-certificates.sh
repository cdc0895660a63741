#!/bin/sh
# Renews what kubeadm signed on a control plane, and restarts what has it open. Run as root on the machine:
# renew-certificates.sh CONFIGURATION, where that is kubeadm's ClusterConfiguration. Harmless when run again.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '%s\n' "$1" >"$folder/cluster.yaml"
kubeadm certs renew all --config "$folder/cluster.yaml"
sync --file-system /etc/kubernetes

containers() { # NAME: of a static pod's container
    ctr --namespace k8s.io containers list --quiet \
        "labels.\"io.kubernetes.container.name\"==$1,labels.\"io.kubernetes.pod.namespace\"==kube-system"
}

end() { # SIGNAL IDS: a list of them
    for id in $2; do
        ctr --namespace k8s.io tasks kill --signal "$1" "$id" 2>/dev/null || true # of a former run
    done
}

# kubelet starts anew what has ended. An API server listens no more from its signal on, and waits a minute for who
# watches it: nobody gains by that.
before=$(containers kube-apiserver)
for part in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    end SIGTERM "$(containers "$part")"
done
sleep 5
end SIGKILL "$before"
tries=0
while [ "$(containers kube-apiserver)" = "$before" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 600 ]; then
        echo "kubelet started no new API server within ten minutes: see journalctl --unit kubelet" >&2
        exit 1
    fi
    sleep 1
done
