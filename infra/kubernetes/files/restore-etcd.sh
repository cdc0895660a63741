#!/bin/sh
# Restores a control plane's etcd from a snapshot, as etcd's "Disaster recovery" says. Run as root on the machine:
#   restore-etcd.sh check                    sees that this machine has the program for it
#   restore-etcd.sh stop                     ends API server, controllers and etcd, and sets etcd's data aside
#   restore-etcd.sh restore SNAPSHOT TOKEN REVISIONS
#                                            makes this machine the only member of a cluster with a snapshot's data,
#                                            whose revisions are raised by so many: clients from before list again
#   restore-etcd.sh join CLUSTER             has this machine's etcd come as one more member: NAME=URL,… of all
#   restore-etcd.sh start                    starts what was stopped
#   restore-etcd.sh back                     starts it with the data that was set aside, where none was restored
# Each may be repeated, also after a power cut: what is begun is seen on the disk. Nothing of etcd's is deleted but
# what was set aside before the last time but one.
set -eu

manifests=/etc/kubernetes/manifests
away=/etc/kubernetes/restore # where kubelet finds no static pods
data=/var/lib/etcd
parts="kube-apiserver kube-controller-manager kube-scheduler etcd"
no_etcdutl=3 # how this ends where the image has none

ctr() { command ctr --namespace k8s.io "$@"; }

containers() { # PART: its static pod's, that run
    running=$(ctr tasks list | awk '$3 == "RUNNING" { print $1 }')
    for id in $(ctr containers list --quiet \
        "labels.\"io.kubernetes.container.name\"==$1,labels.\"io.kubernetes.pod.namespace\"==kube-system"); do
        case " $(echo "$running" | tr '\n' ' ') " in *" $id "*) echo "$id" ;; esac
    done
}

signal() { # SIGNAL PART
    for id in $(containers "$2"); do
        ctr tasks kill --signal "$1" "$id" 2>/dev/null || true # it has ended meanwhile
    done
}

stop() {
    install -d -m 0700 "$away"
    for part in $parts; do
        [ ! -e "$manifests/$part.yaml" ] || mv "$manifests/$part.yaml" "$away/"
    done
    sync "$away"
    tries=0
    # kubelet ends them, too, as soon as it sees that. An API server would wait a minute for those who watch it.
    for part in $parts; do
        while [ -n "$(containers "$part")" ]; do
            tries=$((tries + 1))
            [ "$tries" -le 120 ] || { echo "$part doesn't end: see journalctl --unit kubelet" >&2; exit 1; }
            if [ "$tries" -gt 3 ] && [ "$part" != etcd ]; then signal SIGKILL "$part"; else signal SIGTERM "$part"; fi
            sleep 0.5
        done
    done
    if [ -e "$data/member" ]; then
        find /var/lib -maxdepth 1 -name 'etcd-before-*' | sort | head -n -1 | xargs -r rm -rf --
        mv "$data" "$data-before-$(date -u +%Y%m%dT%H%M%SZ)"
    fi
}

etcd_manifest() {
    if [ -e "$away/etcd.yaml" ]; then echo "$away/etcd.yaml"; else echo "$manifests/etcd.yaml"; fi
}

option() { # NAME: of etcd, as its manifest has it
    sed -n "s/^ *- --$1=//p" "$(etcd_manifest)"
}

find_etcdutl() { # in etcd's image
    image=$(sed -n 's/^ *image: *//p' "$(etcd_manifest)")
    programs=$(mktemp -d)
    trap 'ctr images unmount --rm "$programs" >/dev/null; rmdir "$programs"' EXIT
    ctr images mount "$image" "$programs" >/dev/null
    etcdutl=$programs/usr/local/bin/etcdutl
    [ -x "$etcdutl" ] || exit "$no_etcdutl"
}

check() {
    find_etcdutl
}

restore() { # SNAPSHOT TOKEN REVISIONS
    find_etcdutl
    rm -rf "$data.new"
    name=$(option name) url=$(option initial-advertise-peer-urls)
    # With a token of its own it is another cluster to members of before, which it refuses.
    "$etcdutl" snapshot restore "$1" --data-dir "$data.new" --name "$name" \
        --initial-cluster "$name=$url" --initial-advertise-peer-urls "$url" --initial-cluster-token "$2" \
        --bump-revision "$3" --mark-compacted
    chmod 0700 "$data.new"
    sync --file-system "$data.new"
    rm -rf "$data"
    mv "$data.new" "$data"
}

join() { # CLUSTER
    rm -rf "$data"
    install -d -m 0700 "$data"
    sed -i -e '/^ *- --initial-cluster-state=/d' \
        -e "s#^\( *\)- --initial-cluster=.*#\1- --initial-cluster=$1\n\1- --initial-cluster-state=existing#" \
        "$away/etcd.yaml"
}

start() {
    for part in etcd kube-apiserver kube-controller-manager kube-scheduler; do
        [ ! -e "$away/$part.yaml" ] || mv "$away/$part.yaml" "$manifests/"
    done
    [ ! -d "$away" ] || rmdir "$away"
    sync "$manifests"
}

back() {
    if [ ! -e "$data/member" ]; then
        aside=$(find /var/lib -maxdepth 1 -name 'etcd-before-*' | sort | tail -n 1)
        rm -rf "$data"
        mv "$aside" "$data"
    fi
    start
}

verb=$1
shift
"$verb" "$@"
