"""Sentences that every format says in the same words."""

from collections import Counter
from collections.abc import Iterable

from infra.addresses.plan import AddressPlan, Allocation, NetworkPlan
from infra.addresses.report.looks import LOOKS
from infra.spec.findings import Finding


def plural(count: int, thing: str) -> str:
    """Write a number of things: `1 error`, `2 networks`, `3 addresses`."""
    return f"{count:,} {thing}{'' if count == 1 else 'es' if thing.endswith('s') else 's'}"


def verdict(plan: AddressPlan) -> str:
    """Say whether a plan can be built, and what was found."""
    return verdict_of(plan.instance, "sound: no rule is broken" if plan.ok else "not sound", plan.findings)


def verdict_of(instance: str, text: str, findings: Iterable[Finding]) -> str:
    """Say what holds for an instance, and how much was found."""
    counts = Counter(finding.severity for finding in findings)
    found = [plural(counts[one], one) for one in ("error", "warning") if counts[one]]
    if counts["info"]:
        found.append(plural(counts["info"], "note"))
    return f"{instance}: {text}" + (f" ({', '.join(found)})" if found else "")


def summary(plan: AddressPlan) -> str:
    """Say in a line how much a plan gives out."""
    given = sum(len(network.allocations) for network in plan.networks)
    clusters = {one.cluster for network in plan.networks for one in network.allocations if one.cluster}
    free = sum(network.pool.free for network in plan.networks)
    parts = [plural(len(plan.networks), "network"), plural(len(clusters), "cluster"), plural(given, "address")]
    return f"{', '.join(parts)} given out, {free:,} free in the pools"


def pool_line(network: NetworkPlan) -> str:
    """Say how full a network's pools are."""
    pool, balancer = network.pool, network.load_balancer
    text = f"pool: {plural(pool.size, 'address')}, {pool.required:,} required, {pool.free:,} free"
    if balancer.size or balancer.required:
        text += f"; services: {balancer.required:,} wanted, {balancer.size:,} there"
    return text


def tag(network: NetworkPlan) -> str:
    """Name a network's VLAN."""
    return f"VLAN {network.vlan}" if network.vlan else "untagged"


def describe(one: Allocation) -> str:
    """Say everything about one address: itself, who has it, what for, and why."""
    use = LOOKS[one.use].label
    cluster = f" of cluster {one.cluster}" if one.cluster else ""
    return f"{one.address} · {one.owner} · {use}{cluster} · {one.why}"
