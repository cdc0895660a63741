"""Addresses that can be nobody's, by IANA's registry of special-purpose addresses.

`files/iana-ipv4-special-registry.csv` is https://www.iana.org/assignments/iana-ipv4-special-registry (public
domain) without its dates, and with multicast of https://www.iana.org/assignments/ipv4-address-space. A machine can
have an address that may be a source and a destination and is forwarded (RFC 6890 §2.2.1).
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path

from infra.plan.addresses.layout import Network
from infra.plan.addresses.numbers import address_text, overlap, range_text
from infra.plan.addresses.occupants import Occupant
from infra.plan.rules.base import Facts, Fault, rule
from infra.plan.rules.ranges import span_of
from infra.spec.findings import KeyPath, Severity
from infra.spec.loader import FileKind
from infra.spec.types import AddressRange

_FILE = Path(__file__).parent / "files" / "iana-ipv4-special-registry.csv"
_BLOCKS = "192.168.0.0/16, 172.16.0.0/12 or 10.0.0.0-10.95.255.255"
_PREFIXES = frozenset({"addressPrefix", "podCidr", "serviceCidr"})
_LOOPBACK = span_of("127.0.0.0/8")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the registry.

    Attributes:
        prefix: Its text.
        span: Its addresses.
        name: What it is for.
        is_usable: Whether a machine can have an address of it; None where the registry doesn't say (any more).
    """

    prefix: str
    span: AddressRange
    name: str
    is_usable: bool | None

    @property
    def is_documentation(self) -> bool:
        """Tell whether it is for examples, which nobody routes, though nothing hinders a lab."""
        return self.name.startswith("Documentation") or self.is_usable is None


@cache
def blocks() -> tuple[Block, ...]:
    """Return the registry, the smallest blocks first."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        listed = [_block(row) for row in csv.DictReader(file)]
    return tuple(sorted(listed, key=lambda block: len(block.span)))


def _block(row: dict[str, str]) -> Block:
    words = [row[key] for key in ("Source", "Destination", "Forwardable")]
    prefix = row["Address Block"]
    usable = None if "N/A" in words else all(word == "True" for word in words)
    return Block(prefix, span_of(IPv4Network(prefix).with_prefixlen), row["Name"].strip('"'), usable)


def unusable(span: AddressRange) -> Block | None:
    """Return the block that keeps machines from having an address of a range; None where they can have each."""
    around = next(
        (block for block in blocks() if block.span.first <= span.first and span.last <= block.span.last), None
    )
    if around is not None:
        return None if around.is_usable else around
    inside = [block for block in blocks() if not block.is_usable and overlap(block.span, span)]
    return max(inside, key=lambda block: (not block.is_documentation, len(block.span)), default=None)


@rule("address-of-nobody", source="IANA special-purpose registry, RFC 6890")
def address_of_nobody(facts: Facts) -> Iterator[Fault]:
    """Networks, and addresses that people name, are ones that a machine can have."""
    reported: list[AddressRange] = []
    for file, path, what, span in _named(facts):
        block = unusable(span)
        if block is None or any(earlier.first <= span.first and span.last <= earlier.last for earlier in reported):
            continue
        if path[-1] == "addressPrefix":
            reported.append(span)
        message = f"{what} lies in {block.prefix} ({block.name}), where no machine has an address"
        if len(span) > len(block.span):
            message = f"{what} holds {block.prefix} ({block.name}), where no machine has an address"
        if path[0] == "reservations":
            yield Fault(file, path, message, "correct or remove it", "warning")
        elif block.is_documentation:
            message = f"{what} lies in {block.prefix} ({block.name})"
            yield Fault(file, path, message, f"it works in a lab that routes it; else {_other(path)}", "warning")
        else:
            yield Fault(file, path, message, _remedy(facts, path, block))


@rule("network-is-public", source="RFC 1918, IANA special-purpose registry", severity="warning")
def network_is_public(facts: Facts) -> Iterator[Fault]:
    """A site's networks have private addresses; others are somebody's on the internet, then out of reach."""
    for file, path, what, span in _named(facts):
        if path[-1] not in _PREFIXES or any(overlap(block.span, span) for block in blocks()):
            continue
        message = f"{what} has public addresses: unless they are yours, whoever has them is out of reach from here"
        yield Fault(file, path, message, f"{_other(path)}, or leave it where the addresses are yours")


def _remedy(facts: Facts, path: KeyPath, block: Block) -> str:
    if "dnsServers" in path and overlap(block.span, _LOOPBACK):
        return "name the server itself that this machine's resolver forwards to; `resolvectl dns` shows it"
    home = _home(facts, path)
    if home is None or unusable(home.span) is not None:
        return _other(path)
    return f"use an address of network {home.name}: {range_text(home.usable)}"


def _other(path: KeyPath) -> str:
    """Say where to take a network, or an address, from."""
    return f"{'use a prefix' if path[-1] in _PREFIXES else 'use an address'} within {_BLOCKS}"


def _home(facts: Facts, path: KeyPath) -> Network | None:
    """Return the network that an address at a place must belong to; None where it may be any."""
    if path[-1] in {"managementAddress", "gateway"}:
        return next((network for network in facts.networks if network.path == path[:-1]), facts.networks[0])
    if path[0] == "clusters" and "networkProfile" not in path and "arc" not in path:
        cluster = facts.spec.stack.clusters[int(path[1])]
        return facts.by_name.get(cluster.logical_network)
    return None


def _named(facts: Facts) -> Iterator[tuple[FileKind, KeyPath, str, AddressRange]]:
    """Yield every network and address that people name: networks first."""
    for network in facts.networks:
        what = f"network {network.name} ({network.prefix})"
        yield "netplan", (*network.path, "addressPrefix"), what, network.span
    for path, cluster in facts.clusters:
        profile = cluster.network_profile
        for key, cidr in (("podCidr", profile.pod_cidr), ("serviceCidr", profile.service_cidr)):
            what = f"{key} {cidr.network} of cluster {cluster.name}"
            yield "stack", (*path, "networkProfile", key), what, span_of(cidr)
    for claim in facts.claims:
        if claim.pin is not None:
            file, path = facts.pin_place(claim)
            yield file, path, f"{address_text(claim.pin)} for {claim.owner}", AddressRange(claim.pin, claim.pin)
    for occupant in facts.occupants:
        if not _is_judged_elsewhere(occupant):
            yield occupant.file, occupant.path, f"{range_text(occupant.span)} ({_who(occupant)})", occupant.span


def _is_judged_elsewhere(occupant: Occupant) -> bool:
    """Tell whether an address needn't be anybody's.

    ssh reaches this machine, and examples, at such a one; and this machine alone asks Azure Resource Manager, of a
    cloud that may answer behind a tunnel which ends here.
    """
    if occupant.path == ("arc", "resourceManager"):
        return overlap(occupant.span, _LOOPBACK) is not None
    if occupant.use == "host" and occupant.path[-1] != "managementAddress":
        block = unusable(occupant.span)
        is_own = overlap(occupant.span, _LOOPBACK) is not None and occupant.path[-1] == "connection"
        return is_own or (block is not None and block.is_documentation)
    is_itself = overlap(occupant.span, _LOOPBACK) is not None or occupant.span.first == 0
    return is_itself and (occupant.path[0] == "proxy" or occupant.owner in {"git", "oidc"})


def _who(occupant: Occupant) -> str:
    return (
        f"{occupant.owner}, {occupant.why}"
        if occupant.use == "reserved" and occupant.role != "reservation"
        else occupant.owner
    )


@rule("address-is-edge", source="RFC 1122 §3.2.1.3")
def address_is_edge(facts: Facts) -> Iterator[Fault]:
    """What people name has no network's first or last address, which are the network's and the broadcast's."""
    edges: dict[int, Network] = {}
    for network in facts.networks:
        for edge in (network.span.first, network.span.last):
            if edge not in network.usable:
                edges.setdefault(edge, network)
    for occupant in facts.occupants:
        of = edges.get(occupant.span.first) if len(occupant.span) == 1 else None
        if (
            of is None
            or occupant.role not in ("way", "service", "endpoint", "reservation")
            or occupant.use == "dns"
        ):
            continue
        which = "network" if occupant.span.first == of.span.first else "broadcast"
        message = (
            f"{range_text(occupant.span)} ({_who(occupant)}) is the {which} address "
            f"of network {of.name} ({of.prefix})"
        )
        severity: Severity | None = "warning" if occupant.role == "reservation" else None
        yield Fault(occupant.file, occupant.path, message, f"its machines have {range_text(of.usable)}", severity)
