"""A layout for networks of given sizes: prefixes that meet nothing; the gateway first, then the pool."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from infra.addresses.numbers import address_text, count_shared, merged, overlap, without
from infra.addresses.plan import INFRASTRUCTURE
from infra.addresses.rules.networks import MAX_VLAN, SAN_VLANS, STORAGE, STORAGE_VLANS
from infra.addresses.rules.ranges import RESERVED, span_of
from infra.spec.netplan import Infrastructure, LogicalNetwork
from infra.spec.types import AddressRange

_FIRST_VLAN = 110
_LARGEST = 8  # no proposal is larger than a /8
_MOST_PLACES = 64  # of one size in one hole; more of them differ in nothing
_MORE_BITS = 3  # a prefix may be so much larger than it need be, where others have addresses in it

# Where prefixes are taken from, in this order; NETCON names them as safe.
_LOGICAL = ("10.220.0.0/16", "172.16.0.0/12", "10.0.0.0/10", "192.168.0.0/16")
_MANAGEMENT = ("192.168.0.0/16", *_LOGICAL)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a network must hold.

    Attributes:
        name: Its name.
        length: The longest prefix that has enough addresses.
        pool: Addresses of the pool, in one run.
        outside: Further addresses, anywhere outside the pool.
        fixed: Addresses that people chose, which the prefix must hold outside the pool.
        dns_servers: Its DNS servers, where the site has them; else its gateway stands for one.
        like: The network of that name that the site has already: kept, where it has room.
    """

    name: str
    length: int
    pool: int
    outside: int
    fixed: list[AddressRange] = field(default_factory=list)
    dns_servers: tuple[str, ...] = ()
    like: Infrastructure | LogicalNetwork | None = None

    @property
    def prefix(self) -> AddressRange | None:
        """Return the prefix of the network that is there."""
        return span_of(self.like.address_prefix) if self.like is not None else None


@dataclass(frozen=True, slots=True)
class Site:
    """What a proposal must keep out of.

    Attributes:
        blocks: What no prefix may meet: pods, services, networks of others.
        taken: Addresses that somebody has, wherever they lie: no gateway and no pool has them.
        hosts: Those of them that no pool has among its own either: a pool that is there is laid out anew.
        vlans: VLANs of networks that are there.
    """

    blocks: Sequence[AddressRange] = ()
    taken: Sequence[AddressRange] = ()
    hosts: Sequence[AddressRange] = ()
    vlans: frozenset[int] = frozenset()


def propose(wishes: Sequence[Wish], site: Site) -> dict[str, dict[str, Any]]:
    """Return each network as a netplan has it; those without any possible place are left out.

    Args:
        wishes: The networks; those that are there, and those with fixed addresses, have no choice and go first.
        site: What they keep out of.
    """
    blocked = [*RESERVED.values(), *site.blocks]
    vlans = _vlans(wishes, site.vlans)
    found = {}
    for wish in sorted(wishes, key=lambda one: (one.like is None, not one.fixed)):
        # What another wish has already is kept for it, unless that is where this one's addresses are.
        others = [one.prefix for one in wishes if one is not wish and one.prefix and one.name not in found]
        # Addresses that people chose may lie where storage is by default, which is a warning and no fault.
        spans = itertools.chain(
            _candidates(wish, [*blocked, STORAGE, *others]),
            _candidates(wish, [*blocked, STORAGE]),
            _candidates(wish, blocked),
        )
        for span in spans:
            network = _lay_out(wish, span, vlans[wish.name], site)
            if network is not None:
                found[wish.name] = network
                blocked.append(span)
                break
    return found


def _vlans(wishes: Sequence[Wish], taken: frozenset[int]) -> dict[str, int]:
    """Return each network's VLAN: its own, else the next that neither the site nor its storage has."""
    known = {one.name: one.like.vlan for one in wishes if one.like is not None}
    used = STORAGE_VLANS | SAN_VLANS | taken | set(known.values())
    free = (number for number in range(_FIRST_VLAN, MAX_VLAN + 1) if number not in used)
    return {
        one.name: known[one.name] if one.name in known else 0 if one.name == INFRASTRUCTURE else next(free, 0)
        for one in wishes
    }


def _candidates(wish: Wish, blocked: Sequence[AddressRange]) -> Iterator[AddressRange]:
    """Yield the prefix that is there, then those that meet nothing blocked: around fixed addresses, or by size."""
    if wish.prefix is not None:
        yield wish.prefix
    if wish.fixed:
        spans = (_around(wish.fixed[0].first, length) for length in range(wish.length, _LARGEST - 1, -1))
        yield from (span for span in spans if not any(overlap(span, one) for one in blocked))
        return
    for length in range(wish.length, max(_LARGEST, wish.length - _MORE_BITS) - 1, -1):
        for region in _MANAGEMENT if wish.name == INFRASTRUCTURE else _LOGICAL:
            size = 1 << (32 - length)
            for hole in without(span_of(IPv4Interface(region)), blocked):
                start = -(-hole.first // size) * size
                starts = range(start, hole.last - size + 2, size)
                yield from (AddressRange(one, one + size - 1) for one in starts[:_MOST_PLACES])


def _around(address: int, length: int) -> AddressRange:
    size = 1 << (32 - length)
    start = address // size * size
    return AddressRange(start, start + size - 1)


def _lay_out(wish: Wish, span: AddressRange, vlan: int, site: Site) -> dict[str, Any] | None:
    usable = AddressRange(span.first + 1, span.last - 1)
    if any(one.first not in usable or one.last not in usable for one in wish.fixed):
        return None
    ends = (span.first, span.last)
    named = {int(IPv4Address(one)) for one in wish.dns_servers}
    if named.intersection(ends) or any(one.first == one.last and one.first in ends for one in site.taken):
        return None  # nobody has a network's own address or its broadcast address
    own = wish.like if wish.like is not None and span == wish.prefix else None
    held = [*wish.fixed, *site.taken]
    if own is not None:
        held += [AddressRange(*sorted((int(one.start), int(one.end)))) for one in own.dhcp_ranges]
    free = without(usable, merged(held))
    if not free:
        return None
    gateway = int(own.gateway) if own is not None else free[0].first
    held = merged([*held, AddressRange(gateway, gateway)])
    runs = without(usable, held)
    room = sum(len(run) for run in runs)
    pools = _standing_pools(wish, own, held, [*wish.fixed, *site.hosts])
    if pools is not None and room - _within(pools, runs) < wish.outside:
        pools = None
    if pools is None:
        run = next((one for one in runs if len(one) >= wish.pool), None)
        if run is None or room < wish.pool + wish.outside:
            return None
        pools = [{"start": address_text(run.first), "end": address_text(run.first + wish.pool - 1)}]
    servers = wish.dns_servers or (tuple(map(str, own.dns_servers)) if own is not None else ())
    return {
        "name": wish.name,
        "vlan": vlan,
        "addressPrefix": f"{address_text(span.first)}/{33 - len(span).bit_length()}",
        "gateway": address_text(gateway),
        "dnsServers": list(servers or (address_text(gateway),)),
        "ipPools": pools,
    }


def _within(pools: Sequence[dict[str, str]], runs: Sequence[AddressRange]) -> int:
    """Count the free addresses that pools, as a netplan has them, would take."""
    spans = merged(AddressRange(*sorted(int(IPv4Address(one[end])) for end in ("start", "end"))) for one in pools)
    return count_shared(spans, runs)


def _standing_pools(
    wish: Wish,
    own: Infrastructure | LogicalNetwork | None,
    held: Sequence[AddressRange],
    apart: Sequence[AddressRange],
) -> list[dict[str, str]] | None:
    """Return the pools that the network has, where they hold what is needed and nothing that lies apart."""
    pools = [] if own is None else list(own.ip_pools) if isinstance(own, LogicalNetwork) else [own.pool]
    spans = merged(AddressRange(*sorted((int(one.start), int(one.end)))) for one in pools)
    if not spans or sum(map(len, spans)) - count_shared(spans, held) < wish.pool:
        return None
    if any(overlap(span, one) for span in spans for one in apart):
        return None
    # The infrastructure's addresses follow each other.
    if isinstance(own, Infrastructure) and all(
        len(run) < wish.pool for span in spans for run in without(span, held)
    ):
        return None
    return [one.model_dump(mode="json", by_alias=True, exclude_unset=True) for one in pools]
