"""What has an address already, whatever the plan does: gateways, DNS servers, hosts, reservations, ranges."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address

from infra.addresses.claims import Claim
from infra.addresses.layout import Network
from infra.addresses.plan import Use
from infra.spec.findings import KeyPath
from infra.spec.loader import FileKind, InstanceSpec
from infra.spec.netplan import Netplan, proxy_host
from infra.spec.types import AddressRange, parse_ranges

# Far more addresses than services have; what goes beyond breaks a rule, the plan need not list it.
_MOST_LISTED = 65_536


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

    @property
    def listed(self) -> AddressRange | None:
        """Return the addresses that the plan lists, which has a bound."""
        if self.most < 1:
            return None
        return AddressRange(self.span.first, min(self.span.last, self.span.first + self.most - 1))


def build_occupants(spec: InstanceSpec, networks: list[Network], claims: list[Claim]) -> list[Occupant]:
    """Return what has an address already; where two share one, the first that is listed holds it."""
    owners = {name for claim in claims for name in (claim.owner, f"{spec.name}/{claim.owner}")}
    return [
        *_hosts(spec),
        *_gateways(networks),
        *_dns_servers(networks),
        *_balancers(spec, networks),
        *_services(spec.netplan),
        *(one for one in _reservations(spec) if one.owner not in owners),
    ]


def pin_claims(spec: InstanceSpec, claims: list[Claim]) -> list[Claim]:
    """Return the claims with the reservations that name them as their pins; a `hostIP` goes first."""
    start = f"{spec.name}/"
    pins = {one.owner.removeprefix(start): int(one.address) for one in reversed(spec.netplan.reservations)}
    return [
        replace(claim, pin=pins[claim.owner]) if claim.pin is None and claim.owner in pins else claim
        for claim in claims
    ]


def _one(address: int) -> AddressRange:
    return AddressRange(address, address)


def _hosts(spec: InstanceSpec) -> Iterator[Occupant]:
    for index, host in enumerate(spec.hosts.hosts):
        if host.management_address is not None:
            path = ("hosts", index, "managementAddress")
            why = "the host's management address"
            span = _one(int(host.management_address))
            yield Occupant(span, host.name, "host", why, None, "hosts", path, 0)


def _gateways(networks: list[Network]) -> Iterator[Occupant]:
    for network in networks:
        also = " and DNS server" if network.gateway in network.dns_servers else ""
        why = f"default gateway{also} of network {network.name}"
        path = (*network.path, "gateway")
        yield Occupant(_one(network.gateway), "gateway", "gateway", why, None, "netplan", path, network.index)


def _dns_servers(networks: list[Network]) -> Iterator[Occupant]:
    for network in networks:
        for index, server in enumerate(network.dns_servers):
            path = (*network.path, "dnsServers", index)
            why = f"DNS server of network {network.name}"
            yield Occupant(_one(server), "dns", "dns", why, None, "netplan", path)


def _reservations(spec: InstanceSpec) -> Iterator[Occupant]:
    for index, one in enumerate(spec.netplan.reservations):
        path = ("reservations", index)
        why = "reserved in the netplan"
        yield Occupant(_one(int(one.address)), one.owner, "reserved", why, None, "netplan", path)


def proxy_addresses(netplan: Netplan) -> Iterator[tuple[KeyPath, int]]:
    """Yield where a proxy is named by its address, and the address."""
    proxy = netplan.proxy
    for key, url in (("httpProxy", proxy.http_proxy), ("httpsProxy", proxy.https_proxy)) if proxy else ():
        try:
            yield ("proxy", key), int(IPv4Address(proxy_host(url or "") or ""))
        except AddressValueError:
            continue


def _services(netplan: Netplan) -> Iterator[Occupant]:
    proxies = {address: path for path, address in proxy_addresses(netplan)}  # one may serve both protocols
    for address, path in proxies.items():
        yield Occupant(_one(address), "proxy", "reserved", "the proxy", None, "netplan", path)
    for index, one in enumerate(netplan.private_endpoints):
        where = ("privateEndpoints", index, "privateIPAddress")
        span, why = _one(int(one.private_ip_address)), "a private endpoint"
        yield Occupant(span, one.name, "reserved", why, None, "netplan", where)


def _balancers(spec: InstanceSpec, networks: list[Network]) -> Iterator[Occupant]:
    by_name = {network.name: network.index for network in reversed(networks) if network.index}
    room = _MOST_LISTED
    for index, cluster in enumerate(spec.stack.clusters):
        count = 0
        for number, text in enumerate(cluster.load_balancer.addresses):
            for span in parse_ranges(text):
                yield Occupant(
                    span=span,
                    owner=f"{cluster.name}-lb",
                    use="loadBalancer",
                    why="a service's address, as given in loadBalancer.addresses",
                    cluster=cluster.name,
                    file="stack",
                    path=("clusters", index, "loadBalancer", "addresses", number),
                    network=by_name.get(cluster.logical_network),
                    number=count,
                    most=min(room, len(span)),
                )
                count += len(span)
                room -= min(room, len(span))
