"""The host's interfaces and routes, and what our networks would do to them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from infra.counting import counted
from infra.doctor.checks.base import (
    Skip,
    Subject,
    Verdict,
    check,
    failed,
    known,
    listed,
    ok,
    skip_unless,
    warning,
)
from infra.doctor.wanted import WantedNetwork
from infra.hosts.facts.network import Link, Network

_GUEST_MTU: Final = 1500
_VXLAN_OVERHEAD: Final = 50
_NICS: Final = 2
_SLOW_MBITS: Final = 1000
_LEAST_INNER_MTU: Final = 1280


@check("management-address", source="NETCON")
def management_address(subject: Subject) -> Verdict:
    """Host has its management address."""
    network = known(subject.facts.network)
    wanted = subject.host.management_address
    if wanted is None:
        raise Skip("the hosts file names no managementAddress")
    skip_unless(subject.host.uplink, "the infrastructure network isn't the host's own: azlocal makes it")
    holder = network.holder(wanted)
    if holder is None:
        has = [str(address.ip) for link in network.links for address in link.ipv4 if not address.is_loopback]
        return failed(
            f"no interface has {wanted}; the host has {listed(has) or 'no address'}",
            f"correct managementAddress in {subject.host.where}, or give the host that address",
        )
    return ok(f"{wanted} on {holder.name}")


@check("nics", source="SYS")
def nics(subject: Subject) -> Verdict:
    """Two network adapters."""
    names = [link.name for link in known(subject.facts.network).links if not link.kind and link.name != "lo"]
    if len(names) < _NICS:
        return warning(listed(names) or "none", "Azure Local asks for two; a lab may do with one")
    return ok(listed(names))


@check("uplink")
def uplink(subject: Subject) -> Verdict:
    """Uplink exists and can carry a bridge."""
    network = known(subject.facts.network)
    name = _uplink_name(subject)
    link = network.link(name)
    if link is None:
        there = [nic.name for nic in network.links if not nic.kind and nic.name != "lo"]
        return failed(
            f"there is no interface {name}; there are {listed(there) or 'none'}",
            f"correct uplink in {subject.host.where}",
        )
    if link.is_wireless:
        return failed(f"{name} is Wi-Fi, which can't be a port of a bridge", "take a wired NIC as uplink")
    if not link.is_up:
        return failed(f"{name} is switched off", f"`ip link set {name} up`, and in the host's netplan")
    return ok(f"{name}, {link.kind or 'a NIC'}")


@check("uplink-carrier")
def uplink_carrier(subject: Subject) -> Verdict:
    """Uplink has a carrier."""
    link = _uplink(subject)
    if not link.has_carrier:
        return failed(f"{link.name} has none", "plug in its cable; is the switch's port on?")
    return ok("yes")


@check("uplink-speed", source="LOWCAP")
def uplink_speed(subject: Subject) -> Verdict:
    """Uplink is fast enough."""
    link = _uplink(subject)
    if link.speed is None:
        raise Skip(f"{link.name}'s driver doesn't tell its speed")
    if link.speed < _SLOW_MBITS:
        return warning(
            f"{link.speed:,} Mbit/s", "look at cable and switch: Azure Local asks for 1 Gbit/s at the very least"
        )
    return ok(f"{link.speed:,} Mbit/s")


@check("own-connection")
def own_connection(subject: Subject) -> Verdict:
    """Bridges leave the host's own connection alone.

    An untagged network makes the uplink a port of its bridge, and then the host's addresses must be there.
    """
    network = known(subject.facts.network)
    link = _uplink(subject)
    untagged = [wanted for wanted in subject.host.networks if wanted.mode == "bridge" and wanted.vlan == 0]
    if not untagged:
        return ok(f"all networks are VLANs of {link.name}, which keeps its addresses")
    bridge = untagged[0].bridge
    if link.master == bridge:
        return ok(f"{link.name} is a port of {bridge} already")
    if link.master is not None:
        return failed(
            f"{link.name} is a port of {link.master} already, and network {untagged[0].name} is untagged",
            f"give the network a VLAN, name {link.master}'s other port, or take {link.name} out of {link.master}",
        )
    carried = _carried(subject, network, link)
    if not carried:
        return ok(f"{link.name} carries nothing of the host's own")
    return warning(
        f"{link.name} carries {listed(carried)}: network {untagged[0].name} is untagged, so {link.name} becomes a "
        f"port of {bridge} and its addresses move there",
        "the change is taken back by itself when the host doesn't answer afterwards; or give the network a VLAN, "
        "or take another NIC as uplink",
    )


@check("bridges")
def bridges(subject: Subject) -> Verdict:
    """Kernel has bridges."""
    if not known(subject.facts.link_kinds).bridge:
        return failed("no interface of kind bridge can be made", "`modprobe bridge`, or another kernel")
    return ok("a bridge could be made")


@check("vlans")
def vlans(subject: Subject) -> Verdict:
    """Kernel has VLANs."""
    tagged = [wanted for wanted in subject.host.networks if wanted.mode == "bridge" and wanted.vlan]
    skip_unless(tagged, "no network there has a VLAN")
    if not known(subject.facts.link_kinds).vlan:
        return failed(
            f"no VLAN can be made, and network {tagged[0].name} has VLAN {tagged[0].vlan}",
            "`modprobe 8021q`, another kernel, or `transport: vxlan` in the netplan",
        )
    return ok("a VLAN could be made")


@check("vxlan", source="IP")
def vxlan(subject: Subject) -> Verdict:
    """Kernel has VXLAN.

    Networks between hosts need it with `transport: vxlan`; Calico in containers, which share the kernel.
    """
    skip_unless(subject.instance.is_meshed or subject.instance.runs_containers, "nothing there uses VXLAN")
    if not known(subject.facts.link_kinds).vxlan:
        return failed("no interface of kind vxlan can be made", "`modprobe vxlan`, or another kernel")
    return ok("a VXLAN interface could be made")


@check("mtu", source="IP")
def mtu(subject: Subject) -> Verdict:
    """Networks carry packets of 1500 bytes."""
    network = known(subject.facts.network)
    if subject.instance.is_meshed:
        return _underlay_mtu(subject, network)
    link = _uplink(subject)
    if link.mtu < _GUEST_MTU:
        return failed(
            f"{link.name} carries {link.mtu}, machines send {_GUEST_MTU}",
            f"set {link.name}'s MTU to {_GUEST_MTU} or more, on the switch too",
        )
    return ok(f"{link.name} carries {link.mtu}")


@check("route-overlap")
def route_overlap(subject: Subject) -> Verdict:
    """Our networks overlap none of the host's."""
    network = known(subject.facts.network)
    clashes = list(_overlaps(subject, network))
    if not clashes:
        return ok(f"{counted(len(subject.host.networks), 'network')}, {counted(len(network.routes), 'route')}")
    remedy = "give the network another addressPrefix in the netplan, or remove the host's route"
    cut = [text for wanted, text in clashes if wanted.holds_gateway]
    if cut:
        return failed(f"{listed(cut)}: the host would lose what is there", remedy)
    return warning(f"{listed([text for _, text in clashes])}: the host answers that network elsewhere", remedy)


@check("address-overlap")
def address_overlap(subject: Subject) -> Verdict:
    """No planned address is the host's own."""
    network = known(subject.facts.network)
    planned = dict(subject.instance.addresses)
    ours = _our_bridges(subject)
    taken = [
        f"{address.ip} of {planned[address.ip]} is on {link.name}"
        for link in network.links
        for address in link.ipv4
        if address.ip in planned and link.name not in ours
    ]
    if taken:
        return failed(
            listed(taken),
            "reserve the address in the netplan, or take it from the host; two answer there otherwise",
        )
    return ok(f"none of {len(planned)}")


@check("reserved-overlap", source="NETCON")
def reserved_overlap(subject: Subject) -> Verdict:
    """Host isn't inside pods' or services' networks."""
    network = known(subject.facts.network)
    skip_unless(subject.instance.reserved, "the stack has no clusters")
    inside = [
        f"{address} ({link.name}) lies in {prefix}, the {whose}'"
        for link in network.links
        for address in link.ipv4
        for prefix, whose in subject.instance.reserved
        if address.ip in prefix
    ]
    if inside:
        return failed(
            listed(inside),
            "give the host an address elsewhere, or the cluster another podCidr: pods don't reach it",
        )
    return ok(listed([f"{prefix}" for prefix, _ in subject.instance.reserved]))


def _uplink_name(subject: Subject) -> str:
    if subject.host.uplink is None:
        raise Skip("no network there is on an uplink")
    return subject.host.uplink


def _uplink(subject: Subject) -> Link:
    link = known(subject.facts.network).link(_uplink_name(subject))
    if link is None:
        raise Skip("the uplink doesn't exist")
    return link


def _carried(subject: Subject, network: Network, link: Link) -> list[str]:
    """Return what of the host's own connection goes by an interface."""
    server = subject.facts.access.server_address
    carried = []
    if server is not None and any(address.ip == server for address in link.ipv4):
        carried.append(f"this SSH connection ({server})")
    if link.name in network.default_devices:
        carried.append("the default route")
    carried += [f"the address {address}" for address in link.ipv4 if address.ip != server]
    return carried


def _underlay_mtu(subject: Subject, network: Network) -> Verdict:
    address = subject.host.underlay_address
    link = network.holder(address) if address else None
    if link is None:
        return failed(
            f"no interface has {address}, by which other hosts reach this one",
            f"correct tunnelAddress or connection in {subject.host.where}",
        )
    planned = subject.instance.underlay_mtu
    if link.mtu < planned:
        return failed(
            f"{link.name} carries {link.mtu}, the netplan's underlayMtu is {planned}",
            f"set {link.name}'s MTU to {planned}, or underlayMtu in the netplan to {link.mtu}",
        )
    inner = planned - _VXLAN_OVERHEAD
    seen = f"{link.name} carries {link.mtu}, machines get {inner}"
    if inner < _LEAST_INNER_MTU:
        return failed(seen, f"raise underlayMtu: Calico's own VXLAN needs {_LEAST_INNER_MTU} at least")
    if inner < _GUEST_MTU:
        wanted = _GUEST_MTU + _VXLAN_OVERHEAD
        return warning(
            seen,
            f"for {_GUEST_MTU}, carry {wanted} between hosts (NICs and switch), and set underlayMtu: {wanted}",
        )
    return ok(seen)


def _our_bridges(subject: Subject) -> set[str]:
    return {network.bridge for network in subject.host.networks}


def _overlaps(subject: Subject, network: Network) -> Iterator[tuple[WantedNetwork, str]]:
    """Yield networks of ours and what of the host's own they meet, our own bridges and the uplink aside."""
    for wanted in subject.host.networks:
        for route in network.routes:
            if route.is_default or not route.destination.overlaps(wanted.prefix):
                continue
            if _is_ours(subject, network, route.device) or _is_management(subject, wanted, route.destination):
                continue
            yield (
                wanted,
                f"{wanted.name} {wanted.prefix} meets {route.destination} on {route.device or 'no interface'}",
            )


def _is_ours(subject: Subject, network: Network, device: str | None) -> bool:
    link = network.link(device or "")
    names = _our_bridges(subject) | ({subject.host.uplink} if subject.host.uplink else set())
    return device in names or (link is not None and link.parent in names)


def _is_management(subject: Subject, wanted: WantedNetwork, destination: IPv4Network | IPv6Network) -> bool:
    """Return whether it is the network that the host itself is meant to be in."""
    address = subject.host.management_address
    return wanted.mode != "nat" and address is not None and address in destination and address in wanted.prefix
