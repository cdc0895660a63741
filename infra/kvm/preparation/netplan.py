"""The host's network as it is to be: our netplan file, and where needed one networkd file. Pure.

A VLAN's bridge stands beside the uplink, on a subinterface: the uplink keeps its addresses. An untagged bridge has
to take the uplink itself as its port, and then the uplink's addresses and routes go to the bridge. netplan can't
take anything away from what another file gives the uplink (lists of several files are joined, netplan(5)), and
files of others are never changed; so the port is described in a networkd file of ours, which comes before the one
that netplan writes (systemd.network(5): the first file that matches counts).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

import yaml

from infra.kvm.preparation.facts import PreparationFacts
from infra.kvm.preparation.netplan_files import merge_netplan
from infra.kvm.preparation.standing import (
    Standing,
    bridge_mac,
    carries_somebody,
    is_foreign_bridge,
    read_standing,
)
from infra.kvm.preparation.uplink import (
    Uplink,
    definitions,
    faults_of_renderer,
    faults_of_takeover,
    find_uplink,
)
from infra.kvm.preparation.wanted import Wanted
from infra.model.host import Bridge

_INTERFACE_LENGTH: Final = 15  # IFNAMSIZ without the final zero
_CARRIED: Final = (
    "addresses",
    "dhcp4",
    "dhcp6",
    "dhcp4-overrides",
    "dhcp6-overrides",
    "dhcp-identifier",
    "gateway4",
    "gateway6",
    "routes",
    "routing-policy",
    "nameservers",
    "accept-ra",
    "link-local",
    "ipv6-privacy",
    "ipv6-address-generation",
    "ipv6-address-token",
    "mtu",
)
"""What goes from the uplink's definition to that of the bridge which takes it over."""

_NO_ADDRESSES: Final[dict[str, Any]] = {
    "dhcp4": False,
    "dhcp6": False,
    "accept-ra": False,
    "link-local": [],
    "optional": True,  # the host's boot doesn't wait for it
}
_LEFT_ALONE: Final[dict[str, Any]] = {
    "dhcp4": False,
    "dhcp6": False,
    "critical": True,  # networkd takes away no address and no route that it didn't set
    "optional": True,
}
_PARAMETERS: Final[dict[str, Any]] = {"stp": False, "forward-delay": 0}


@dataclass(frozen=True)
class Design:
    """The host's network as it is to be.

    Attributes:
        netplan: Our netplan file; None for none.
        port: Our networkd file of the uplink; None for none.
        ports: Our bridges, each with the interface of the host that is to be its port.
        new: Interfaces of ours that don't stand yet.
        stale: Interfaces of ours that have to go.
        kept: Bridges that aren't wanted any more and still carry somebody.
        used: Bridges that stand already, and that somebody else made.
        moved: Addresses that go from the uplink to a bridge.
        faults: Why it can't be; each with what to do.
    """

    netplan: str | None = None
    port: str | None = None
    ports: Mapping[str, str] = field(default_factory=dict)
    new: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def design_network(facts: PreparationFacts, wanted: Wanted) -> Design:
    """Decide the host's network."""
    standing = read_standing(facts, wanted)
    if standing.faults:
        return Design(faults=standing.faults)
    used = tuple(
        bridge.name for bridge in wanted.bridges if is_foreign_bridge(facts, wanted, standing, bridge.name)
    )
    bridges = [bridge for bridge in wanted.bridges if bridge.name not in used]
    try:
        network = merge_netplan(facts.netplan_files)
    except ValueError as error:
        return Design(faults=(f"{error}; netplan itself can't use it either: fix the file",) if bridges else ())
    occupied = tuple(
        name
        for name in standing.bridges
        if name not in {bridge.name for bridge in bridges} and carries_somebody(facts, standing, wanted, name)
    )
    if not bridges and not occupied:
        return Design(stale=_standing_of(facts, standing, ()), used=used)
    if not bridges:
        return Design(netplan=facts.own_netplan, port=facts.own_port, kept=occupied, used=used)
    uplink = find_uplink(facts, network, wanted.uplink or "")
    if uplink is None:
        return Design(used=used, faults=(_missing_uplink(facts, wanted),))
    faults = tuple(_faults(facts, wanted, standing, network, uplink, bridges))
    if faults:
        return Design(used=used, faults=faults)
    return _design(facts, wanted, standing, network, uplink, bridges, occupied, used)


def _design(
    facts: PreparationFacts,
    wanted: Wanted,
    standing: Standing,
    network: Mapping[str, Any],
    uplink: Uplink,
    bridges: list[Bridge],
    occupied: tuple[str, ...],
    used: tuple[str, ...],
) -> Design:
    id = uplink.definition.id if uplink.definition else uplink.link.name
    vlans = {
        _vlan_name(uplink, bridge.vlan): {"id": bridge.vlan, "link": id} | _NO_ADDRESSES
        for bridge in bridges
        if bridge.vlan
    }
    taken = next((bridge for bridge in bridges if not bridge.vlan and uplink.has_layer_3), None)
    ports = {
        bridge.name: _vlan_name(uplink, bridge.vlan) if bridge.vlan else uplink.link.name for bridge in bridges
    }
    bridge_settings = {
        bridge.name: _bridge(wanted, uplink, bridge, id, is_taking_over=bridge is taken) for bridge in bridges
    }
    for name in occupied:
        bridge_settings[name] = dict(standing.bridges[name])
        vlans |= {
            vlan: dict(standing.vlans[vlan])
            for vlan in bridge_settings[name].get("interfaces", [])
            if vlan in standing.vlans
        }
    content: dict[str, Any] = {"version": 2}
    if uplink.definition is None:
        content["ethernets"] = {id: dict(_uplink_settings(uplink, bridges))}
    content |= {"vlans": vlans} if vlans else {}
    content["bridges"] = bridge_settings
    devices = (*vlans, *bridge_settings)
    return Design(
        netplan=_netplan_text(wanted, content),
        port=_port_text(wanted, network, uplink, taken.name, vlans) if taken else _kept_port(facts, occupied),
        ports=ports,
        new=tuple(name for name in devices if name not in facts.links),
        stale=_standing_of(facts, standing, devices),
        kept=occupied,
        used=used,
        moved=tuple(address.text for address in uplink.link.global_addresses) if taken else (),
    )


def _bridge(wanted: Wanted, uplink: Uplink, bridge: Bridge, id: str, *, is_taking_over: bool) -> dict[str, Any]:
    if not is_taking_over:
        port = _vlan_name(uplink, bridge.vlan) if bridge.vlan else id
        mac = bridge_mac(wanted, bridge.name)
        return {"interfaces": [port], "macaddress": mac, "parameters": dict(_PARAMETERS)} | _NO_ADDRESSES
    settings = uplink.definition.settings if uplink.definition else {}
    # The uplink's own MAC address: DHCP servers and switches know the host by it.
    return {"macaddress": uplink.link.mac, "parameters": dict(_PARAMETERS)} | {
        key: settings[key] for key in _CARRIED if key in settings
    }


def _uplink_settings(uplink: Uplink, bridges: list[Bridge]) -> Mapping[str, Any]:
    is_port = any(not bridge.vlan for bridge in bridges)
    return _NO_ADDRESSES if is_port else _LEFT_ALONE


def _vlan_name(uplink: Uplink, vlan: int) -> str:
    """Return the subinterface's name: `eno1.110`, unless that is too long or netplan takes it for a NIC."""
    usual = f"{uplink.link.name}.{vlan}"
    is_taken = any(fnmatchcase(usual, pattern) for pattern in uplink.patterns)
    return f"azl-vlan{vlan}" if is_taken or len(usual) > _INTERFACE_LENGTH else usual


def _faults(
    facts: PreparationFacts,
    wanted: Wanted,
    standing: Standing,
    network: Mapping[str, Any],
    uplink: Uplink,
    bridges: list[Bridge],
) -> Iterator[str]:
    if not facts.has_systemd:
        yield (
            "netplan needs systemd, which doesn't run here: make the bridges by hand and write `prepare: false` "
            "under the host"
        )
    yield from faults_of_renderer(facts, network, uplink)
    tagged = [bridge for bridge in bridges if bridge.vlan]
    if tagged and not facts.has_vlans:
        yield (
            "its kernel has no 802.1Q VLANs (module 8021q), which "
            f"{', '.join(bridge.name for bridge in tagged)} needs: "
            "install the distribution's full kernel, or write `transport: vxlan` in the netplan"
        )
    for bridge in bridges:
        yield from _name_faults(facts, standing, network, uplink, wanted, bridge)
        if bridge.vlan:
            continue
        if uplink.link.kind == "bridge":
            yield (
                f"{uplink.link.name} is a bridge itself, so it can't be a port of {bridge.name}: name the NIC "
                "below it as the uplink, or give the network a VLAN"
            )
        elif uplink.link.master not in (None, bridge.name):
            yield (
                f"{uplink.link.name} is a port of {uplink.link.master} already, so {bridge.name} can't have it: "
                "name another NIC as the uplink, or give the network a VLAN"
            )
        elif uplink.has_layer_3:
            yield from faults_of_takeover(facts, uplink)


def _name_faults(
    facts: PreparationFacts,
    standing: Standing,
    network: Mapping[str, Any],
    uplink: Uplink,
    wanted: Wanted,
    bridge: Bridge,
) -> Iterator[str]:
    """Yield which interface of somebody else's is in the way."""
    defined = {definition.id for definition in definitions(network)}
    names = [bridge.name, *([_vlan_name(uplink, bridge.vlan)] if bridge.vlan else [])]
    for name in names:
        if name in defined:
            yield f"netplan defines {name} for somebody else: remove it there, or give this stack another name"
    if bridge.name in facts.links and facts.links[bridge.name].kind != "bridge":
        yield f"{bridge.name} stands and is no bridge: remove or rename it"
    for link in facts.links.values() if bridge.vlan else ():
        is_same = link.kind == "vlan" and (link.parent, link.vlan) == (uplink.link.name, bridge.vlan)
        is_ours = link.name in standing.vlans or link.master == bridge.name
        if (is_same or link.name in names[1:]) and not is_ours:
            yield (
                f"VLAN {bridge.vlan} of {uplink.link.name} is taken by {link.name}"
                f"{f' (a port of {link.master})' if link.master else ''}, which azlocal did not make for "
                f"{wanted.instance}: give the network another VLAN, or remove {link.name}"
            )


def _missing_uplink(facts: PreparationFacts, wanted: Wanted) -> str:
    cards = sorted(
        link.name for link in facts.links.values() if link.kind in ("", "bond", "veth") and link.name != "lo"
    )
    return (
        f"there is no interface {wanted.uplink}; it has {', '.join(cards) or 'none'}: correct `uplink` of the host"
    )


def _standing_of(facts: PreparationFacts, standing: Standing, but: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in (*standing.bridges, *standing.vlans) if name in facts.links and name not in but)


def _netplan_text(wanted: Wanted, content: Mapping[str, Any]) -> str:
    return _heading(wanted) + yaml.dump({"network": content}, Dumper=_Plain, sort_keys=False)


def _port_text(
    wanted: Wanted, network: Mapping[str, Any], uplink: Uplink, bridge: str, vlans: Mapping[str, Any]
) -> str:
    definition = uplink.definition
    ridden = definition.id if definition else uplink.link.name
    others = [
        str(id)
        for id, vlan in (network.get("vlans") or {}).items()
        if isinstance(vlan, dict) and vlan.get("link") == ridden
    ]
    mtu = definition.settings.get("mtu") if definition else None
    sections: list[tuple[str, list[tuple[str, str]]]] = [("Match", [("Name", uplink.link.name)])]
    if mtu:
        sections.append(("Link", [("MTUBytes", str(mtu))]))
    settings = [("Bridge", bridge), ("LinkLocalAddressing", "no"), ("IPv6AcceptRA", "no")]
    sections.append(("Network", settings + [("VLAN", name) for name in (*others, *vlans)]))
    blocks = ["\n".join((f"[{name}]", *(f"{key}={value}" for key, value in pairs))) for name, pairs in sections]
    return _heading(wanted) + "\n\n".join(blocks) + "\n"


def _kept_port(facts: PreparationFacts, occupied: tuple[str, ...]) -> str | None:
    lines = (facts.own_port or "").splitlines()
    return facts.own_port if any(f"Bridge={name}" in lines for name in occupied) else None


def _heading(wanted: Wanted) -> str:
    return (
        f"# Made by azlocal for instance {wanted.instance}; the next `pulumi up` undoes what is changed here.\n"
        f"{wanted.mark_line}\n"
    )


class _Plain(yaml.SafeDumper):
    """Writes settings that several interfaces share in full for each."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
