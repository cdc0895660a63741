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

# kubelet starts again what has ended. An API server listens no more from its signal on, and waits a minute for who
# watches it: nobody gains by that.
before=$(containers kube-apiserver)
for part in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    end SIGTERM "$(containers "$part")"
done
sleep 5
end SIGKILL "$before"

is_new() { # IDS: whether one of them wasn't there before
    for id in $1; do
        case " $(echo "$before" | tr '\n' ' ') " in *" $id "*) ;; *) return 0 ;; esac
    done
    return 1
}

# Whether kubelet's own certificate, which it renews itself, still holds: without one it would never start again.
may_restart_kubelet() {
    openssl x509 -noout -checkend 60 -in /var/lib/kubelet/pki/kubelet-client-current.pem >/dev/null
}

tries=0
until is_new "$(containers kube-apiserver)"; do
    tries=$((tries + 1))
    # What has ended again and again, as an API server whose certificates have ended, kubelet leaves alone for up to
    # five minutes; restarted, it doesn't know of that.
    if [ "$tries" -eq 10 ] && may_restart_kubelet; then
        systemctl restart kubelet.service
    fi
    if [ "$tries" -gt 600 ]; then
        echo "kubelet started no new API server within ten minutes: see journalctl --unit kubelet" >&2
        exit 1
    fi
    sleep 1
done
