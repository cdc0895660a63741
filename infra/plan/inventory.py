"""The machines of an instance, and what everything with an address is called: the only list of them. Pure.

Names are short ones of the plan, `a-cp-0`; infra.spec.machine_names says what a machine is called on its host.

Sources (azure_local_facts.md): §5.3 what the platform takes (the resource bridge twice and one node more a cluster
in an upgrade), §5.5 AVSET for the availability sets.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from infra.model.machine import MachineRole
from infra.spec.findings import KeyPath
from infra.spec.loader import InstanceSpec
from infra.spec.stack import AgentPool, ClusterSpec
from infra.spec.vm_sizes import VmSize

BRIDGE = "rb"
"""The resource bridge: its availability set, and the owner of its VRRP id."""
BRIDGE_MACHINE = "rb-0"
BRIDGE_SPARE = "rb-spare"
BRIDGE_ENDPOINT = "rb-vip"

OF_A_CLUSTER = re.compile(r"vip|spare|[a-z0-9]+-[0-9]+")
"""What follows a cluster's name in the names of what belongs to it."""
CONTROL_PLANE = re.compile(r"[a-z0-9-]+-cp-[0-9]+")
"""The names of control planes."""

Held = Literal["bridgeUpgrade", "clusterUpgrade", "autoscaling"]
"""Why room and an address are only held for a machine."""

# A count far beyond every limit breaks a rule anyway; nobody need plan a billion nodes to say so.
_MOST_LISTED = 100
# Nodes that autoscaling adds stay, so they come before what only an upgrade adds.
_ORDER: tuple[Held | None, ...] = (None, "autoscaling", "bridgeUpgrade", "clusterUpgrade")


def endpoint_name(cluster: str) -> str:
    """Return what the address of a cluster's API server is called."""
    return f"{cluster}-vip"


def spare_name(cluster: str) -> str:
    """Return what the node is called that joins in an upgrade before an old one leaves."""
    return f"{cluster}-spare"


def services_name(cluster: str) -> str:
    """Return what a cluster's service addresses are called together; each has its number behind it."""
    return f"{cluster}-lb"


@dataclass(frozen=True, slots=True)
class PlannedMachine:
    """A machine, or one that room is held for.

    Attributes:
        owner: Its name in the plan, e.g. `a-cp-0`.
        availability_set: The set it spreads with: a cluster's control plane (`a-cp`), or a pool (`a-nodepool1`).
        role: What it is.
        cluster: Its cluster, if any.
        size: Its VM size; one that isn't known takes no room, and another rule says so.
        path: Where what asks for it stands in the stack file: the resource bridge, a control plane, a pool.
        number: In its availability set.
        network: The logical network of its cluster; None for the infrastructure network.
        pool: Its agent pool, if any.
        held: Why room is only held for it; None for a machine that is there.
    """

    owner: str
    availability_set: str
    role: MachineRole
    cluster: str | None
    size: VmSize
    path: KeyPath
    number: int = 0
    network: str | None = None
    pool: AgentPool | None = None
    held: Held | None = None

    @property
    def size_path(self) -> KeyPath:
        """Return where its size stands in the stack file."""
        return (*self.path, "vmSize")

    @property
    def memory_mib(self) -> int:
        """Return the memory it takes."""
        return self.size.memory_mib

    @property
    def disk_gib(self) -> int:
        """Return what its disk can grow to."""
        return self.size.disk_gib


@dataclass(frozen=True, slots=True)
class PlannedCluster:
    """A cluster and its machines.

    Attributes:
        spec: What people wrote.
        path: Where it stands in the stack file.
        nodes: Its control planes, then its pools' workers by the pools' names, held ones too.
        spare: The node that joins in an upgrade before an old one leaves.
    """

    spec: ClusterSpec
    path: KeyPath
    nodes: tuple[PlannedMachine, ...]
    spare: PlannedMachine


@dataclass(frozen=True, slots=True)
class Inventory:
    """All machines of an instance, in an order that doesn't depend on the files' order.

    Attributes:
        bridge: The resource bridge's machine.
        bridge_spare: Its next one, which runs beside it in an upgrade.
        clusters: The clusters by name.
    """

    bridge: PlannedMachine
    bridge_spare: PlannedMachine
    clusters: tuple[PlannedCluster, ...]

    @property
    def machines(self) -> list[PlannedMachine]:
        """Return the machines that are there."""
        return [machine for machine in self.everything if machine.held is None]

    @property
    def everything(self) -> list[PlannedMachine]:
        """Return the machines that are there, then those that room is held for."""
        of_clusters = (planned for cluster in self.clusters for planned in (*cluster.nodes, cluster.spare))
        listed = [self.bridge, *of_clusters, self.bridge_spare]
        first: dict[str, PlannedMachine] = {}
        for machine in listed:  # two of one name are another rule's business
            first.setdefault(machine.owner, machine)
        return sorted(first.values(), key=lambda planned: _ORDER.index(planned.held))


def build_inventory(spec: InstanceSpec) -> Inventory:
    """Return the machines of an instance."""
    sizes = spec.vm_sizes()
    size = _size(sizes, spec.stack.resource_bridge.vm_size)
    clusters = sorted(enumerate(spec.stack.clusters), key=lambda pair: pair[1].name)

    def of_bridge(owner: str, held: Held | None = None) -> PlannedMachine:
        return PlannedMachine(owner, BRIDGE, "resourceBridge", None, size, ("resourceBridge",), held=held)

    return Inventory(
        of_bridge(BRIDGE_MACHINE),
        of_bridge(BRIDGE_SPARE, "bridgeUpgrade"),
        tuple(_cluster(cluster, ("clusters", index), sizes) for index, cluster in clusters),
    )


def _cluster(cluster: ClusterSpec, path: KeyPath, sizes: Mapping[str, VmSize]) -> PlannedCluster:
    plane, name = cluster.control_plane, cluster.name
    first = PlannedMachine(
        "",
        f"{name}-cp",
        "controlPlane",
        name,
        _size(sizes, plane.vm_size),
        (*path, "controlPlane"),
        network=cluster.logical_network,
    )
    groups = [(first, plane.count, plane.count)]
    for index, pool in sorted(enumerate(cluster.agent_pools), key=lambda pair: pair[1].name):
        worker = replace(
            first,
            availability_set=f"{name}-{pool.name}",
            role="worker",
            size=_size(sizes, pool.vm_size),
            path=(*path, "agentPools", index),
            pool=pool,
        )
        groups.append((worker, pool.count, pool.planned_nodes))
    nodes = tuple(
        replace(
            like,
            owner=f"{like.availability_set}-{number}",
            number=number,
            held=None if number < count else "autoscaling",
        )
        for like, count, planned in groups
        for number in range(min(planned, _MOST_LISTED))
    )
    # The spare takes the place of any node, so it has to fit as the largest.
    largest = max((like for like, _, _ in groups), key=lambda machine: machine.memory_mib)
    return PlannedCluster(cluster, path, nodes, replace(largest, owner=spare_name(name), held="clusterUpgrade"))


def _size(sizes: Mapping[str, VmSize], name: str) -> VmSize:
    return sizes.get(name) or VmSize(name, 0, 0, 0)
