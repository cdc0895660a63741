"""Which packages of Debian and Ubuntu a host needs."""

from __future__ import annotations

from typing import Final

from infra.doctor.wanted import WantedInstance

_ALWAYS: Final = (
    "libvirt-daemon-system",
    "qemu-system-x86",
    "qemu-utils",
    "xfsprogs",
    "iproute2",
    "netcat-openbsd",
)
_CONTAINERS: Final = ("libvirt-daemon-driver-lxc",)
_VMS: Final = ("ovmf", "swtpm", "swtpm-tools")
_NAT: Final = ("dnsmasq-base", "iptables")
_MESH: Final = ("nftables",)
_BRIDGES: Final = ("netplan.io",)

ALL: Final = (*_ALWAYS, *_CONTAINERS, *_VMS, *_NAT, *_MESH, *_BRIDGES)


def required(instance: WantedInstance) -> tuple[str, ...]:
    """Return the packages that an instance needs on each of its hosts."""
    modes = {network.mode for host in instance.hosts for network in host.networks}
    return (
        *_ALWAYS,
        *(_CONTAINERS if instance.runs_containers else ()),
        *(_VMS if instance.machine_type != "container" else ()),
        *(_NAT if modes - {"bridge"} else ()),
        *(_MESH if "mesh" in modes else ()),
        *(_BRIDGES if "bridge" in modes else ()),
    )
