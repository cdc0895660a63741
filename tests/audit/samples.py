"""A host with an instance on it, object by object, and strangers beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from infra.audit.model import Definition, Inventory, Item, Object, Observed, Scope
from infra.audit.view import inventory_of
from infra.kvm.meshes import device_of, gateway_table_of
from infra.kvm.ownership import Mark, ObjectKind

INSTANCE: Final = "lab"
MARK: Final = Mark(INSTANCE, INSTANCE, "")
STORE: Final = "/var/lib/azlocal/lab"
MACHINE: Final = "lab-a-cp-0"
NETWORK: Final = "lab-aks"
BRIDGE: Final = "azl-lab-aks"

GONE: Final = Scope(
    INSTANCE,
    INSTANCE,
    "node1",
    "qemu:///system",
    STORE,
    machine_names=frozenset({MACHINE}),
    network_bridges={NETWORK: BRIDGE},
)
"""Nothing of the instance is to stand there."""
STANDS: Final = replace(GONE, stands=True, machines=frozenset({MACHINE}), networks={NETWORK: BRIDGE})


def uuid(kind: ObjectKind, name: str, instance: str = INSTANCE) -> str:
    return Mark(instance, instance, "").uuid(kind, name)


HOST: Final = (
    Object("link", "eth0"),
    Object("network", "default"),
    Object("file", "/etc"),
    Object("file", "/var/lib/azlocal"),
    Object("process", "systemd", "1 /sbin/init"),
    Object("mount", "/", "/dev/vda"),
    Object("package", "bash"),
    Object("nftables", "inet firewalld"),
)
"""What the host has in any case."""

OF_MACHINE: Final = (
    Object("domain", MACHINE, uuid("domain", MACHINE)),
    Object("volume", f"{STORE}/volumes/{MACHINE}.qcow2"),
    Object("seed", f"{STORE}/volumes/{MACHINE}-seed.iso"),
    Object("seed", f"{STORE}/seeds/{MACHINE}/user-data"),
    Object("nvram", f"/var/lib/libvirt/qemu/nvram/{MACHINE}_VARS.fd"),
    Object("tpm", f"/var/lib/libvirt/swtpm/{uuid('domain', MACHINE)}"),
    Object("file", f"/etc/libvirt/qemu/{MACHINE}.xml"),
    Object("loop", f"/dev/loop3 of {STORE}/volumes/{MACHINE}.raw", f"{STORE}/volumes/{MACHINE}.raw"),
    Object("process", "qemu-system-x86", f"71 qemu-system-x86_64 -name guest={MACHINE},debug-threads=on"),
    Object("process", "swtpm", f"72 swtpm socket --tpmstate dir=/var/lib/libvirt/swtpm/{uuid('domain', MACHINE)}"),
    Object("group", f"/sys/fs/cgroup/cpu/machine/qemu-1-{MACHINE}.libvirt-qemu", f"qemu-1-{MACHINE}.libvirt-qemu"),
    Object(
        "group",
        f"/sys/fs/cgroup/unified/azlocal-{uuid('domain', MACHINE)}",
        f"azlocal-{uuid('domain', MACHINE)}",
    ),
)
OF_NETWORK: Final = (
    Object("network", NETWORK),
    Object("link", BRIDGE),
    Object("link", "vnet7", BRIDGE),
    Object("link", device_of(MARK, NETWORK), BRIDGE),
    Object("forwarding", f"192.0.2.12 dev {device_of(MARK, NETWORK)}", device_of(MARK, NETWORK)),
    Object("route", f"192.0.2.128/25 dev {BRIDGE}", BRIDGE),
    Object("nftables", f"ip {gateway_table_of(MARK, NETWORK)}"),
    Object("hook", f"/etc/libvirt/hooks/network.d/azlocal-{uuid('network', NETWORK)}"),
    Object("dnsmasq", f"/var/lib/libvirt/dnsmasq/{NETWORK}.conf"),
    Object("dnsmasq", f"/var/lib/libvirt/dnsmasq/{BRIDGE}.macs"),
    Object("file", f"/run/systemd/network/10-netplan-{BRIDGE}.netdev"),
    Object("process", "dnsmasq", f"73 dnsmasq --conf-file=/var/lib/libvirt/dnsmasq/{NETWORK}.conf"),
)
OF_INSTANCE: Final = (
    Object("pool", "azlocal-lab"),
    Object("file", STORE),
    Object("file", f"{STORE}.owner"),
    Object("file", f"{STORE}.inventory"),
    Object("file", f"{STORE}.xfs"),
    Object("file", f"{STORE}/volumes"),
    Object("image", f"{STORE}/volumes/image-0123456789ab.raw"),
    Object("backup", f"{STORE}/backups/lab-a-20261130T081500Z.db"),
    Object("mount", STORE, "/dev/loop0"),
    Object("loop", f"/dev/loop0 of {STORE}.xfs", f"{STORE}.xfs"),
    Object("netplan", "/etc/netplan/90-azlocal-lab.yaml"),
    Object("unit", "/etc/systemd/network/06-azlocal-lab.network"),
    Object("unit", "/etc/systemd/system/var-lib-azlocal-lab.mount"),
    Object("unit", "/etc/systemd/system/azlocal-emulator-lab.service"),
    Object("unit", "/etc/systemd/system/azlocal-snapshots-lab-a.timer"),
    Object("process", "python", "74 python -m infra.emulator /root/.local/state/azlocal/emulator/lab"),
)
OURS: Final = (*OF_MACHINE, *OF_NETWORK, *OF_INSTANCE)

OTHER: Final = "lab-b"
"""Another instance, whose name begins like ours."""
OF_OTHER: Final = (
    Object("pool", f"azlocal-{OTHER}"),
    Object("domain", f"{OTHER}-rb-0", uuid("domain", f"{OTHER}-rb-0", OTHER)),
    Object("network", f"{OTHER}-aks"),
    Object("unit", f"/etc/systemd/system/azlocal-snapshots-{OTHER}-a.timer"),
    Object("link", "azl-lab-b-aks"),
    Object("link", "vnet8", "azl-lab-b-aks"),
    Object("route", "198.51.100.0/24 dev azl-lab-b-aks", "azl-lab-b-aks"),
    Object("nvram", f"/var/lib/libvirt/qemu/nvram/{OTHER}-rb-0_VARS.fd"),
    Object("file", f"/etc/libvirt/qemu/{OTHER}-rb-0.xml"),
    Object("file", f"/var/lib/azlocal/{OTHER}"),
    Object("file", f"/var/lib/azlocal/{OTHER}.owner"),
    Object("mount", f"/var/lib/azlocal/{OTHER}", "/dev/loop8"),
    Object("process", "qemu-system-x86", f"81 qemu-system-x86_64 -name guest={OTHER}-rb-0,debug-threads=on"),
    Object("group", "/x", f"qemu-2-{OTHER}-rb-0.libvirt-qemu"),
    Object("group", "/y", f"azlocal-{uuid('domain', f'{OTHER}-rb-0', OTHER)}"),
    Object("dnsmasq", "/var/lib/libvirt/dnsmasq/azl-lab-b-aks.macs"),
    Object("netplan", f"/etc/netplan/90-azlocal-{OTHER}.yaml"),
)


def observed(*objects: Object, **changes: object) -> Observed:
    """Return a host with its own objects and these."""
    there = {*HOST, *objects}
    definitions = [
        Definition("domain", thing.name, thing.evidence, OTHER if thing.name.startswith(OTHER) else "")
        for thing in there
        if thing.kind == "domain"
    ]
    if Object("network", f"{OTHER}-aks") in there:
        other = uuid("network", f"{OTHER}-aks", OTHER)
        definitions.append(Definition("network", f"{OTHER}-aks", other, bridge="azl-lab-b-aks"))
    uuids = {
        *(uuid("network", thing.name) for thing in there if thing in OF_NETWORK and thing.kind == "network"),
        *(uuid("pool", thing.name) for thing in there if thing in OF_INSTANCE and thing.kind == "pool"),
    }
    view = Observed(tuple(sorted(there)), tuple(definitions), frozenset(uuids))
    return replace(view, **changes)  # type: ignore[arg-type]


BEFORE: Final[Inventory] = inventory_of(observed(), "2026-11-30 08:00 UTC")


def items(*objects: Object, scope: Scope = GONE, strict: bool = False, **changes: object) -> list[Item]:
    """Return what an audit says of a host with these objects."""
    from infra.audit.judge import judge

    return list(judge(scope, observed(*objects, **changes), strict=strict).items)
