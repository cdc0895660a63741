"""Sentences that every format says in the same words."""

from collections import Counter
from collections.abc import Iterable

from infra.counting import counted
from infra.plan.addresses.plan import Allocation, NetworkPlan
from infra.plan.instance import Plan
from infra.plan.report.looks import LOOKS
from infra.spec.findings import Finding


def verdict(plan: Plan) -> str:
    """Say whether a plan can be built, and what was found."""
    return verdict_of(plan.instance, "sound: no rule is broken" if plan.ok else "not sound", plan.findings)


def verdict_of(instance: str, text: str, findings: Iterable[Finding]) -> str:
    """Say what holds for an instance, and how much was found."""
    counts = Counter(finding.severity for finding in findings)
    parts = [counted(counts[severity], severity) for severity in ("error", "warning") if counts[severity]]
    if counts["info"]:
        parts.append(counted(counts["info"], "note"))
    return f"{instance}: {text}" + (f" ({', '.join(parts)})" if parts else "")


def summary(plan: Plan) -> str:
    """Say in a line how much a plan gives out."""
    networks = plan.addresses.networks
    allocated = sum(len(network.allocations) for network in networks)
    clusters = {
        allocation.cluster for network in networks for allocation in network.allocations if allocation.cluster
    }
    free = sum(network.pool.free for network in networks)
    parts = [
        counted(len(networks), "network"),
        counted(len(clusters), "cluster"),
        counted(allocated, "address"),
    ]
    return f"{', '.join(parts)} given out, {free:,} free in the pools"


def pool_line(network: NetworkPlan) -> str:
    """Say how full a network's pools are."""
    pool, balancer = network.pool, network.load_balancer
    text = f"pool: {counted(pool.size, 'address')}, {pool.required:,} required, {pool.free:,} free"
    if balancer.size or balancer.required:
        text += f"; services: {balancer.required:,} wanted, {balancer.size:,} there"
    return text


def tag(network: NetworkPlan) -> str:
    """Name a network's VLAN."""
    return f"VLAN {network.vlan}" if network.vlan else "untagged"


def describe(allocation: Allocation) -> str:
    """Say everything about one address: itself, who has it, what for, and why."""
    use = LOOKS[allocation.use].label
    cluster = f" of cluster {allocation.cluster}" if allocation.cluster else ""
    return f"{allocation.address} · {allocation.owner} · {use}{cluster} · {allocation.why}"
