"""Machines of the topology, on their hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pulumi

from infra.components.physical_host import PhysicalHost
from infra.resources.machine import Machine
from infra.topology import Machine as MachineTopology


@dataclass(frozen=True)
class Site:
    """What every machine of an instance has in common."""

    instance: str
    hosts: Mapping[str, PhysicalHost]
    authorized_keys: tuple[str, ...]


def declare_machines(
    machines: Iterable[MachineTopology], site: Site, parent: pulumi.Resource
) -> dict[str, Machine]:
    """Declare machines by name; each needs its host's image and its network there."""
    return {
        machine.name: _declare(machine, site, site.hosts[machine.host], pulumi.ResourceOptions(parent=parent))
        for machine in machines
    }


def _declare(machine: MachineTopology, site: Site, host: PhysicalHost, opts: pulumi.ResourceOptions) -> Machine:
    return Machine(
        machine.name,
        opts,
        instance=site.instance,
        connection=host.host.connection,
        pool=host.host.pool,
        name=machine.name,
        machine_type=host.host.machine_type,
        image=host.image.volume,
        network=host.networks[machine.libvirt_network].name,
        mac_address=machine.mac_address,
        vcpus=machine.vcpus,
        memory_mib=machine.memory_mib,
        disk_gib=machine.disk_gib,
        secure_boot=host.host.secure_boot,
        tpm=host.host.tpm,
        first_boot={
            "hostname": machine.name,
            "address": machine.address,
            "gateway": machine.gateway,
            "dnsServers": list(machine.dns_servers),
            "authorizedKeys": list(site.authorized_keys),
        },
    )
