"""A physical node: the host itself, the node image on it, and its end of each network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi

from infra.components.node_image import NodeImageFiles
from infra.declarations import host_inputs, network_inputs
from infra.plan.topology import Host as HostTopology
from infra.plan.topology import Topology
from infra.resources.arguments import ImageNeighbourArgs
from infra.resources.declared import Host, Image, Network, StackIdentity

_TYPE: Final = "azlocal:infra:PhysicalHost"
# azlocal 0.1.0 knew these, of which an instance had one, so its state has the resource without the name.
_UNNAMED_IMAGES: Final = ("plain", "1.34.4")


class PhysicalHost(pulumi.ComponentResource):
    """One host, ready for machines."""

    connection: str
    host: Host
    images: Mapping[str, Image]
    networks: Mapping[str, Network]

    def __init__(
        self,
        host: HostTopology,
        topology: Topology,
        images: Mapping[str, NodeImageFiles],
        owner: StackIdentity,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(_TYPE, host.name, None, opts)
        self.connection = host.connection
        self.host = _declare_host(host, topology, owner, self)
        on_host = pulumi.ResourceOptions(parent=self, depends_on=[self.host])
        self.images = {
            name: self._declare_image(name, files, host, topology, on_host) for name, files in images.items()
        }
        self.networks = {
            network.libvirt_name: Network(
                f"{host.name}-{network.network}", network_inputs(network, host, topology.instance), on_host
            )
            for network in topology.networks
            if network.host == host.name
        }
        self.register_outputs(
            {"machineType": self.host.machine_type, "machineTypeReason": self.host.machine_type_reason}
        )

    def _declare_image(
        self,
        name: str,
        image: NodeImageFiles,
        host: HostTopology,
        topology: Topology,
        opts: pulumi.ResourceOptions,
    ) -> Image:
        return Image(
            f"{host.name}-image" + ("" if name in _UNNAMED_IMAGES else f"-{name}"),
            {
                "instance": topology.instance,
                "connection": host.connection,
                "pool": self.host.pool,
                "machine_type": self.host.machine_type,
                "vm": image.vm,
                "container": image.container,
                "neighbours": [
                    _neighbour(other)
                    for other in topology.hosts
                    if other != host and not other.is_local and not other.is_lost
                ],
            },
            opts,
        )


class LostHost(pulumi.ComponentResource):
    """A host that is gone for good: only what says so, where the whole host was before."""

    connection: str
    host: Host

    def __init__(
        self, host: HostTopology, topology: Topology, owner: StackIdentity, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(_TYPE, host.name, None, opts)
        self.connection = host.connection
        self.host = _declare_host(host, topology, owner, self)
        self.register_outputs({})


def _declare_host(host: HostTopology, topology: Topology, owner: StackIdentity, parent: pulumi.Resource) -> Host:
    return Host(host.name, host_inputs(host, topology, owner.uid), pulumi.ResourceOptions(parent=parent))


def _neighbour(host: HostTopology) -> ImageNeighbourArgs:
    return {
        "name": host.name,
        "connection": host.connection,
        "address": str(host.underlay_address) if host.underlay_address else None,
    }
