#!/bin/sh
# Has kubelet start a control plane's API server again, and waits until it has. Run as root on the machine; harmless
# when run again. An annotation in the manifest makes another pod of it, which kubelet starts at once: one whose
# container has ended often it would leave alone for up to five minutes.
set -eu

manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
beside=/etc/kubernetes/.kube-apiserver.yaml # where kubelet sees no half of it
annotation=azlocal.io/restarted-at

containers() {
    ctr --namespace k8s.io containers list --quiet \
        'labels."io.kubernetes.container.name"==kube-apiserver,labels."io.kubernetes.pod.namespace"==kube-system'
}

before=$(containers)
cp --preserve=mode "$manifest" "$beside"
sed -i -e "\#^    $annotation:#d" -e "s#^  annotations:\$#&\n    $annotation: '$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)'#" "$beside"
grep -q "^    $annotation:" "$beside" || { echo "$manifest isn't as kubeadm writes it" >&2; exit 1; }
sync "$beside"
mv "$beside" "$manifest"
sync /etc/kubernetes/manifests

is_new() { # IDS: whether one of them wasn't there before
    for id in $1; do
        case " $(echo "$before" | tr '\n' ' ') " in *" $id "*) ;; *) return 0 ;; esac
    done
    return 1
}

# kubelet ends the old one, which serves on for the five seconds in which its address moves, and then waits for who
# watches it: nobody gains by that.
tries=0
until is_new "$(containers)"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 8 ]; then
        for id in $before; do
            ctr --namespace k8s.io tasks kill --signal SIGKILL "$id" 2>/dev/null || true # it has ended meanwhile
        done
    fi
    if [ "$tries" -gt 300 ]; then
        echo "kubelet started no new API server within five minutes: see journalctl --unit kubelet" >&2
        exit 1
    fi
    sleep 1
done
