"""What follows from how a machine runs: read here, so that nobody compares types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from infra.model.machine import MachineType, RequestedMachineType


@dataclass(frozen=True)
class MachineTraits:
    """What is true of every machine of a type.

    Attributes:
        domain_type: libvirt's name for it (https://libvirt.org/formatdomain.html, `<domain type=…>`).
        installed_by: What makes a host able to run it, for people.
        artifact: The artefact of the node image that its disk is made from.
        restarted_for: The properties whose change takes a restart, by wire name.
        shares_kernel: Whether it runs on its host's kernel and within its limits: it then has no firmware, and
            can't migrate while it runs.
        has_data_volume: Whether a node's local volumes outlast it, on a data volume. A VM's drive for them has not
            been seen to work: until then it gets none, and volumes on its disk keep it from being replaced.
        is_slow: Whether everything in it takes ten times as long.
    """

    domain_type: str
    installed_by: str
    artifact: Literal["vm", "container"] = "vm"
    restarted_for: tuple[str, ...] = ("vcpus", "memoryMiB", "diskGiB")
    shares_kernel: bool = False
    has_data_volume: bool = False
    is_slow: bool = False


TRAITS: Final[Mapping[MachineType, MachineTraits]] = {
    "vm": MachineTraits(
        "kvm", "load kvm_intel or kvm_amd (virtualisation switched on in the firmware), then restart libvirtd"
    ),
    "container": MachineTraits(
        "lxc",
        "install libvirt-daemon-driver-lxc, then restart libvirtd",
        artifact="container",
        restarted_for=("diskGiB",),
        shares_kernel=True,
        has_data_volume=True,
    ),
    "emulated": MachineTraits("qemu", "install qemu-system-x86", is_slow=True),
}


def traits_of(machine_type: MachineType | None) -> MachineTraits:
    """Return the traits of a type, or of what the engine has for one that isn't known yet: then a VM's."""
    return TRAITS.get(machine_type or "vm", TRAITS["vm"])


def candidates(requested: RequestedMachineType) -> tuple[MachineType, ...]:
    """Return the types that machines may turn out to be, the preferred one first."""
    return ("vm", "container") if requested == "auto" else (requested,)


def may_run_containers(requested: RequestedMachineType) -> bool:
    """Return whether machines may be containers."""
    return any(TRAITS[machine_type].shares_kernel for machine_type in candidates(requested))


def may_run_vms(requested: RequestedMachineType) -> bool:
    """Return whether machines may be virtual machines, under KVM or emulated."""
    return not all(TRAITS[machine_type].shares_kernel for machine_type in candidates(requested))
