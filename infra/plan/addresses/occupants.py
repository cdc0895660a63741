"""What has an address already, whatever the plan does: every address that any of the three files names."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Literal
from urllib.parse import urlsplit

from infra.plan.addresses.claims import Claim
from infra.plan.addresses.layout import Network
from infra.plan.addresses.lock import Lock
from infra.plan.addresses.plan import Use
from infra.plan.inventory import services_name
from infra.spec.connections import literal_address
from infra.spec.findings import KeyPath
from infra.spec.hosts import HostSpec
from infra.spec.loader import FileKind, InstanceSpec
from infra.spec.machine_names import plan_name
from infra.spec.netplan import Netplan, proxy_host
from infra.spec.types import AddressRange, parse_ranges

# Far more addresses than services have; what goes beyond breaks a rule, the plan need not list it.
_MOST_LISTED = 65_536

# What names an address: who has it (host, gateway, endpoint, balancer), a way to a host, a service that may run on
# anybody's machine, a note of the netplan, or a server that hands it out.
Role = Literal["host", "way", "gateway", "service", "endpoint", "reservation", "balancer", "dhcp"]


@dataclass(frozen=True, slots=True)
class Occupant:
    """Addresses that somebody has by the files alone.

    Attributes:
        span: The addresses.
        owner: Who has them.
        use: What for.
        why: The reason, in a sentence.
        cluster: The cluster they belong to, if any.
        file: The file that says so.
        path: Where it says so.
        network: Index of the network it was given for; None where the netplan doesn't tie it to one.
        number: Of a service's addresses, the number of the first.
        most: How many of the addresses the plan lists.
        role: What kind of thing names the addresses.
    """

    span: AddressRange
    owner: str
    use: Use
    why: str
    cluster: str | None
    file: FileKind
    path: KeyPath
    network: int | None = None
    number: int = 0
    most: int = 1
    role: Role = "reservation"

    @property
    def listed(self) -> AddressRange | None:
        """Return the addresses that the plan lists, which has a bound."""
        if self.most < 1:
            return None
        return AddressRange(self.span.first, min(self.span.last, self.span.first + self.most - 1))


def build_occupants(
    spec: InstanceSpec, networks: list[Network], claims: list[Claim], lock: Lock | None = None
) -> list[Occupant]:
    """Return what has an address already; where two share one, the first that is listed holds it.

    Args:
        spec: What people wrote.
        networks: The networks as integers.
        claims: Who needs an address: what names one of them is its pin, and no occupant.
        lock: What earlier plans gave out: a service of the site's own clusters may be named elsewhere.
    """
    owners = {claim.owner for claim in claims}
    balancers = list(_balancers(spec, networks))
    return [
        *_hosts(spec),
        *_gateways(networks),
        *_dns_servers(spec, networks),
        *balancers,
        *_services(spec),
        *(occupant for occupant in _urls(spec) if not _is_own_service(occupant, balancers, lock)),
        *(occupant for occupant in _reservations(spec) if plan_name(occupant.owner, spec.name, owners) is None),
        *_ways(spec),
        *_dhcp(networks),
    ]


def pin_claims(spec: InstanceSpec, claims: list[Claim]) -> list[Claim]:
    """Return the claims with the reservations that name them as their pins; a `hostIP` goes first."""
    owners = {claim.owner for claim in claims}
    pins = {
        owner: int(reservation.address)
        for reservation in reversed(spec.netplan.reservations)
        if (owner := plan_name(reservation.owner, spec.name, owners))
    }
    return [
        replace(claim, pin=pins[claim.owner]) if claim.pin is None and claim.owner in pins else claim
        for claim in claims
    ]


def _range_of(address: int) -> AddressRange:
    return AddressRange(address, address)


def _hosts(spec: InstanceSpec) -> Iterator[Occupant]:
    gateway = spec.netplan.infrastructure.gateway
    # libvirt or a mesh gives a gateway's address to a host, which may well be managed at it.
    holder = next((standing for standing in spec.standing_hosts if standing.management_address == gateway), None)
    for index, host in enumerate(spec.hosts.hosts):
        if host is holder and spec.holds_gateways(host):
            continue
        if host.management_address is not None:
            path = ("hosts", index, "managementAddress")
            why = "the host's management address"
            span = _range_of(int(host.management_address))
            yield Occupant(span, host.name, "host", why, None, "hosts", path, 0, role="host")


def host_addresses(host: HostSpec) -> Iterator[tuple[str, int, str]]:
    """Yield every address by which the files know a host: the key, the address, and what is there."""
    if host.management_address is not None:
        yield "managementAddress", int(host.management_address), "management address"
    named = host.way.address
    if isinstance(named, IPv4Address) and not host.way.is_forwarded:
        yield "connection", int(named), "address"
    if host.tunnel_address is not None:
        yield "tunnelAddress", int(host.tunnel_address), "tunnel address"


def _ways(spec: InstanceSpec) -> Iterator[Occupant]:
    """Yield how hosts are reached; by a port of its own, the address can be that of whoever forwards it."""
    for index, host in enumerate(spec.hosts.hosts):
        named = host.way.address
        if isinstance(named, IPv4Address):
            role: Role = "service" if host.way.is_forwarded else "way"
            why, path = "ssh reaches the host here", ("hosts", index, "connection")
            yield Occupant(_range_of(int(named)), host.name, "host", why, None, "hosts", path, role=role)
        if host.tunnel_address is not None:
            why, path = "the host's end of VXLAN tunnels", ("hosts", index, "tunnelAddress")
            span = _range_of(int(host.tunnel_address))
            yield Occupant(span, host.name, "host", why, None, "hosts", path, role="way")


def _gateways(networks: list[Network]) -> Iterator[Occupant]:
    for network in networks:
        also = " and DNS server" if network.gateway in network.dns_servers else ""
        why = f"default gateway{also} of network {network.name}"
        path, span = (*network.path, "gateway"), _range_of(network.gateway)
        yield Occupant(span, "gateway", "gateway", why, None, "netplan", path, network.index, role="gateway")


def _dns_servers(spec: InstanceSpec, networks: list[Network]) -> Iterator[Occupant]:
    for network in networks:
        for index, server in enumerate(network.dns_servers):
            path = (*network.path, "dnsServers", index)
            why = f"DNS server of network {network.name}"
            yield Occupant(_range_of(server), "dns", "dns", why, None, "netplan", path, role="service")
    for number, host in enumerate(spec.hosts.hosts):
        for index, address in enumerate(host.dns_servers or ()):
            where: KeyPath = ("hosts", number, "dnsServers", index)
            why = f"DNS server of host {host.name}"
            yield Occupant(_range_of(int(address)), "dns", "dns", why, None, "hosts", where, role="service")


def _dhcp(networks: list[Network]) -> Iterator[Occupant]:
    for network in networks:
        for index, span in enumerate(network.dhcp):
            path = (*network.path, "dhcpRanges", index)
            why = f"a DHCP server of network {network.name} hands it out"
            home = network.index
            yield Occupant(span, "dhcp", "reserved", why, None, "netplan", path, home, most=0, role="dhcp")


def _reservations(spec: InstanceSpec) -> Iterator[Occupant]:
    for index, reservation in enumerate(spec.netplan.reservations):
        path = ("reservations", index)
        why = "reserved in the netplan"
        yield Occupant(
            _range_of(int(reservation.address)), reservation.owner, "reserved", why, None, "netplan", path
        )


def proxy_addresses(netplan: Netplan) -> Iterator[tuple[KeyPath, int]]:
    """Yield where a proxy is named by its address, and the address."""
    proxy = netplan.proxy
    for key, url in (("httpProxy", proxy.http_proxy), ("httpsProxy", proxy.https_proxy)) if proxy else ():
        address = literal_address(proxy_host(url or "") or "")
        if isinstance(address, IPv4Address):
            yield ("proxy", key), int(address)


def _services(spec: InstanceSpec) -> Iterator[Occupant]:
    netplan, arc = spec.netplan, spec.stack.arc
    proxies = {address: path for path, address in proxy_addresses(netplan)}  # one may serve both protocols
    for address, path in proxies.items():
        yield Occupant(_range_of(address), "proxy", "reserved", "the proxy", None, "netplan", path, role="service")
    if arc is not None and arc.emulator_address is not None:
        span, where = _range_of(int(arc.emulator_address)), ("arc", "emulatorAddress")
        why = "the emulator"
        yield Occupant(span, "emulator", "reserved", why, None, "stack", where, role="service")
    for index, endpoint in enumerate(netplan.private_endpoints):
        place: KeyPath = ("privateEndpoints", index, "privateIPAddress")
        span, why = _range_of(int(endpoint.private_ip_address)), "a private endpoint"
        yield Occupant(span, endpoint.name, "reserved", why, None, "netplan", place, role="endpoint")


def named_urls(spec: InstanceSpec) -> Iterator[tuple[KeyPath, str, str, str]]:
    """Yield what the stack's URLs name: the place, the host, who it is in a word, and in words."""
    arc = spec.stack.arc
    named: list[tuple[KeyPath, str | None, str, str]] = []
    if arc is not None:
        named.append((("arc", "resourceManager"), arc.resource_manager, "azure", "Azure Resource Manager"))
    for index, cluster in enumerate(spec.stack.clusters):
        issuer: KeyPath = ("clusters", index, "arc", "oidcIssuer", "selfHostedIssuerUrl")
        named.append((issuer, cluster.arc.oidc_issuer.self_hosted_issuer_url, "oidc", "the OIDC issuer"))
        for number, flux in enumerate(cluster.arc.flux_configurations):
            place = ("clusters", index, "arc", "fluxConfigurations", number, "gitRepository", "url")
            why = f"the repository of Flux configuration {flux.name}"
            named.append((place, flux.git_repository.url, "git", why))
    for path, url, owner, why in named:
        with suppress(ValueError):
            if host := urlsplit(url or "").hostname:
                yield path, host, owner, why


def _urls(spec: InstanceSpec) -> Iterator[Occupant]:
    """Yield what the stack's URLs name by an address."""
    for path, host, owner, why in named_urls(spec):
        address = literal_address(host)
        if isinstance(address, IPv4Address):
            yield Occupant(_range_of(int(address)), owner, "reserved", why, None, "stack", path, role="service")


def _is_own_service(occupant: Occupant, balancers: list[Occupant], lock: Lock | None) -> bool:
    """Tell whether a cluster of the site serves at the address itself."""
    holder = lock.given.get(occupant.span.first) if lock else None
    is_given = holder is not None and holder.use == "loadBalancer"
    return is_given or any(occupant.span.first in balancer.span for balancer in balancers)


def _balancers(spec: InstanceSpec, networks: list[Network]) -> Iterator[Occupant]:
    by_name = {network.name: network.index for network in reversed(networks) if network.index}
    room = _MOST_LISTED
    for index, cluster in enumerate(spec.stack.clusters):
        count = 0
        for number, text in enumerate(cluster.load_balancer.addresses):
            for span in parse_ranges(text):
                yield Occupant(
                    span=span,
                    owner=services_name(cluster.name),
                    use="loadBalancer",
                    why="a service's address, as given in loadBalancer.addresses",
                    cluster=cluster.name,
                    file="stack",
                    path=("clusters", index, "loadBalancer", "addresses", number),
                    network=by_name.get(cluster.logical_network),
                    number=count,
                    most=min(room, len(span)),
                    role="balancer",
                )
                count += len(span)
                room -= min(room, len(span))
