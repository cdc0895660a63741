"""Which class a machine type is, asked here alone; and all machines of a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from infra.kvm.connection import HostSession
from infra.kvm.container import Container
from infra.kvm.machine import Machine
from infra.kvm.ownership import Mark
from infra.kvm.vm import EmulatedVm, Vm
from infra.model.machine import MachineType

MACHINES: Final[Mapping[MachineType, type[Machine]]] = {"vm": Vm, "container": Container, "emulated": EmulatedVm}


def owned_machines(host: HostSession, pool: str, mark: Mark, flags: int = 0) -> Iterator[Machine]:
    """Yield every machine of a host that is ours, of whatever type.

    Args:
        host: The host.
        pool: The storage pool that their disks lie in.
        mark: Ours.
        flags: Of virConnectListAllDomains, for some of them only.
    """
    for machine_class in (Vm, Container):
        for domain in machine_class.hypervisor(host).listAllDomains(flags):
            # Read from the handle alone: somebody else's domain may be gone by now.
            if mark.owns("domain", domain.name(), domain.UUIDString()):
                yield machine_class(host, pool, domain.name(), mark, domain)
