"""Probes of planned addresses, which machines wait for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pulumi

from infra.components.physical_host import PhysicalHost
from infra.plan.address_probes import Probe
from infra.resources.declared import AddressProbe


def declare_probes(
    probes: Iterable[Probe], instance: str, hosts: Mapping[str, PhysicalHost], parent: pulumi.Resource
) -> dict[str, AddressProbe]:
    """Declare probes by the libvirt name of their network; each needs the network on its host.

    Args:
        probes: The probes.
        instance: The instance.
        hosts: The hosts by name.
        parent: The component they belong to.
    """
    return {
        probe.network.libvirt_name: AddressProbe(
            f"{probe.network.libvirt_name}-addresses",
            {
                "instance": instance,
                "connection": hosts[probe.network.host].host.connection,
                "network": hosts[probe.network.host].networks[probe.network.libvirt_name].name,
                "bridge": probe.network.bridge,
                "addresses": probe.addresses,
                "own_macs": list(probe.own_macs),
            },
            pulumi.ResourceOptions(parent=parent),
        )
        for probe in probes
    }
