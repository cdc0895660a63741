"""A physical node: the host itself, the node image on it, and its end of each network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi

from infra.components.node_image import NodeImageFiles
from infra.declarations import host_inputs, network_inputs
from infra.resources.declared import Host, Image, Network, StackIdentity
from infra.topology import Host as HostTopology
from infra.topology import Topology

_TYPE: Final = "azlocal:infra:PhysicalHost"


class PhysicalHost(pulumi.ComponentResource):
    """One host, ready for machines."""

    connection: str
    host: Host
    image: Image
    networks: Mapping[str, Network]

    def __init__(
        self,
        host: HostTopology,
        topology: Topology,
        image: NodeImageFiles,
        owner: StackIdentity,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(_TYPE, host.name, None, opts)
        self.connection = host.connection
        self.host = _declare_host(host, topology, owner, self)
        on_host = pulumi.ResourceOptions(parent=self, depends_on=[self.host])
        self.image = Image(
            f"{host.name}-image",
            on_host,
            instance=topology.instance,
            connection=host.connection,
            pool=self.host.pool,
            machine_type=self.host.machine_type,
            vm=image.vm,
            container=image.container,
            neighbours=[
                _neighbour(other)
                for other in topology.hosts
                if other != host and not other.is_local and not other.is_lost
            ],
        )
        self.networks = {
            network.libvirt_name: Network(
                f"{host.name}-{network.network}",
                on_host,
                **network_inputs(network, host, topology.instance),
            )
            for network in topology.networks
            if network.host == host.name
        }
        self.register_outputs(
            {"machineType": self.host.machine_type, "machineTypeReason": self.host.machine_type_reason}
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
    return Host(host.name, pulumi.ResourceOptions(parent=parent), **host_inputs(host, topology, owner.uid))


def _neighbour(host: HostTopology) -> dict[str, Any]:
    return {"name": host.name, "connection": host.connection, "address": host.underlay_address}
