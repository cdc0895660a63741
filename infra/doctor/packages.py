"""Which packages of Debian and Ubuntu a host needs: those that its preparation installs."""

from __future__ import annotations

from typing import Final

from infra.doctor.wanted import WantedHost, WantedInstance
from infra.kvm.ownership import Mark
from infra.kvm.preparation.packages import required
from infra.kvm.preparation.wanted import Wanted
from infra.model.host import Bridge

_ANY: Final = Wanted("", Mark("", "", ""), "uplink", (Bridge(name="bridge", vlan=0),))

ALL: Final = tuple(required(_ANY))
"""Those that any instance needs."""


def required_packages(host: WantedHost, instance: WantedInstance) -> list[str]:
    """Return those that an instance needs on one of its hosts."""
    return list(required(wanted_of_host(host, instance)))


def wanted_of_host(host: WantedHost, instance: WantedInstance) -> Wanted:
    """Return what the preparation of a host is told."""
    bridges = {
        network.bridge: Bridge(name=network.bridge, vlan=network.vlan)
        for network in host.networks
        if network.mode == "bridge"
    }
    return Wanted(
        instance=instance.name,
        mark=Mark(instance.name, instance.name, ""),
        uplink=host.uplink,
        bridges=tuple(bridges.values()),
        runs_containers=instance.runs_containers,
        runs_vms=instance.runs_vms,
    )
