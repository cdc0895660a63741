"""Interfaces, addresses, routes, resolvers, the firewall."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Any, Final, TypeAlias

from infra.hosts.facts.fact import Fact
from infra.hosts.facts.files import Files, flag

_STUB: Final = "/run/systemd/resolve/resolv.conf"
_RESOLV: Final = "/etc/resolv.conf"
_BRIDGE_CALLS: Final = "/proc/sys/net/bridge/bridge-nf-call-iptables"
_FORWARD: Final = "/proc/sys/net/ipv4/ip_forward"

_BY_HAND: Final = "boot"
"""The protocol of routes set by `ip route add`, which is the one that ip leaves out (iproute2, ip/iproute.c)."""

FILES: Final = (_STUB, _RESOLV, _BRIDGE_CALLS, _FORWARD)
"""Files that resolvers and the firewall's switches are read from."""


@dataclass(frozen=True, slots=True)
class Address:
    """An interface's address.

    Attributes:
        text: With its prefix's length, as the kernel writes it.
        is_lasting: False where a server or router lent it.
        is_global: Whether others than the link's and this host reach it.
    """

    text: str
    is_lasting: bool = True
    is_global: bool = True

    @property
    def interface(self) -> IPv4Interface | IPv6Interface:
        """Return the address with its prefix."""
        return ip_interface(self.text)

    @property
    def is_ipv4(self) -> bool:
        """Return whether it is IPv4."""
        return self.interface.version == 4


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface.

    Attributes:
        name: Its name.
        kind: `bridge`, `vlan`, `vxlan`, `veth` …; empty for a network card.
        mac: Its MAC address.
        mtu: Bytes.
        is_up: Whether it is switched on.
        has_carrier: Whether the other end answers.
        master: The bridge or bond that it is a port of.
        parent: What a VLAN or VXLAN interface sends through.
        vlan: A VLAN interface's 802.1Q id; 0 for others.
        speed: Mbit/s, where that was asked for and the driver tells.
        is_wireless: Where that was asked for: Wi-Fi can't be a port of a bridge.
        addresses: Of both families.
    """

    name: str
    kind: str = ""
    mac: str = ""
    mtu: int = 1500
    is_up: bool = True
    has_carrier: bool = True
    master: str | None = None
    parent: str | None = None
    vlan: int = 0
    speed: int | None = None
    is_wireless: bool = False
    addresses: tuple[Address, ...] = ()

    @property
    def ipv4(self) -> tuple[IPv4Interface, ...]:
        """Return its IPv4 addresses."""
        interfaces = (address.interface for address in self.addresses)
        return tuple(interface for interface in interfaces if isinstance(interface, IPv4Interface))

    @property
    def global_addresses(self) -> tuple[Address, ...]:
        """Return its addresses without link-local ones and those of the host alone."""
        return tuple(address for address in self.addresses if address.is_global)


@dataclass(frozen=True, slots=True)
class Route:
    """A way of the main table; a route over several gateways is several of them.

    Attributes:
        destination: Where it leads.
        device: The interface it leaves by.
        gateway: The next router; it may be of the other family.
        protocol: Which program or person set it: `kernel`, `dhcp`, `static`, `boot` …
    """

    destination: IPv4Network | IPv6Network
    device: str | None
    gateway: IPv4Address | IPv6Address | None = None
    protocol: str = ""

    @property
    def is_default(self) -> bool:
        """Return whether it leads everywhere."""
        return self.destination.prefixlen == 0


@dataclass(frozen=True, slots=True)
class Network:
    """Interfaces, IPv4 routes and resolvers."""

    links: tuple[Link, ...]
    routes: tuple[Route, ...]
    resolvers: tuple[str, ...]

    def link(self, name: str) -> Link | None:
        """Return the interface of that name."""
        return next((link for link in self.links if link.name == name), None)

    def holder(self, address: IPv4Address) -> Link | None:
        """Return the interface that has an address."""
        return next((link for link in self.links if any(own.ip == address for own in link.ipv4)), None)

    @property
    def default_devices(self) -> frozenset[str]:
        """Return the interfaces that default routes leave by."""
        return frozenset(route.device for route in self.routes if route.is_default and route.device)


@dataclass(frozen=True, slots=True)
class LinkKinds:
    """Which kinds of interface the kernel makes: each was made in a network namespace of its own."""

    bridge: bool
    vlan: bool
    vxlan: bool


@dataclass(frozen=True, slots=True)
class Firewall:
    """What decides about forwarded packets.

    Attributes:
        dropping: Chains on the way of forwarded packets whose policy is to drop, e.g. `ip filter FORWARD`.
        refusing: Those on the way of packets to the host itself.
        bridge_calls_iptables: Whether frames inside a bridge pass iptables too (br_netfilter).
        forwards: net.ipv4.ip_forward.
    """

    dropping: tuple[str, ...]
    refusing: tuple[str, ...]
    bridge_calls_iptables: bool
    forwards: bool


def speed_file(interface: str) -> str:
    """Return the file that has an interface's speed."""
    return f"/sys/class/net/{interface}/speed"


def wireless_folder(interface: str) -> str:
    """Return the folder that only Wi-Fi interfaces have."""
    return f"/sys/class/net/{interface}/phy80211"


def with_hardware(links: Iterable[Link], files: Files, paths: frozenset[str]) -> Iterator[Link]:
    """Yield the interfaces with their speed and whether they are Wi-Fi, where that was asked for."""
    for link in links:
        speed = int(files.get(speed_file(link.name), "").strip() or -1)
        yield replace(link, speed=speed if speed > 0 else None, is_wireless=wireless_folder(link.name) in paths)


def resolvers(files: Files) -> tuple[str, ...]:
    """Return the DNS servers; systemd-resolved's own address stands for those of its other file."""
    for path in (_STUB, _RESOLV):
        rows = [line.split() for line in files.get(path, "").splitlines()]
        servers = tuple(row[1] for row in rows if len(row) >= 2 and row[0] == "nameserver")
        if servers:
            return servers
    return ()


Chains: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""Chains that drop by policy: of forwarded packets, of those to the host itself."""


def firewall(chains: Chains, files: Files) -> Firewall:
    """Put together what the firewall's chains and the kernel's switches say."""
    return Firewall(*chains, bool(flag(files, _BRIDGE_CALLS)), bool(flag(files, _FORWARD)))


def parse_links(text: str) -> dict[str, Link]:
    """Read `ip -json -details address show`: interfaces by name."""
    return {row["ifname"]: _link(row) for row in json.loads(text) if row}


def parse_routes(text: str, family: int = 4) -> tuple[Route, ...]:
    """Read `ip -json route show` of one family; prints nothing where the kernel hasn't that family."""
    return tuple(_routes(json.loads(text or "[]"), "0.0.0.0/0" if family == 4 else "::/0"))


def parse_link_kinds(text: str) -> LinkKinds:
    """Read what LINK_KINDS' last line prints: the interfaces that could be made."""
    made = {row["ifname"] for row in json.loads(text) if row}
    if "lo" not in made:
        raise ValueError("not a list of interfaces")
    return LinkKinds("azl0" in made, "azl1" in made, "azl2" in made)


def parse_chains(text: str) -> Chains:
    """Read `nft --json list chains`."""
    chains = [entry["chain"] for entry in json.loads(text)["nftables"] if "chain" in entry]

    def dropping(hook: str) -> tuple[str, ...]:
        return tuple(
            f"{chain['family']} {chain['table']} {chain['name']}"
            for chain in chains
            if chain.get("hook") == hook and chain.get("policy") == "drop" and chain["family"] != "ip6"
        )

    return dropping("forward"), dropping("input")


def parse_iptables(text: str) -> Chains:
    """Read `iptables --list-rules`."""
    rules = text.splitlines()
    return (
        ("iptables FORWARD",) if "-P FORWARD DROP" in rules else (),
        ("iptables INPUT",) if "-P INPUT DROP" in rules else (),
    )


LINKS: Final = Fact(("ip", "-json", "-details", "address", "show"), parse_links)
ROUTES: Final = Fact(("ip", "-4", "-json", "route", "show"), parse_routes)
ROUTES_IPV6: Final = Fact(  # it fails without IPv6 in the kernel
    ("ip", "-6", "-json", "route", "show"), lambda text: parse_routes(text, family=6), must_succeed=False
)
LINK_KINDS: Final = Fact(
    ("unshare", "--net", "ip", "-force", "-json", "-batch", "-"),  # in a namespace that ends with the command
    parse_link_kinds,
    as_root=True,
    must_succeed=False,
    input=(
        b"link add name azl0 type bridge\n"
        b"link add link azl0 name azl1 type vlan id 2\n"
        b"link add name azl2 type vxlan id 2 dstport 4789\n"
        b"link show\n"
    ),
)
CHAINS: Final = Fact(("nft", "--json", "list", "chains"), parse_chains, as_root=True)
IPTABLES: Final = Fact(("iptables", "--wait", "5", "--list-rules"), parse_iptables, as_root=True)


def _link(row: Mapping[str, Any]) -> Link:
    info = row.get("linkinfo", {})
    kind = info.get("info_kind", "")
    return Link(
        name=row["ifname"],
        kind=kind,
        mac=row.get("address", ""),
        mtu=row["mtu"],
        is_up="UP" in row["flags"],
        has_carrier="LOWER_UP" in row["flags"],
        master=row.get("master"),
        parent=row.get("link"),
        vlan=int(info.get("info_data", {}).get("id", 0)) if kind == "vlan" else 0,
        addresses=tuple(
            Address(
                text=f"{address['local']}/{address['prefixlen']}",
                is_lasting=not address.get("dynamic", False) and not address.get("temporary", False),
                is_global=address.get("scope") == "global",
            )
            for address in row.get("addr_info", [])
            if "local" in address
        ),
    )


def _routes(rows: list[Mapping[str, Any]], everywhere: str) -> Iterator[Route]:
    for row in rows:
        if row.get("type", "unicast") != "unicast":
            continue
        destination = ip_network(everywhere if row["dst"] == "default" else row["dst"], strict=False)
        for hop in row.get("nexthops") or [row]:
            gateway = hop.get("gateway") or hop.get("via", {}).get("host")
            yield Route(
                destination,
                hop.get("dev"),
                ip_address(gateway) if gateway else None,
                row.get("protocol", _BY_HAND),
            )
