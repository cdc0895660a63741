"""A layout for networks of given sizes: prefixes that meet nothing; the gateway first, then the pool."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from infra.plan.addresses.numbers import address_text, count_shared, merged, overlap, without
from infra.plan.addresses.plan import INFRASTRUCTURE
from infra.plan.rules.networks import MAX_VLAN, SAN_VLANS, STORAGE, STORAGE_VLANS
from infra.plan.rules.ranges import RESERVED, span_of
from infra.spec.netplan import AddressPool, Infrastructure, LogicalNetwork
from infra.spec.types import AddressRange

_FIRST_VLAN = 110
_LARGEST = 8  # no proposal is larger than a /8
_MOST_PLACES = 64  # of one size in one hole; more of them differ in nothing
_MORE_BITS = 3  # a prefix may be so much larger than it need be, where others have addresses in it

# Where prefixes are taken from, in this order; NETCON names them as safe.
_LOGICAL = tuple(map(span_of, ("10.220.0.0/16", "172.16.0.0/12", "10.0.0.0/10", "192.168.0.0/16")))
_MANAGEMENT = (span_of("192.168.0.0/16"), *_LOGICAL)


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
    dns_servers: tuple[IPv4Address, ...] = ()
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
        single: Those of them that are named one by one: none is a prefix's own address, or its broadcast address.
        hosts: Those of them that no pool has among its own either: a pool that is there is laid out again.
        vlans: VLANs of networks that are there.
    """

    blocks: Sequence[AddressRange] = ()
    taken: Sequence[AddressRange] = ()
    single: frozenset[int] = frozenset()
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
    networks = {}
    for wish in sorted(wishes, key=lambda wanted: (wanted.like is None, not wanted.fixed)):
        # What another wish has already is kept for it, unless that is where this one's addresses are.
        others = [
            other.prefix for other in wishes if other is not wish and other.prefix and other.name not in networks
        ]
        # Addresses that people chose may lie where storage is by default, which is a warning and no fault.
        spans = itertools.chain(
            _candidates(wish, [*blocked, STORAGE, *others]),
            _candidates(wish, [*blocked, STORAGE]),
            _candidates(wish, blocked),
        )
        for span in spans:
            network = _lay_out(wish, span, vlans[wish.name], site)
            if network is not None:
                networks[wish.name] = network
                blocked.append(span)
                break
    return networks


def _vlans(wishes: Sequence[Wish], taken: frozenset[int]) -> dict[str, int]:
    """Return each network's VLAN: its own, else the next that neither the site nor its storage has."""
    known = {wish.name: wish.like.vlan for wish in wishes if wish.like is not None}
    used = STORAGE_VLANS | SAN_VLANS | taken | set(known.values())
    free = (number for number in range(_FIRST_VLAN, MAX_VLAN + 1) if number not in used)
    return {
        wish.name: known[wish.name] if wish.name in known else 0 if wish.name == INFRASTRUCTURE else next(free, 0)
        for wish in wishes
    }


def _candidates(wish: Wish, blocked: Sequence[AddressRange]) -> Iterator[AddressRange]:
    """Yield the prefix that is there, then those that meet nothing blocked: around fixed addresses, or by size."""
    if wish.prefix is not None:
        yield wish.prefix
    if wish.fixed:
        spans = (_around(wish.fixed[0].first, length) for length in range(wish.length, _LARGEST - 1, -1))
        yield from (span for span in spans if not any(overlap(span, block) for block in blocked))
        return
    for length in range(wish.length, max(_LARGEST, wish.length - _MORE_BITS) - 1, -1):
        for region in _MANAGEMENT if wish.name == INFRASTRUCTURE else _LOGICAL:
            size = 1 << (32 - length)
            for hole in without(region, blocked):
                start = -(-hole.first // size) * size
                starts = range(start, hole.last - size + 2, size)
                yield from (AddressRange(first, first + size - 1) for first in starts[:_MOST_PLACES])


def _around(address: int, length: int) -> AddressRange:
    size = 1 << (32 - length)
    start = address // size * size
    return AddressRange(start, start + size - 1)


def _lay_out(wish: Wish, span: AddressRange, vlan: int, site: Site) -> dict[str, Any] | None:
    usable = AddressRange(span.first + 1, span.last - 1)
    if any(chosen.first not in usable or chosen.last not in usable for chosen in wish.fixed):
        return None
    resolvers = set(map(int, wish.dns_servers))
    if any(end in resolvers or end in site.single for end in (span.first, span.last)):
        return None  # nobody has a network's own address or its broadcast address
    own = wish.like if wish.like is not None and span == wish.prefix else None
    held = [*wish.fixed, *site.taken]
    if own is not None:
        held += [AddressRange(*sorted((int(dhcp.start), int(dhcp.end)))) for dhcp in own.dhcp_ranges]
    free = without(usable, merged(held))
    if not free:
        return None
    gateway = int(own.gateway) if own is not None else free[0].first
    held = merged([*held, AddressRange(gateway, gateway)])
    runs = without(usable, held)
    room = sum(len(run) for run in runs)
    standing = _standing_pools(wish, own, held, [*wish.fixed, *site.hosts])
    if standing is not None and room - count_shared(_spans(standing), runs) >= wish.outside:
        pools = [pool.model_dump(mode="json", by_alias=True, exclude_unset=True) for pool in standing]
    else:
        run = next((candidate for candidate in runs if len(candidate) >= wish.pool), None)
        if run is None or room < wish.pool + wish.outside:
            return None
        pools = [{"start": address_text(run.first), "end": address_text(run.first + wish.pool - 1)}]
    servers = wish.dns_servers or (own.dns_servers if own is not None else ()) or (IPv4Address(gateway),)
    return {
        "name": wish.name,
        "vlan": vlan,
        "addressPrefix": f"{address_text(span.first)}/{33 - len(span).bit_length()}",
        "gateway": address_text(gateway),
        "dnsServers": list(map(str, servers)),
        "ipPools": pools,
    }


def _spans(pools: Sequence[AddressPool]) -> list[AddressRange]:
    return merged(AddressRange(*sorted((int(pool.start), int(pool.end)))) for pool in pools)


def _standing_pools(
    wish: Wish,
    own: Infrastructure | LogicalNetwork | None,
    held: Sequence[AddressRange],
    apart: Sequence[AddressRange],
) -> list[AddressPool] | None:
    """Return the pools that the network has, where they hold what is needed and nothing that lies apart."""
    pools: list[AddressPool]
    pools = [] if own is None else list(own.ip_pools) if isinstance(own, LogicalNetwork) else [own.pool]
    spans = _spans(pools)
    if not spans or sum(map(len, spans)) - count_shared(spans, held) < wish.pool:
        return None
    if any(overlap(span, other) for span in spans for other in apart):
        return None
    # The infrastructure's addresses follow each other.
    if isinstance(own, Infrastructure) and all(
        len(run) < wish.pool for span in spans for run in without(span, held)
    ):
        return None
    return pools
