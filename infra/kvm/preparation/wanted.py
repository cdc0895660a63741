"""What an instance wants of one host, and the names of what is made there for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from infra.kvm.ownership import Mark
from infra.model.host import Bridge

NETPLAN_FOLDER: Final = "/etc/netplan"
NETWORKD_FOLDER: Final = "/etc/systemd/network"


@dataclass(frozen=True)
class Wanted:
    """What one host is to have.

    Attributes:
        instance: The Azure Local instance.
        mark: Who owns what is made.
        uplink: The interface that carries the bridges; None where there are none.
        bridges: Those that have to stand, one for each VLAN.
        runs_containers: Whether machines may be containers.
        runs_vms: Whether machines may be virtual machines.
    """

    instance: str
    mark: Mark
    uplink: str | None = None
    bridges: tuple[Bridge, ...] = ()
    runs_containers: bool = True
    runs_vms: bool = True

    @property
    def mark_line(self) -> str:
        """Return the line by which a file is known as this owner's."""
        return f"# azlocal mark: {self.mark.uuid('netplan', self.instance)}"

    @property
    def netplan_name(self) -> str:
        """Return the name of our netplan file; it sorts behind those of installers and cloud-init."""
        return f"90-azlocal-{self.instance}.yaml"

    @property
    def netplan_path(self) -> str:
        """Return where our netplan file lies."""
        return f"{NETPLAN_FOLDER}/{self.netplan_name}"

    @property
    def port_name(self) -> str:
        """Return what the names of our networkd files for the uplink end in (netplan.py says why there is one)."""
        return f"azlocal-{self.instance}.network"

    @property
    def port_path(self) -> str:
        """Return where our networkd file for the uplink lies; it sorts before netplan's own (10-netplan-…)."""
        return f"{NETWORKD_FOLDER}/06-{self.port_name}"
