"""A subnet as a picture has it: its used /24s cell by cell, the rest folded into a line each.

A picture has a bound on its cells, whatever the prefix: a /16 has 65,536 addresses, and nobody reads them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType

from infra.counting import counted
from infra.plan.addresses.numbers import as_ranges, count_shared
from infra.plan.addresses.plan import Allocation, NetworkPlan
from infra.plan.report.addresses.runs import short_range
from infra.plan.report.addresses.words import describe
from infra.plan.report.looks import LOOKS
from infra.spec.types import AddressRange

COLUMNS = 32
_BLOCK = 256
_MOST_BLOCKS = 40
_NO_NOTES: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Cell:
    """One address.

    Attributes:
        value: The address as an integer.
        allocation: Who has it, if anybody.
        in_pool: Whether machines can get it.
        text: All there is to say about it.
        differs: Whether something differs here from the older plan.
    """

    value: int
    allocation: Allocation | None
    in_pool: bool
    text: str
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Bracket:
    """Neighbours of one cluster in a row: where they start in it, how many they are, the cluster's name."""

    start: int
    count: int
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """Up to 32 addresses in a row."""

    cells: tuple[Cell, ...]
    brackets: tuple[Bracket, ...]

    @property
    def is_quiet(self) -> bool:
        """Tell whether the row has nothing to say: nobody's addresses outside the pools."""
        return all(cell.allocation is None and not cell.in_pool and not cell.differs for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a subnet that is drawn cell by cell."""

    span: AddressRange
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """A part of a subnet that is said in words."""

    span: AddressRange
    text: str


def lay_out(
    networks: Sequence[NetworkPlan], notes: Mapping[int, str] = _NO_NOTES, most_blocks: int = _MOST_BLOCKS
) -> list[list[Block | Fold]]:
    """Return each network's parts in order.

    Args:
        networks: The networks.
        notes: What differs from an older plan, by address.
        most_blocks: How many /24s are drawn in all; a network gets its first one before another its second.
    """
    used = [_used_blocks(network) for network in networks]
    shares = [min(len(blocks), 1) for blocks in used]
    left = most_blocks - sum(shares)
    for index, network_blocks in enumerate(used):
        more = max(0, min(len(network_blocks) - shares[index], left))
        shares[index] += more
        left -= more
    return [
        list(_parts(network, blocks[:share], notes))
        for network, blocks, share in zip(networks, used, shares, strict=True)
    ]


def span_of(network: NetworkPlan) -> AddressRange:
    """Return all addresses of a network's subnet."""
    subnet = network.address_prefix
    return AddressRange(int(subnet.network_address), int(subnet.broadcast_address))


def _used_blocks(network: NetworkPlan) -> list[int]:
    """Return the starts of the /24s that are worth a look; a small subnet always is."""
    span = span_of(network)
    if len(span) <= _BLOCK:
        return [span.first]
    return sorted({allocation.value & ~(_BLOCK - 1) for allocation in network.allocations}) or [span.first]


def _parts(network: NetworkPlan, drawn: Sequence[int], notes: Mapping[int, str]) -> Iterator[Block | Fold]:
    subnet = span_of(network)
    holders = {allocation.value: allocation for allocation in network.allocations}
    start = subnet.first
    for first in drawn:
        if first > start:
            yield _fold(network, AddressRange(start, first - 1))
        span = AddressRange(first, min(first + _BLOCK - 1, subnet.last))
        rows = [[_cell(network, holders.get(value), value, subnet) for value in values] for values in _lines(span)]
        yield Block(span, tuple(_row(row, notes) for row in rows))
        start = span.last + 1
    if start <= subnet.last:
        yield _fold(network, AddressRange(start, subnet.last))


def _fold(network: NetworkPlan, span: AddressRange) -> Fold:
    held = [allocation for allocation in network.allocations if allocation.value in span]
    pooled = count_shared([span], network.pools)
    addresses = f"{short_range(span.first, span.last)}: {counted(len(span), 'address')}"
    if not held:
        some = "all" if pooled == len(span) else f"{pooled:,} of them"
        pool = f"{some} in the pool" if pooled else "outside the pools"
        return Fold(span, f"{addresses} that nobody has, {pool}")
    uses = Counter(LOOKS[allocation.use].label for allocation in held)
    kinds = ", ".join(f"{count:,} {label}" for label, count in uses.most_common())
    free = pooled - count_shared(as_ranges(allocation.value for allocation in held), network.pools)
    return Fold(span, f"{addresses}, {len(held):,} given out ({kinds}), {free:,} free in the pool")


def _lines(span: AddressRange) -> Iterator[range]:
    for start in range(span.first, span.last + 1, COLUMNS):
        yield range(start, min(start + COLUMNS - 1, span.last) + 1)


def _row(cells: Sequence[Cell], notes: Mapping[int, str]) -> Row:
    noted = tuple(
        replace(cell, text=f"{cell.text} · {notes[cell.value]}", differs=True) if cell.value in notes else cell
        for cell in cells
    )
    return Row(noted, tuple(_brackets(noted)))


def _cell(network: NetworkPlan, holder: Allocation | None, value: int, subnet: AddressRange) -> Cell:
    in_pool = any(value in span for span in network.pools)
    if holder is not None:
        return Cell(value, holder, in_pool, describe(holder))
    address = short_range(value, value)
    if in_pool:
        return Cell(value, None, True, f"{address} · free, in the pool")
    if len(subnet) > 2 and value in (subnet.first, subnet.last):
        which = "network" if value == subnet.first else "broadcast"
        return Cell(value, None, False, f"{address} · the subnet's {which} address; nobody can have it")
    return Cell(value, None, False, f"{address} · nobody's, outside the pools")


def _brackets(cells: Sequence[Cell]) -> Iterator[Bracket]:
    start = 0
    for name, group in groupby(cells, key=lambda cell: cell.allocation.cluster if cell.allocation else None):
        count = len(list(group))
        if name is not None:
            yield Bracket(start, count, name)
        start += count
