"""The uplink as the host has it: the interface, and what of netplan describes it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from infra.hosts.facts.network import Link
from infra.kvm.preparation.facts import PreparationFacts

_SECTIONS: Final = ("ethernets", "bonds", "bridges", "vlans")
_GIVES_ADDRESSES: Final = ("addresses", "dhcp4", "dhcp6", "gateway4", "gateway6", "routes")
_MADE_BY_HAND: Final = frozenset({"static", "boot"})
"""`ip route`'s protocols of routes that somebody set, and that no server or kernel will set again."""


@dataclass(frozen=True)
class Definition:
    """What netplan's files say of an interface."""

    id: str
    settings: Mapping[str, Any]

    @property
    def patterns(self) -> list[str]:
        """Return the names, with wildcards, by which it finds its interfaces, if that is how."""
        names = _match(self.settings).get("name", [])
        return [names] if isinstance(names, str) else [str(name) for name in names]

    @property
    def gives_addresses(self) -> bool:
        """Return whether the interface gets addresses or routes by it."""
        return any(self.settings.get(key) for key in _GIVES_ADDRESSES)


@dataclass(frozen=True)
class Uplink:
    """The interface that carries the bridges.

    Attributes:
        link: As it stands.
        definition: netplan's of it, if there is one.
        patterns: All names with wildcards by which netplan finds interfaces.
    """

    link: Link
    definition: Definition | None
    patterns: tuple[str, ...]

    @property
    def has_layer_3(self) -> bool:
        """Return whether it has, or would have, addresses of its own."""
        planned = self.definition is not None and self.definition.gives_addresses
        return planned or bool(self.link.global_addresses)


def find_uplink(facts: PreparationFacts, network: Mapping[str, Any], name: str) -> Uplink | None:
    """Return the uplink; None when the host has no such interface."""
    link = facts.links.get(name)
    if link is None:
        return None
    everything = list(definitions(network))
    # networkd goes by the first of netplan's files that is about the interface.
    definition = min(
        (candidate for candidate in everything if describes(candidate, link)),
        key=lambda candidate: candidate.id,
        default=None,
    )
    return Uplink(link, definition, tuple(pattern for candidate in everything for pattern in candidate.patterns))


def definitions(network: Mapping[str, Any]) -> Iterator[Definition]:
    """Yield what netplan's files define."""
    for section in _SECTIONS:
        for id, settings in (network.get(section) or {}).items():
            yield Definition(str(id), settings or {})


def describes(definition: Definition, link: Link) -> bool:
    """Return whether a definition is about an interface: by its name, else by what `match` says."""
    settings = definition.settings
    if settings.get("set-name") == link.name:
        return True
    match = _match(settings)
    if not match:
        return definition.id == link.name
    if link.kind in ("bridge", "bond", "vlan", "vxlan"):
        return False  # `match` looks for network cards
    patterns = definition.patterns
    named = not patterns or any(fnmatchcase(link.name, pattern) for pattern in patterns)
    mac = str(match.get("macaddress", "")).lower()
    return bool(patterns or mac) and named and (not mac or mac == link.mac.lower())


def faults_of_renderer(facts: PreparationFacts, network: Mapping[str, Any], uplink: Uplink) -> Iterator[str]:
    """Yield why systemd-networkd can't have the uplink."""
    settings = uplink.definition.settings if uplink.definition else {}
    renderer = settings.get("renderer") or network.get("renderer")
    unclaimed = uplink.definition is None and facts.network_manager and uplink.link.global_addresses
    if renderer == "NetworkManager" or unclaimed:
        yield (
            f"{uplink.link.name} is NetworkManager's, and azlocal makes bridges by netplan with systemd-networkd: "
            f"describe {uplink.link.name} in /etc/netplan with `renderer: networkd`, or make the bridges by hand "
            "and write `prepare: false` under the host"
        )


def faults_of_takeover(facts: PreparationFacts, uplink: Uplink) -> Iterator[str]:
    """Yield why the uplink's addresses and routes can't go to an untagged bridge."""
    link, definition = uplink.link, uplink.definition
    another_way = "give the network a VLAN, or name a NIC without addresses as the uplink"
    if definition is None:
        addresses = ", ".join(address.text for address in link.global_addresses)
        yield (
            f"{link.name} has {addresses}, and no file of netplan says so (ifupdown? by hand?), so an untagged "
            f"network can't take it over: describe {link.name} in /etc/netplan, or {another_way}"
        )
        return
    sharing = sorted(name for name, other in facts.links.items() if describes(definition, other))
    if len(sharing) > 1:
        yield (
            f"netplan's definition {definition.id} is about {', '.join(sharing)} at once, so {link.name} can't be "
            f"taken over alone: give it a definition of its own in /etc/netplan, or {another_way}"
        )
    settings = definition.settings
    described = {_bare(address) for address in settings.get("addresses", [])}
    extra = [
        address.text
        for address in link.global_addresses
        if address.is_lasting and address.text not in described and not (settings.get("dhcp4") and address.is_ipv4)
    ]
    gateways = {route.get("via") for route in settings.get("routes", [])}
    gateways |= {settings.get("gateway4"), settings.get("gateway6")}
    extra += [
        f"the route to {'default' if route.is_default else route.destination}"
        for route in facts.routes
        if route.device == link.name and route.protocol in _MADE_BY_HAND and _text(route.gateway) not in gateways
    ]
    if extra:
        yield (
            f"{link.name} has {', '.join(extra)} beside what netplan's files say, which would be lost with an "
            f"untagged bridge: add it in /etc/netplan, or {another_way}"
        )


def _match(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    match = settings.get("match")
    return match if isinstance(match, dict) else {}


def _text(gateway: object) -> str | None:
    return None if gateway is None else str(gateway)


def _bare(address: Any) -> str:
    """Return an address of netplan, which may be written as a mapping with its label."""
    return str(next(iter(address))) if isinstance(address, dict) else str(address)
