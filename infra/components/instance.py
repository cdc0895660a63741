"""The Azure Local instance: hosts, resource bridge, clusters."""

from __future__ import annotations

from collections.abc import Iterable

import pulumi

from infra.components.cluster import Cluster
from infra.components.node import Site
from infra.components.node_image import NodeImageFiles
from infra.components.physical_host import PhysicalHost
from infra.components.resource_bridge import ResourceBridge
from infra.resources.machine import Machine
from infra.topology import Topology


class AzureLocalInstance(pulumi.ComponentResource):
    """Everything of one instance, as one tree."""

    hosts: dict[str, PhysicalHost]
    machines: dict[str, Machine]
    clusters: dict[str, Cluster]

    def __init__(self, topology: Topology, image: NodeImageFiles, authorized_keys: Iterable[str]) -> None:
        super().__init__("azlocal:infra:AzureLocalInstance", topology.instance)
        child = pulumi.ResourceOptions(parent=self)
        self.hosts = {host.name: PhysicalHost(host, topology, image, child) for host in topology.hosts}
        site = Site(topology.instance, self.hosts, tuple(authorized_keys), image.bundle)
        bridge = [machine for machine in topology.machines if machine.role == "resourceBridge"]
        self.machines = dict(ResourceBridge(bridge, site, child).machines)
        self.clusters = {}
        for cluster in topology.clusters:
            members = [machine for machine in topology.machines if machine.cluster == cluster.name]
            self.clusters[cluster.name] = Cluster(cluster, members, site, child)
            self.machines |= self.clusters[cluster.name].machines
        self.register_outputs({})
