"""Who needs an address: every claim of an instance, in an order that does not depend on the files' order.

Sources (azure_local_facts.md): §2.1 the formula per cluster, §2.2 where each address comes from, §2.6 the
infrastructure pool's six.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from infra.plan.addresses.layout import Network
from infra.plan.addresses.plan import Use
from infra.plan.inventory import (
    BRIDGE_ENDPOINT,
    Inventory,
    PlannedCluster,
    PlannedMachine,
    build_inventory,
    endpoint_name,
    services_name,
)
from infra.spec.findings import KeyPath
from infra.spec.loader import InstanceSpec
from infra.spec.stack import ClusterSpec

# The pool's published minimum: the cluster's address, three of the resource bridge, the VM that updates it,
# one more for a hardware vendor's (NETCON, IP2, IP3).
INFRASTRUCTURE_POOL_NEED = 6

# A count far beyond every limit breaks a rule anyway; the plan need not list a billion addresses to say so.
_MOST_SERVICES = 256


@dataclass(frozen=True, slots=True)
class Claim:
    """One address that the plan has to give.

    Attributes:
        owner: Its name in the plan, unique in the instance.
        use: What it is for.
        network: Index of its network.
        cluster: The cluster it belongs to, if any.
        why: The reason, in a sentence.
        place: `pool`, or `outside` the pools of the same subnet.
        follows: The owner whose address must be the one just below, if any.
        pin: An address that people chose.
        path: Where the claim, or its pin, stands in the stack file.
    """

    owner: str
    use: Use
    network: int
    cluster: str | None
    why: str
    place: Literal["pool", "outside"] = "pool"
    follows: str | None = None
    pin: int | None = None
    path: KeyPath = ()


@dataclass(frozen=True, slots=True)
class Need:
    """What a cluster asks of its network (IP, NET).

    Attributes:
        pool: Addresses of the pools.
        outside: VIPs that people gave, which lie in the subnet and outside the pools.
        load_balancer: Addresses for services.
    """

    pool: int
    outside: int
    load_balancer: int


def cluster_need(cluster: ClusterSpec) -> Need:
    """Return the official formula's numbers: nodes, one spare, the VIP, load-balancer addresses."""
    given_vip = cluster.control_plane.host_ip is not None
    balancer = cluster.load_balancer
    wanted = balancer.count if balancer.count is not None else sum(len(span) for span in balancer.ranges)
    return Need(cluster.planned_nodes + 1 + (0 if given_vip else 1), int(given_vip), max(0, wanted))


def infrastructure_need(spec: InstanceSpec) -> Need:
    """Return what the infrastructure asks: six of the pool, or the resource bridge's three alone (RBSYS)."""
    return Need(2, 1, 0) if _is_bridge_test(spec) else Need(INFRASTRUCTURE_POOL_NEED, 0, 0)


def _is_bridge_test(spec: InstanceSpec) -> bool:
    return spec.stack.deployment_class == "resourceBridgeTest"


def build_claims(spec: InstanceSpec, networks: list[Network], inventory: Inventory | None = None) -> list[Claim]:
    """Return every claim: the infrastructure's, then the clusters' by name."""
    by_name = {network.name: network.index for network in reversed(networks) if network.index}
    inventory = inventory or build_inventory(spec)
    claims = list(_bridge_claims(inventory) if _is_bridge_test(spec) else _infrastructure_claims(inventory))
    for cluster in inventory.clusters:
        network = by_name.get(cluster.spec.logical_network)
        if network is not None:
            claims += _cluster_claims(cluster, network)
    return claims


def _infrastructure_claims(inventory: Inventory) -> Iterator[Claim]:
    yield Claim("cluster", "clusterAddress", 0, None, "the instance's own address (the failover cluster's)")
    yield from _bridge_claims(inventory, vip_place="pool")
    yield Claim("vm-update", "reserved", 0, None, "Azure Local's own role that updates VMs")
    yield Claim("oem", "reserved", 0, None, "a hardware vendor's VM, should there be one")


def _bridge_claims(inventory: Inventory, vip_place: Literal["pool", "outside"] = "outside") -> Iterator[Claim]:
    bridge, spare = inventory.bridge, inventory.bridge_spare
    yield Claim(bridge.owner, "resourceBridgeNode", 0, None, "the resource bridge's VM", path=bridge.path)
    yield Claim(
        spare.owner,
        "resourceBridgeSpare",
        0,
        None,
        "the resource bridge's next VM takes it over in an upgrade; adjacent to the first",
        follows=bridge.owner,
        path=spare.path,
    )
    why = "the resource bridge's API server"
    yield Claim(BRIDGE_ENDPOINT, "resourceBridgeVip", 0, None, why, place=vip_place, path=bridge.path)


def _cluster_claims(planned: PlannedCluster, network: int) -> Iterator[Claim]:
    cluster, path = planned.spec, planned.path
    name = cluster.name
    for node in planned.nodes:
        use: Use = "workerNode" if node.pool else "controlPlaneNode"
        yield Claim(node.owner, use, network, name, _why(node, cluster), path=node.path)
    why = "the node that joins before an old one leaves in an upgrade; one a cluster"
    yield Claim(planned.spare.owner, "upgradeSpare", network, name, why, path=path)
    yield _vip_claim(cluster, network, path)
    for number in range(_chosen_for_services(cluster)):
        why = f"service address {number + 1} of {cluster.load_balancer.count}, outside the pools"
        yield Claim(
            f"{services_name(name)}-{number}",
            "loadBalancer",
            network,
            name,
            why,
            place="outside",
            path=(*path, "loadBalancer"),
        )


def _why(node: PlannedMachine, cluster: ClusterSpec) -> str:
    if node.pool is None:
        return f"control-plane node {node.number + 1} of {cluster.control_plane.count}"
    if node.held:
        return f"held for autoscaling of pool {node.pool.name} up to {node.pool.max_count}"
    return f"node {node.number + 1} of {node.pool.count} in pool {node.pool.name}"


def _vip_claim(cluster: ClusterSpec, network: int, path: KeyPath) -> Claim:
    host_ip = cluster.control_plane.host_ip
    owner = endpoint_name(cluster.name)
    if host_ip is None:
        why = "the API server; in the pool, because no hostIP is given"
        where = (*path, "controlPlane")
        return Claim(owner, "controlPlaneVip", network, cluster.name, why, path=where)
    return Claim(
        owner,
        "controlPlaneVip",
        network,
        cluster.name,
        "the API server, at the hostIP that was given",
        place="outside",
        pin=int(host_ip),
        path=(*path, "controlPlane", "hostIP"),
    )


def _chosen_for_services(cluster: ClusterSpec) -> int:
    balancer = cluster.load_balancer
    return 0 if balancer.addresses else min(max(0, balancer.count or 0), _MOST_SERVICES)
