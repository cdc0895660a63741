"""What a host's answers mean. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

DPKG_FORMAT: Final = "${db:Status-Status}\\t${Package}\\t${Provides}\\n"
_SUPPORTED: Final = frozenset({"debian", "ubuntu"})
_NETPLAN_ORDER: Final = ("/run/netplan/", "/etc/netplan/", "/lib/netplan/")
"""A file shadows those of its name in the later folders (netplan(5))."""


@dataclass(frozen=True)
class Distribution:
    """What /etc/os-release says: `family` is the distribution and those it is like."""

    name: str
    family: frozenset[str]

    @property
    def is_supported(self) -> bool:
        """Return whether its packages have Debian's names."""
        return not self.family.isdisjoint(_SUPPORTED)


@dataclass(frozen=True)
class Address:
    """An interface's address with its prefix's length; `is_lasting` unless a server or router lent it."""

    text: str
    is_lasting: bool
    is_ipv4: bool


@dataclass(frozen=True)
class Link:
    """A network interface.

    Attributes:
        kind: bridge, vlan, veth …; empty for a network card.
        master: The bridge or bond it is a port of.
        parent: The interface it rides on, of a VLAN.
        vlan: Its VLAN id, 0 for none.
        addresses: Without link-local ones.
    """

    name: str
    kind: str = ""
    mac: str = ""
    is_up: bool = True
    master: str | None = None
    parent: str | None = None
    vlan: int = 0
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True)
class Route:
    """A route of the main table; `protocol` says who made it."""

    destination: str
    gateway: str | None
    device: str | None
    protocol: str


def parse_os_release(text: str) -> Distribution:
    """Read os-release(5)."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not name.startswith("#"):
            values[name.strip()] = " ".join(shlex.split(value))
    family = {values.get("ID", "linux"), *values.get("ID_LIKE", "").split()}
    return Distribution(values.get("PRETTY_NAME") or values.get("NAME") or "an unnamed Linux", frozenset(family))


def parse_packages(text: str) -> frozenset[str]:
    """Read what dpkg-query says in `DPKG_FORMAT`: installed packages and what they provide."""
    found: set[str] = set()
    for line in text.splitlines():
        status, _, rest = line.partition("\t")
        package, _, provided = rest.partition("\t")
        if status == "installed":
            found |= {package, *(one.split()[0] for one in provided.split(",") if one.strip())}
    return frozenset(found)


def parse_units(text: str) -> dict[str, str]:
    """Read `systemctl list-unit-files`: unit, state, preset."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) > 1}


def parse_links(text: str) -> dict[str, Link]:
    """Read `ip -json -details address show`."""
    return {one["ifname"]: _link(one) for one in json.loads(text or "[]") if "ifname" in one}


def parse_routes(text: str) -> list[Route]:
    """Read `ip -json route show`."""
    return [
        Route(
            destination=one.get("dst", ""),
            gateway=one.get("gateway") or one.get("via", {}).get("host"),
            device=one.get("dev"),
            protocol=one.get("protocol", ""),
        )
        for one in json.loads(text or "[]")
    ]


def merge_netplan(files: Mapping[str, str]) -> dict[str, Any]:
    """Return the `network` mapping that netplan makes of its files (netplan(5)): later ones amend earlier ones.

    Raises:
        ValueError: a file isn't YAML, or not netplan's; names the file.
    """
    merged: dict[str, Any] = {}
    for path in _effective(files):
        try:
            content = yaml.safe_load(files[path]) or {}
        except yaml.YAMLError as error:
            raise ValueError(f"{path} isn't YAML: {error}") from error
        network = content.get("network") if isinstance(content, dict) else None
        if network is not None and not isinstance(network, dict):
            raise ValueError(f"{path}: `network` isn't a mapping")
        merged = _merge(merged, network or {})
    return merged


def _effective(files: Iterable[str]) -> list[str]:
    by_name: dict[str, str] = {}
    for folder in reversed(_NETPLAN_ORDER):
        by_name |= {path.removeprefix(folder): path for path in files if path.startswith(folder)}
    return [by_name[name] for name in sorted(by_name)]


def _merge(first: dict[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(first)
    for key, value in second.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = _merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            result[key] = [*old, *(one for one in value if one not in old)]
        else:
            result[key] = value
    return result


def _link(one: Mapping[str, Any]) -> Link:
    info = one.get("linkinfo", {})
    kind = info.get("info_kind", "")
    return Link(
        name=one["ifname"],
        kind=kind,
        mac=one.get("address", ""),
        is_up="UP" in one.get("flags", []),
        master=one.get("master"),
        parent=one.get("link"),
        vlan=int(info.get("info_data", {}).get("id", 0)) if kind == "vlan" else 0,
        addresses=tuple(
            Address(
                text=f"{address['local']}/{address['prefixlen']}",
                is_lasting=not address.get("dynamic", False) and not address.get("temporary", False),
                is_ipv4=address.get("family") == "inet",
            )
            for address in one.get("addr_info", [])
            if address.get("scope") == "global" and "local" in address
        ),
    )
