"""Which packages of Debian and Ubuntu a host needs. (This machine's own are in scripts/setup/packages.tsv.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from infra.kvm.preparation.wanted import Wanted

_ALWAYS: Final = {
    "libvirt-daemon-system": "the hypervisor's daemon",
    "qemu-system-x86": "virtual machines, and what libvirt's QEMU driver starts with",
    "qemu-utils": "disk images",
    "xfsprogs": "instant copies of disks",
    "iproute2": "bridges",
    "netcat-openbsd": "libvirt's tunnel through SSH",
    "python3": "copying images and probing addresses",
    "dnsmasq-base": "networks that libvirt makes",
    "iptables": "networks that libvirt makes",
    "nftables": "networks between hosts",
}
_CONTAINERS: Final = {"libvirt-daemon-driver-lxc": "machines as containers"}
_VMS: Final = {
    "ovmf": "UEFI firmware with Secure Boot",
    "swtpm": "virtual TPMs",
    "swtpm-tools": "virtual TPMs",
}
_BRIDGES: Final = {"netplan.io": "bridges and VLANs on the uplink"}


def required(wanted: Wanted) -> Mapping[str, str]:
    """Return the packages a host needs, each with what it is for."""
    return (
        _ALWAYS
        | (_CONTAINERS if wanted.runs_containers else {})
        | (_VMS if wanted.runs_vms else {})
        | (_BRIDGES if wanted.bridges else {})
    )
