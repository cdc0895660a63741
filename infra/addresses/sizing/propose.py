"""A layout for networks of given sizes: prefixes that meet nothing; the gateway first, then the pool."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from typing import Any

from infra.addresses.numbers import address_text, merged, overlap, without
from infra.addresses.plan import INFRASTRUCTURE
from infra.addresses.rules.ranges import RESERVED, span_of
from infra.spec.types import AddressRange

_FIRST_VLAN = 110
_LARGEST = 8  # no proposal is larger than a /8

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
    """

    name: str
    length: int
    pool: int
    outside: int
    fixed: list[AddressRange] = field(default_factory=list)


def propose(wishes: Sequence[Wish], cidrs: Iterable[AddressRange]) -> dict[str, dict[str, Any]]:
    """Return each network as a netplan has it; those without any possible place are left out.

    Args:
        wishes: The networks; the ones with fixed addresses are laid out first, they have no choice.
        cidrs: The clusters' pod and service networks, which no prefix may meet.
    """
    blocked = [*RESERVED.values(), *cidrs]
    logical = (wish.name for wish in wishes if wish.name != INFRASTRUCTURE)
    vlans = {INFRASTRUCTURE: 0, **{name: number for number, name in enumerate(logical, _FIRST_VLAN)}}
    found = {}
    for wish in sorted(wishes, key=lambda one: not one.fixed):
        for span in _candidates(wish, blocked):
            network = _lay_out(wish, span, vlans[wish.name])
            if network is not None:
                found[wish.name] = network
                blocked.append(span)
                break
    return found


def _candidates(wish: Wish, blocked: Sequence[AddressRange]) -> Iterator[AddressRange]:
    """Yield prefixes that meet nothing blocked: around the fixed addresses, else of the right size."""
    if wish.fixed:
        spans = (_around(wish.fixed[0].first, length) for length in range(wish.length, _LARGEST - 1, -1))
        yield from (span for span in spans if not any(overlap(span, one) for one in blocked))
        return
    for region in _MANAGEMENT if wish.name == INFRASTRUCTURE else _LOGICAL:
        whole, size = span_of(IPv4Interface(region)), 1 << (32 - wish.length)
        for hole in without(whole, blocked):
            start = -(-hole.first // size) * size
            if start + size - 1 <= hole.last:
                yield AddressRange(start, start + size - 1)


def _around(address: int, length: int) -> AddressRange:
    size = 1 << (32 - length)
    start = address // size * size
    return AddressRange(start, start + size - 1)


def _lay_out(wish: Wish, span: AddressRange, vlan: int) -> dict[str, Any] | None:
    usable = AddressRange(span.first + 1, span.last - 1)
    if any(one.first not in usable or one.last not in usable for one in wish.fixed):
        return None
    free = without(usable, merged(wish.fixed))
    if not free:
        return None
    gateway = free[0].first
    runs = without(usable, merged([*wish.fixed, AddressRange(gateway, gateway)]))
    room = sum(len(run) for run in runs)
    run = next((one for one in runs if len(one) >= wish.pool), None)
    if run is None or room < wish.pool + wish.outside:
        return None
    length = 33 - len(span).bit_length()
    return {
        "name": wish.name,
        "vlan": vlan,
        "addressPrefix": f"{address_text(span.first)}/{length}",
        "gateway": address_text(gateway),
        "dnsServers": [address_text(gateway)],
        "ipPools": [{"start": address_text(run.first), "end": address_text(run.first + wish.pool - 1)}],
    }
