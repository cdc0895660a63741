"""Interfaces, routes, resolvers, the firewall."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, Final

from infra.doctor.facts import Firewall, Link, LinkKinds, Network, Route
from infra.doctor.parse.files import Files, flag

_STUB: Final = "/run/systemd/resolve/resolv.conf"
_RESOLV: Final = "/etc/resolv.conf"
_BRIDGE_CALLS: Final = "/proc/sys/net/bridge/bridge-nf-call-iptables"
_FORWARD: Final = "/proc/sys/net/ipv4/ip_forward"

FILES: Final = (_STUB, _RESOLV, _BRIDGE_CALLS, _FORWARD)

PROBE: Final = (
    "link add name azl0 type bridge",
    "link add link azl0 name azl1 type vlan id 2",
    "link add name azl2 type vxlan id 2 dstport 4789",
    "link show",
)
"""Lines for `ip -force -json -batch -`, in a network namespace that ends with the command."""


def speed_file(interface: str) -> str:
    """Return the file that has an interface's speed."""
    return f"/sys/class/net/{interface}/speed"


def wireless_folder(interface: str) -> str:
    """Return the folder that only Wi-Fi interfaces have."""
    return f"/sys/class/net/{interface}/phy80211"


def network(addresses: str, routes: str, files: Files, devices: frozenset[str]) -> Network:
    """Read `ip -json -details address`, `ip -json -4 route` and the resolvers.

    Args:
        addresses: What the first printed.
        routes: What the second printed.
        files: FILES, and the speeds.
        devices: Which of the paths asked for are there.
    """
    return Network(
        links=tuple(_link(one, files, devices) for one in json.loads(addresses) if one),
        routes=tuple(_routes(json.loads(routes or "[]"))),
        resolvers=tuple(_resolvers(files)),
    )


def link_kinds(printed: str) -> LinkKinds:
    """Read what PROBE's last line printed: the interfaces that could be made."""
    made = {one["ifname"] for one in json.loads(printed) if one}
    if "lo" not in made:
        raise ValueError("not a list of interfaces")
    return LinkKinds("azl0" in made, "azl1" in made, "azl2" in made)


def firewall(chains: str | None, iptables: str, files: Files) -> Firewall:
    """Read `nft --json list chains`, or where there is no nft `iptables -S`."""
    if chains is not None:
        listed = json.loads(chains)
        dropping, refusing = tuple(_dropping(listed, "forward")), tuple(_dropping(listed, "input"))
    else:
        rules = iptables.splitlines()
        dropping = ("iptables FORWARD",) if "-P FORWARD DROP" in rules else ()
        refusing = ("iptables INPUT",) if "-P INPUT DROP" in rules else ()
    return Firewall(dropping, refusing, bool(flag(files, _BRIDGE_CALLS)), bool(flag(files, _FORWARD)))


def _link(one: Mapping[str, Any], files: Files, devices: frozenset[str]) -> Link:
    name = one["ifname"]
    return Link(
        name=name,
        kind=one.get("linkinfo", {}).get("info_kind"),
        mtu=one["mtu"],
        is_up="UP" in one["flags"],
        has_carrier="LOWER_UP" in one["flags"],
        master=one.get("master"),
        parent=one.get("link"),
        speed=_speed(files.get(speed_file(name), "")),
        is_wireless=wireless_folder(name) in devices,
        addresses=tuple(
            IPv4Interface(f"{found['local']}/{found['prefixlen']}")
            for found in one.get("addr_info", [])
            if found.get("family") == "inet"
        ),
    )


def _speed(text: str) -> int | None:
    speed = int(text) if text.strip() else -1
    return speed if speed > 0 else None


def _routes(rows: list[Mapping[str, Any]]) -> Iterator[Route]:
    for row in rows:
        text = row["dst"]
        if row.get("type", "unicast") != "unicast":
            continue
        destination = IPv4Network("0.0.0.0/0" if text == "default" else text, strict=False)
        hops = row.get("nexthops") or [row]
        for hop in hops:
            gateway = hop.get("gateway")
            yield Route(destination, hop.get("dev"), IPv4Address(gateway) if gateway else None)


def _resolvers(files: Files) -> Iterator[str]:
    """Yield the DNS servers; systemd-resolved's own address stands for those of its other file."""
    for path in (_STUB, _RESOLV):
        rows = [line.split() for line in files.get(path, "").splitlines()]
        found = [row[1] for row in rows if len(row) >= 2 and row[0] == "nameserver"]
        if found:
            yield from found
            return


def _dropping(listed: Mapping[str, Any], hook: str) -> Iterator[str]:
    for entry in listed["nftables"]:
        chain = entry.get("chain", {})
        if chain.get("hook") == hook and chain.get("policy") == "drop" and chain["family"] != "ip6":
            yield f"{chain['family']} {chain['table']} {chain['name']}"
