"""How networks reach several hosts: VLANs on uplinks, or a VXLAN mesh between them (RFC 7348)."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from infra.plan.rules.base import Facts, Fault, rule


@rule("hosts-not-joined", source="azlocal", severity="warning")
def hosts_not_joined(facts: Facts) -> Iterator[Fault]:
    """Networks of several hosts are joined, by uplinks or by a mesh."""
    hosts = facts.spec.hosts.hosts
    if facts.spec.netplan.transport == "vxlan" or len(hosts) < 2:
        return
    for index, host in enumerate(hosts):
        if host.uplink is None:
            message = f"host {host.name} has no uplink: its machines can't reach those on other hosts"
            remedy = "name the uplink, the NIC that carries the VLANs; or set transport: vxlan in the netplan"
            yield Fault("hosts", ("hosts", index), message, remedy)


@rule("uplink-is-loopback", source="netdevice(7)")
def uplink_is_loopback(facts: Facts) -> Iterator[Fault]:
    """An uplink leads out of its host."""
    for index, host in enumerate(facts.spec.hosts.hosts):
        if host.uplink == "lo":
            message = f"uplink lo of host {host.name} leads to the host itself, and is no port of a bridge"
            remedy = "name the NIC that carries the VLANs; `ip -br link` shows the host's"
            yield Fault("hosts", ("hosts", index, "uplink"), message, remedy)


@rule("tunnel-address-missing", source="RFC 7348")
def tunnel_address_missing(facts: Facts) -> Iterator[Fault]:
    """Each host of a mesh has an address at which the others reach it."""
    if facts.is_meshed:
        for index, host in enumerate(facts.spec.hosts.hosts):
            if host.underlay_address is None or host.underlay_address.is_loopback:
                named = f"only {host.underlay_address}" if host.underlay_address else "none"
                message = f"host {host.name} has no address for VXLAN: {host.connection} names {named}"
                remedy = "add tunnelAddress, an address of the host that the other hosts reach"
                yield Fault("hosts", ("hosts", index), message, remedy)


@rule("tunnel-address-clash", source="RFC 7348")
def tunnel_address_clash(facts: Facts) -> Iterator[Fault]:
    """Two hosts of a mesh have different addresses, and none lies in a network that the mesh itself carries."""
    seen: dict[IPv4Address, str] = {}
    for place, host, address in facts.tunnel_ends:
        if address in seen:
            message = f"hosts {seen[address]} and {host.name} are both reached at {address}"
            yield Fault("hosts", place, message, "give each host the address that it has itself")
        seen.setdefault(address, host.name)
        for network in facts.networks:
            if int(address) in network.span:
                message = f"{address} lies in {network.name}, {network.prefix}, which the mesh carries"
                remedy = "VXLAN needs a network below it: plan another prefix, or use another address of the host"
                yield Fault("hosts", place, message, remedy)


@rule("unknown-gateway-host", source="azlocal")
def unknown_gateway_host(facts: Facts) -> Iterator[Fault]:
    """The host that holds a mesh's gateways is one of the hosts."""
    name = facts.spec.netplan.gateway_host
    names = [host.name for host in facts.spec.hosts.hosts]
    if name is not None and name not in names:
        yield Fault("netplan", ("gatewayHost",), f"there is no host '{name}'", f"name one of {', '.join(names)}")


@rule("gateway-host-without-effect", source="azlocal", severity="warning")
def gateway_host_without_effect(facts: Facts) -> Iterator[Fault]:
    """A host is named for the gateways where there is a mesh: VLANs have theirs on the switch."""
    netplan = facts.spec.netplan
    if netplan.gateway_host is not None and netplan.transport != "vxlan":
        message = f"gatewayHost {netplan.gateway_host} has no effect: the switch routes between VLANs"
        yield Fault("netplan", ("gatewayHost",), message, "remove gatewayHost, or write transport: vxlan")


@rule("mesh-needs-route", source="azlocal", severity="info")
def mesh_needs_route(facts: Facts) -> Iterator[Fault]:
    """Who works with a cluster behind a mesh has a route to its network."""
    if not facts.is_meshed:
        return
    holder = facts.spec.gateway_host
    if holder.is_local:
        return
    for network in facts.logical:
        if network.name in facts.used:
            message = f"clusters on {network.name} are reached through host {holder.name}, which holds its gateway"
            remedy = (
                f"ip route add {network.prefix} via {holder.underlay_address}, here and where they are used from"
            )
            yield Fault("netplan", (*network.path, "addressPrefix"), message, remedy)
