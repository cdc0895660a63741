"""A physical node: the host itself, the node image on it, and its end of each network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from infra.components.node_image import NodeImageFiles
from infra.host_networks import Tunnel
from infra.resources.host import Host
from infra.resources.image import Image
from infra.resources.network import Network
from infra.topology import Host as HostTopology
from infra.topology import Topology


class PhysicalHost(pulumi.ComponentResource):
    """One host, ready for machines."""

    host: Host
    image: Image
    networks: Mapping[str, Network]

    def __init__(
        self, host: HostTopology, topology: Topology, image: NodeImageFiles, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("azlocal:infra:PhysicalHost", host.name, None, opts)
        self.host = Host(
            host.name,
            pulumi.ResourceOptions(parent=self),
            instance=topology.instance,
            name=host.name,
            connection=host.connection,
            storage_directory=host.storage_directory,
            requested_machine_type=topology.machine_type,
            prepare=host.prepare,
            uplink=host.uplink,
            bridges=[
                {"name": network.bridge, "vlan": network.vlan}
                for network in topology.networks
                if network.host == host.name and network.mode == "bridge"
            ],
        )
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
            neighbours=[_neighbour(other) for other in topology.hosts if other != host and not other.is_local],
        )
        self.networks = {
            network.libvirt_name: Network(
                f"{host.name}-{network.network}",
                on_host,
                instance=topology.instance,
                connection=host.connection,
                name=network.libvirt_name,
                bridge=network.bridge,
                mode=network.mode,
                address_prefix=network.address_prefix if network.holds_gateway else None,
                gateway=network.gateway if network.holds_gateway else None,
                mtu=network.mtu,
                tunnel=_tunnel(network.tunnel) if network.tunnel else None,
            )
            for network in topology.networks
            if network.host == host.name
        }
        self.register_outputs(
            {"machineType": self.host.machine_type, "machineTypeReason": self.host.machine_type_reason}
        )


def _neighbour(host: HostTopology) -> dict[str, Any]:
    return {"name": host.name, "connection": host.connection, "address": host.underlay_address}


def _tunnel(tunnel: Tunnel) -> dict[str, Any]:
    return {"vni": tunnel.vni, "local": tunnel.local, "peers": list(tunnel.peers)}
