"""The Azure Local instance: hosts, resource bridge, clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

from infra.components.address_probe import declare_probes
from infra.components.arc import declare_azure
from infra.components.cluster import Cluster
from infra.components.node import Site
from infra.components.node_image import NodeImageFiles
from infra.components.physical_host import LostHost, PhysicalHost
from infra.components.resource_bridge import ResourceBridge
from infra.plan.address_probes import Probe
from infra.plan.topology import Topology
from infra.resources.declared import Machine, StackIdentity


@dataclass(frozen=True)
class LoginKeys:
    """Who may log in to the machines.

    Attributes:
        public: OpenSSH public keys.
        identity_files: Paths here of private keys that belong to them, as far as they are known.
    """

    public: tuple[str, ...]
    identity_files: tuple[str, ...]


class AzureLocalInstance(pulumi.ComponentResource):
    """Everything of one instance, as one tree."""

    hosts: dict[str, PhysicalHost]
    machines: dict[str, Machine]
    clusters: dict[str, Cluster]

    def __init__(
        self,
        topology: Topology,
        probes: Iterable[Probe],
        images: Mapping[str, NodeImageFiles],
        keys: LoginKeys,
        directory: Path,
    ) -> None:
        """Declare the instance.

        Args:
            topology: Everything decided.
            probes: What is asked of the networks before machines are made.
            images: What machines boot, by `Machine.image` of the topology.
            keys: Who may log in to them.
            directory: The project's folder, which paths in its files are relative to.
        """
        super().__init__("azlocal:infra:AzureLocalInstance", topology.instance)
        child = pulumi.ResourceOptions(parent=self)
        identity = StackIdentity(
            topology.instance,
            {"instance": topology.instance},
            child,
        )
        standing = [host for host in topology.hosts if not host.is_lost]
        self.hosts = {host.name: PhysicalHost(host, topology, images, identity, child) for host in standing}
        lost = [LostHost(host, topology, identity, child) for host in topology.hosts if host.is_lost]
        azure = None
        if topology.arc is not None and any(cluster.arc for cluster in topology.clusters):
            azure = declare_azure(topology.arc, topology.instance, directory, self)
        probed = declare_probes(probes, topology.instance, self.hosts, self)
        site = Site(
            instance=topology.instance,
            hosts=self.hosts,
            lost_hosts=tuple(lost),
            live_hosts=tuple(host.connection for host in topology.hosts if host.drains_live),
            authorized_keys=keys.public,
            identity_files=keys.identity_files,
            images=images,
            probes=probed,
            azure=azure,
        )
        bridge = [machine for machine in topology.machines if machine.role == "resourceBridge"]
        self.machines = dict(ResourceBridge(bridge, site, child).machines)
        self.clusters = {}
        for cluster in topology.clusters:
            members = [machine for machine in topology.machines if machine.cluster == cluster.name]
            self.clusters[cluster.name] = Cluster(cluster, members, site, child)
            self.machines |= self.clusters[cluster.name].machines
        self.register_outputs({})
