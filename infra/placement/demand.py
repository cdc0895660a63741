"""What has to find room on the hosts: every machine, and what an upgrade or autoscaling may add to them.

Sources (azure_local_facts.md): §5.3 what the platform takes (the resource bridge twice and one node more a cluster
in an upgrade), §5.4 what a capacity check counts, §5.5 AVSET for the availability sets.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from infra.spec.findings import KeyPath
from infra.spec.loader import InstanceSpec
from infra.spec.stack import AgentPool, ClusterSpec
from infra.spec.vm_sizes import VmSize

MachineRole = Literal["resourceBridge", "controlPlane", "worker"]
Held = Literal["bridgeUpgrade", "clusterUpgrade", "autoscaling"]

BRIDGE_SET = "rb"

# A count far beyond every limit breaks a rule anyway; nobody need place a billion nodes to say so.
_MOST_LISTED = 100
# Nodes that autoscaling adds stay, so they come before what only an upgrade adds.
_ORDER: tuple[Held | None, ...] = (None, "autoscaling", "bridgeUpgrade", "clusterUpgrade")


@dataclass(frozen=True, slots=True)
class Demand:
    """A machine and the room it needs.

    Attributes:
        owner: Its name in the plan, e.g. `a-cp-0`.
        availability_set: The set it spreads with: a cluster's control plane (`a-cp`), or a pool (`a-nodepool1`).
        role: What it is.
        cluster: Its cluster, if any.
        size: Its VM size; one that isn't known takes no room, and another rule says so.
        path: Where its size stands in the stack file.
        held: Why room is only held for it; None for a machine that is there.
    """

    owner: str
    availability_set: str
    role: MachineRole
    cluster: str | None
    size: VmSize
    path: KeyPath
    held: Held | None = None

    @property
    def memory_mib(self) -> int:
        """Return the memory it takes."""
        return self.size.memory_mib

    @property
    def disk_gib(self) -> int:
        """Return what its disk can grow to."""
        return self.size.disk_gib


def build_demands(spec: InstanceSpec) -> list[Demand]:
    """Return every machine, then all that is held, in an order that doesn't depend on the files' order."""
    sizes = spec.vm_sizes()
    name = spec.stack.resource_bridge.vm_size
    path: KeyPath = ("resourceBridge", "vmSize")
    bridge = Demand("rb-0", BRIDGE_SET, "resourceBridge", None, _size(sizes, name), path)
    found = [bridge]
    for index, cluster in sorted(enumerate(spec.stack.clusters), key=lambda pair: pair[1].name):
        found += _cluster_demands(cluster, ("clusters", index), sizes)
    found.append(Demand("rb-spare", BRIDGE_SET, "resourceBridge", None, bridge.size, path, "bridgeUpgrade"))
    first: dict[str, Demand] = {}
    for one in found:  # two of one name are another rule's business
        first.setdefault(one.owner, one)
    return sorted(first.values(), key=lambda one: _ORDER.index(one.held))


def _cluster_demands(cluster: ClusterSpec, path: KeyPath, sizes: Mapping[str, VmSize]) -> Iterator[Demand]:
    plane = cluster.control_plane
    where = (*path, "controlPlane", "vmSize")
    size, group = _size(sizes, plane.vm_size), f"{cluster.name}-cp"
    largest = Demand(f"{cluster.name}-spare", group, "controlPlane", cluster.name, size, where, "clusterUpgrade")
    for number in range(min(plane.count, _MOST_LISTED)):
        yield Demand(f"{group}-{number}", group, "controlPlane", cluster.name, size, where)
    for index, pool in sorted(enumerate(cluster.agent_pools), key=lambda pair: pair[1].name):
        where = (*path, "agentPools", index, "vmSize")
        size, group = _size(sizes, pool.vm_size), f"{cluster.name}-{pool.name}"
        yield from _pool_demands(cluster, pool, Demand("", group, "worker", cluster.name, size, where))
        if size.memory_mib > largest.memory_mib:
            largest = Demand(
                largest.owner, group, "worker", cluster.name, size, where, "clusterUpgrade"
            )  # it takes the place of any node, so it has to fit as the largest
    yield largest


def _pool_demands(cluster: ClusterSpec, pool: AgentPool, like: Demand) -> Iterator[Demand]:
    for number in range(min(pool.planned_nodes, _MOST_LISTED)):
        held: Held | None = None if number < pool.count else "autoscaling"
        group = like.availability_set
        yield Demand(f"{group}-{number}", group, "worker", cluster.name, like.size, like.path, held)


def _size(sizes: Mapping[str, VmSize], name: str) -> VmSize:
    return sizes.get(name) or VmSize(name, 0, 0, 0)
