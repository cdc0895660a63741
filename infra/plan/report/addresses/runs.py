"""What a reader takes as one: a pool's nodes in a row, a range of services, a stretch that nobody has."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from infra.counting import counted
from infra.plan.addresses.numbers import address_text, as_ranges, without
from infra.plan.addresses.plan import Allocation, NetworkPlan

_NODES_FROM = 9
_SERVICES_FROM = 2


@dataclass(frozen=True, slots=True)
class Run:
    """Addresses in a row: one owner's, one group's, or nobody's.

    Attributes:
        first: First address.
        last: Last address.
        allocations: Who has them; empty where they are free.
    """

    first: int
    last: int
    allocations: tuple[Allocation, ...] = ()

    @property
    def count(self) -> int:
        """Return how many addresses it has."""
        return self.last - self.first + 1

    @property
    def addresses(self) -> str:
        """Return its addresses in short: `10.0.0.4-9`."""
        return short_range(self.first, self.last)

    @property
    def owner(self) -> str:
        """Return who has it in short: `a-nodepool1-0…4`."""
        if not self.allocations:
            return "FREE"
        first, last = self.allocations[0].owner, self.allocations[-1].owner
        return first if len(self.allocations) == 1 else f"{first}…{last.rpartition('-')[2]}"

    @property
    def why(self) -> str:
        """Return why, for all of it."""
        if not self.allocations:
            return f"{counted(self.count, 'address')} in the pool"
        why = self.allocations[0].why
        if self.count == 1:
            return why
        same = all(allocation.why == why for allocation in self.allocations)
        return (
            f"{counted(self.count, 'address')}: {why}"
            if same
            else f"{counted(self.count, 'address')}; the first: {why}"
        )


def short_range(first: int, last: int) -> str:
    """Write a range as people do: what both ends share is said once where that can't be misread."""
    if first == last:
        return address_text(first)
    end = str(last & 255) if first >> 8 == last >> 8 else address_text(last)
    return f"{address_text(first)}-{end}"


def build_runs(
    network: NetworkPlan, *, nodes_from: int = _NODES_FROM, services_from: int = _SERVICES_FROM
) -> list[Run]:
    """Return a network's addresses in order: what somebody has, and what is free in the pools.

    Args:
        network: The network's plan.
        nodes_from: Join a pool's nodes where at least that many lie in a row.
        services_from: The same for addresses of services.
    """
    taken = as_ranges(allocation.value for allocation in network.allocations)
    free = [Run(span.first, span.last) for pool in network.pools for span in without(pool, taken)]
    held = []
    for group in _groups(network.allocations):
        if len(group) >= (services_from if group[0].use == "loadBalancer" else nodes_from):
            held.append(Run(group[0].value, group[-1].value, tuple(group)))
        else:
            held += [Run(allocation.value, allocation.value, (allocation,)) for allocation in group]
    return sorted([*held, *free], key=lambda run: run.first)


def holders(allocations: Iterable[Allocation]) -> dict[str, list[Run]]:
    """Return the runs that each cluster has, by the cluster's name."""
    result: dict[str, list[Allocation]] = {}
    for allocation in allocations:
        if allocation.cluster is not None:
            result.setdefault(allocation.cluster, []).append(allocation)
    return {
        name: [Run(span.first, span.last) for span in as_ranges(held.value for held in result[name])]
        for name in sorted(result)
    }


def _groups(allocations: Iterable[Allocation]) -> Iterator[list[Allocation]]:
    group: list[Allocation] = []
    for allocation in allocations:
        if group and not continues(group[-1], allocation):
            yield group
            group = []
        group.append(allocation)
    if group:
        yield group


def continues(last: Allocation, following: Allocation) -> bool:
    """Tell whether an address is the next of the same pool, or of the same service range."""
    return (
        following.value == last.value + 1
        and (following.use, following.cluster) == (last.use, last.cluster)
        and following.use in {"workerNode", "loadBalancer"}
        and following.owner.rpartition("-")[0] == last.owner.rpartition("-")[0]
    )
