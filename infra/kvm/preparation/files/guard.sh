#!/bin/sh
# Changes a host's network on trial: `netplan try` without a terminal. Runs on the host, as root.
#
#   guard.sh try       apply what lies in new/, then say so in `status`
#   guard.sh confirm   keep it: write it to /etc
#   guard.sh rollback  take it back; a timer does, unless somebody was faster
#
# Until it is confirmed, the change lies in /run alone, where it comes before /etc: a host that boots meanwhile has
# its old network. Exactly one of confirm and rollback is carried out: whoever makes the folder `decided`.
#
# Beside this script: new/netplan.yaml, new/port.network (either may be missing: then ours is to go), and
#   names  four lines: our netplan file's name, our networkd file's name, the uplink if its addresses move,
#          the timer's name
#   new-links, stale-links  interfaces, one a line: to be made, not wanted any more
set -eu
cd "$(dirname "$0")"
{ read -r netplan_name; read -r port_name; read -r moving; read -r timer; } <names
etc_netplan=/etc/netplan/$netplan_name
run_netplan=/run/netplan/$netplan_name
etc_port=/etc/systemd/network/06-$port_name
run_port=/run/systemd/network/05-$port_name

say() { echo "$1" >status.new && mv status.new status; }

decide() { mkdir decided 2>/dev/null; }

# Whatever can fail is done before it is decided: on a full disk, or where /etc can't be written, the old network
# has to come back.
ready() {
    if [ -e "$1" ]; then
        mkdir -p "$(dirname "$2")"
        install -m "$3" "$1" "$2.azlocal-new"
        sync "$2.azlocal-new"
    elif [ -e "$2" ]; then
        touch "$2.azlocal-new"
    fi
}

keep() {
    if [ -e "$1" ]; then
        mv "$2.azlocal-new" "$2"
    else
        rm -f "$2" "$2.azlocal-new"
    fi
}

drop_ready() { rm -f "$etc_netplan.azlocal-new" "$etc_port.azlocal-new"; }

delete_links() {
    while read -r link; do
        if [ -e "/sys/class/net/$link" ]; then ip link delete dev "$link" || true; fi
    done <"$1"
}

# What netplan and networkd say is kept for the report. `netplan apply` would also restart and retrigger what has
# nothing to do with us.
load() {
    {
        netplan generate && systemctl start systemd-networkd.service && networkctl reload
    } >>log 2>&1
}

# A link that left a bridge may have failed on the way; it starts over.
settle_uplink() {
    if [ -n "$moving" ]; then networkctl reconfigure "$moving" >>log 2>&1 || true; fi
}

# Reloading takes away what the trial gave, which a restart leaves; a restart makes again what is missing, and tries
# again what has failed.
undo() {
    rm -f "$run_netplan" "$run_port"
    drop_ready || true
    if [ -e kept.network ]; then mv kept.network "$etc_port"; fi
    load || true
    sleep 2 # networkd answers before it is done
    delete_links made-links
    systemctl restart systemd-networkd.service >>log 2>&1 || true
    say rolled-back
}

case $1 in
try)
    while read -r link; do
        if ! [ -e "/sys/class/net/$link" ]; then echo "$link"; fi
    done <new-links >made-links
    mkdir -p /run/netplan /run/systemd/network
    if [ -e new/netplan.yaml ]; then
        install -m 0600 new/netplan.yaml "$run_netplan"
    elif [ -e "$etc_netplan" ]; then
        printf 'network: {version: 2}\n' >"$run_netplan"
        chmod 0600 "$run_netplan"
    fi
    if [ -e new/port.network ]; then
        install -m 0644 new/port.network "$run_port"
    elif [ -e "$etc_port" ]; then
        mv "$etc_port" kept.network
    fi
    if load; then
        delete_links stale-links
        if ! [ -e new/port.network ]; then settle_uplink; fi
        say applied
    elif decide; then
        undo
        say refused
    fi
    ;;
confirm)
    ready new/netplan.yaml "$etc_netplan" 0600
    ready new/port.network "$etc_port" 0644
    if ! decide; then
        drop_ready
        cat status
        exit 3
    fi
    keep new/netplan.yaml "$etc_netplan"
    keep new/port.network "$etc_port"
    rm -f "$run_netplan" "$run_port"
    netplan generate >>log 2>&1 || true # it has taken the same files in /run; a boot generates again
    say confirmed
    systemctl stop "$timer.timer" >>log 2>&1 || true
    ;;
rollback)
    # Nothing is changed before `try` has begun.
    if decide && [ -e made-links ]; then undo; fi
    ;;
esac
