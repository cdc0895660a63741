"""What machines must reach: DNS servers, private endpoints, the emulator (azure_local_facts.md §2.5, §2.7)."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from infra.plan.addresses.layout import Network
from infra.plan.addresses.numbers import address_text, range_text
from infra.plan.addresses.occupants import Occupant, host_addresses, named_urls, proxy_addresses
from infra.plan.rules.base import Facts, Fault, rule
from infra.plan.rules.ranges import reserved_block, span_of
from infra.spec.connections import is_this_machine, literal_address, url_host_fault
from infra.spec.findings import KeyPath, shown

_AZURE_RESOLVER = int(IPv4Address("168.63.129.16"))
# Resolvers anybody on the internet can ask: none knows the names of an instance and its domain.
PUBLIC_RESOLVERS = {
    int(IPv4Address(address)): owner
    for owner, addresses in {
        "Google": ("8.8.8.8", "8.8.4.4"),
        "Cloudflare": ("1.1.1.1", "1.0.0.1", "1.1.1.2", "1.0.0.2", "1.1.1.3", "1.0.0.3"),
        "Quad9": ("9.9.9.9", "149.112.112.112", "9.9.9.10", "149.112.112.10", "9.9.9.11", "149.112.112.11"),
        "OpenDNS": ("208.67.222.222", "208.67.220.220", "208.67.222.123", "208.67.220.123"),
        "Level 3": (
            "4.2.2.1",
            "4.2.2.2",
            "4.2.2.3",
            "4.2.2.4",
            "4.2.2.5",
            "4.2.2.6",
            "209.244.0.3",
            "209.244.0.4",
        ),
        "AdGuard": ("94.140.14.14", "94.140.15.15", "94.140.14.15", "94.140.15.16"),
        "Comodo": ("8.26.56.26", "8.20.247.20"),
        "CleanBrowsing": ("185.228.168.9", "185.228.169.9", "185.228.168.168", "185.228.169.168"),
        "Verisign": ("64.6.64.6", "64.6.65.6"),
        "DNS.SB": ("185.222.222.222", "45.11.45.11"),
        "AliDNS": ("223.5.5.5", "223.6.6.6"),
        "DNSPod": ("119.29.29.29",),
        "114DNS": ("114.114.114.114", "114.114.115.115"),
        "Yandex": ("77.88.8.8", "77.88.8.1"),
    }.items()
    for address in addresses
}


@rule("public-dns", source="NETCON")
def public_dns(facts: Facts) -> Iterator[Fault]:
    """No DNS server is a public resolver: it doesn't know the instance's own names."""
    for network, path, server in _dns_servers(facts):
        if server in PUBLIC_RESOLVERS:
            message = (
                f"DNS server {address_text(server)} of network {network.name} is {PUBLIC_RESOLVERS[server]}'s "
                "public resolver, which is unsupported"
            )
            remedy = "use a DNS server of your own that knows the instance's names and forwards the others"
            yield Fault("netplan", path, message, remedy)


@rule(
    "dns-of-azure-alone",
    source="https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16",
    severity="warning",
)
def dns_of_azure_alone(facts: Facts) -> Iterator[Fault]:
    """Azure's own resolver, 168.63.129.16, answers virtual machines in Azure, and nobody at a site."""
    for network, path, server in _dns_servers(facts):
        if server == _AZURE_RESOLVER:
            whom = "answers virtual machines in Azure only"
            message = f"DNS server {address_text(server)} of network {network.name} {whom}"
            remedy = "fine where the hosts are such machines; else use a DNS server of the site"
            yield Fault("netplan", path, message, remedy)


@rule("dns-in-reserved-range", source="NETCON")
def dns_in_reserved_range(facts: Facts) -> Iterator[Fault]:
    """No DNS server lies in the blocks that AKS and the resource bridge use inside."""
    for _, path, server in _dns_servers(facts):
        if block := reserved_block(server):
            message = f"DNS server {address_text(server)} lies in {block}; nodes can't reach it there"
            yield Fault("netplan", path, message, "use a DNS server outside the block")


@rule("dns-not-a-host", source="RFC 1122")
def dns_not_a_host(facts: Facts) -> Iterator[Fault]:
    """A DNS server has no network's first or last address."""
    edges = {
        edge: network
        for network in facts.networks
        for edge in (network.span.first, network.span.last)
        if edge not in network.usable
    }
    for _, path, server in _dns_servers(facts):
        if server in edges:
            of = edges[server]
            message = f"DNS server {address_text(server)} is no host's address in network {of.name} ({of.prefix})"
            yield Fault("netplan", path, message, f"its machines have {range_text(of.usable)}")


@rule("duplicate-dns", source="azlocal", severity="warning")
def duplicate_dns(facts: Facts) -> Iterator[Fault]:
    """A DNS server is named once in its network."""
    seen: set[tuple[int, int]] = set()
    for network, path, server in _dns_servers(facts):
        if (network.index, server) in seen:
            message = f"DNS server {address_text(server)} stands twice in network {network.name}"
            yield Fault("netplan", path, message, "remove one of the two, or name another server")
        seen.add((network.index, server))


@rule("dns-inside-instance", source="NETCON")
def dns_inside_instance(facts: Facts) -> Iterator[Fault]:
    """At least one of the infrastructure's DNS servers runs outside the instance, else it can't start."""
    network = facts.networks[0]
    inside = [span for other in facts.networks for span in other.giving]
    inside += [occupant.span for occupant in facts.occupants if occupant.use == "loadBalancer"]
    if network.dns_servers and all(any(server in span for span in inside) for server in network.dns_servers):
        names = ", ".join(address_text(server) for server in network.dns_servers)
        message = f"every DNS server of the infrastructure ({names}) has an address of the instance's own"
        remedy = "add a DNS server outside the pools and the service ranges, one that runs elsewhere"
        yield Fault("netplan", (*network.path, "dnsServers"), message, remedy)


@rule("dns-in-infrastructure-pool", source="NETCON, ODIN")
def dns_in_infrastructure_pool(facts: Facts) -> Iterator[Fault]:
    """No DNS server has an address of the infrastructure pool, which the platform takes for itself."""
    for _, path, server in _dns_servers(facts):
        if facts.networks[0].is_in_pool(server):
            message = f"DNS server {address_text(server)} lies in the infrastructure pool"
            yield Fault("netplan", path, message, "move the pool, or give the DNS server another address")


@rule("dns-on-host", source="NETCON, ODIN", severity="warning")
def dns_on_host(facts: Facts) -> Iterator[Fault]:
    """At least one of the infrastructure's DNS servers is no host of the instance itself."""
    network = facts.networks[0]
    hosts = {
        int(host.management_address) for host in facts.spec.hosts.hosts if host.management_address is not None
    }
    if network.dns_servers and hosts.issuperset(network.dns_servers):
        message = "every DNS server of the infrastructure is a host of the instance"
        remedy = "fine for a lab; Azure Local wants one that runs elsewhere"
        yield Fault("netplan", (*network.path, "dnsServers"), message, remedy)


@rule("host-dns-differs", source="NETCON")
def host_dns_differs(facts: Facts) -> Iterator[Fault]:
    """All hosts have the infrastructure network's DNS servers."""
    servers = facts.spec.netplan.infrastructure.dns_servers
    for index, host in enumerate(facts.spec.hosts.hosts):
        if host.dns_servers is not None and set(host.dns_servers) != set(servers):
            has, expected = (", ".join(map(str, listed)) or "none" for listed in (host.dns_servers, servers))
            message = f"host {host.name} asks {has}, the infrastructure network {expected}"
            yield Fault("hosts", ("hosts", index, "dnsServers"), message, "give all the same DNS servers")


@rule("private-endpoint-in-reserved-range", source="NETCON")
def private_endpoint_in_reserved_range(facts: Facts) -> Iterator[Fault]:
    """No private endpoint lies in the blocks that AKS and the resource bridge use inside."""
    for path, name, address in _private_endpoints(facts):
        if block := reserved_block(address):
            message = f"private endpoint {name}, {address_text(address)}, lies in {block}"
            yield Fault("netplan", path, message, "give it an address outside the block")


@rule("service-in-reserved-range", source="NETCON")
def service_in_reserved_range(facts: Facts) -> Iterator[Fault]:
    """What the stack's own keys name for clusters to reach lies outside the blocks that AKS uses inside."""
    for occupant in _named_in_stack(facts):
        if block := reserved_block(occupant.span.first):
            where = f"{address_text(occupant.span.first)}, lies in {block}"
            message = f"{occupant.why}, {where}; clusters can't reach it there"
            yield Fault("stack", occupant.path, message, "give it an address outside the block")


@rule("unreachable-from-pods", source="NETCON, MRIP")
def unreachable_from_pods(facts: Facts) -> Iterator[Fault]:
    """What a cluster must reach has no address of its own pod or service network, where it would stay inside."""
    for path, cluster in facts.clusters:
        network = facts.by_name.get(cluster.logical_network)
        profile = cluster.network_profile
        for key, cidr in (("podCidr", profile.pod_cidr), ("serviceCidr", profile.service_cidr)):
            span = span_of(cidr)
            for what, address in _reached(facts, network):
                if address in span and not (reserved_block(address) or _is_in_a_network(facts, address)):
                    message = (
                        f"{key} {cidr.network} of cluster {cluster.name} holds {what} {address_text(address)}"
                    )
                    yield Fault("stack", (*path, "networkProfile", key), message, "choose another range")


@rule("url-out-of-reach", source="RFC 6761 §6.3, azlocal")
def url_out_of_reach(facts: Facts) -> Iterator[Fault]:
    """A URL that clusters, or Azure for them, ask doesn't name whoever asks, and no IPv6 address.

    Azure Resource Manager of a custom cloud is asked by this machine alone, where it may end in a tunnel.
    """
    for path, host, _, why in named_urls(facts.spec):
        address = literal_address(host)
        if path == ("arc", "resourceManager"):
            continue
        reason = None
        if is_this_machine(host):
            reason = "whoever asks there asks itself"
        elif isinstance(address, IPv6Address):
            reason = "clusters have IPv4 addresses only"
        elif address is None and (fault := url_host_fault(host)):
            reason = fault
        if reason is not None:
            remedy = "write the name or IPv4 address of the machine that serves it, as pods reach it"
            yield Fault("stack", path, f"{why} is looked for at {shown(host)}: {reason}", remedy)


@rule("host-in-pod-range", source="NETCON, MRIP", severity="warning")
def host_in_pod_range(facts: Facts) -> Iterator[Fault]:
    """A cluster's pod and service networks hold no address by which hosts are reached.

    Nodes answer a login that comes from a host, and would answer it into the cluster. Management addresses belong
    to the infrastructure network.
    """
    for path, cluster in facts.clusters:
        profile = cluster.network_profile
        for key, cidr in (("podCidr", profile.pod_cidr), ("serviceCidr", profile.service_cidr)):
            held = {
                address: f"{what} {address_text(address)} of host {host.name}"
                for host in facts.spec.hosts.hosts
                for place, address, what in host_addresses(host)
                if place != "managementAddress"
                and address in span_of(cidr)
                and not _is_in_a_network(facts, address)
            }
            if held:
                more = f", and {len(held) - 1} more" if len(held) > 1 else ""
                first = next(iter(held.values()))
                message = f"{key} {cidr.network} of cluster {cluster.name} holds {first}{more}"
                remedy = "choose another range: what nodes send there may stay in the cluster"
                yield Fault("stack", (*path, "networkProfile", key), message, remedy)


def _is_in_a_network(facts: Facts, address: int) -> bool:
    """Tell whether an address is a network's, which no pod or service network may meet: `cidr-overlap` says it."""
    return any(address in network.span for network in facts.networks)


def _reached(facts: Facts, network: Network | None) -> Iterator[tuple[str, int]]:
    for server in network.dns_servers if network else ():
        yield "DNS server", server
    for _, address in proxy_addresses(facts.spec.netplan):
        yield "proxy", address
    for _, name, address in _private_endpoints(facts):
        yield f"private endpoint {name}", address
    for occupant in _named_in_stack(facts):
        yield f"{occupant.why}:", occupant.span.first


def _named_in_stack(facts: Facts) -> Iterator[Occupant]:
    """Yield what `arc:` names; a repository of Flux's may be a service of the cluster itself."""
    return (occupant for occupant in facts.occupants if occupant.role == "service" and occupant.path[0] == "arc")


def _dns_servers(facts: Facts) -> Iterator[tuple[Network, KeyPath, int]]:
    for network in facts.networks:
        for index, server in enumerate(network.dns_servers):
            yield network, (*network.path, "dnsServers", index), server


def _private_endpoints(facts: Facts) -> Iterator[tuple[KeyPath, str, int]]:
    for index, endpoint in enumerate(facts.spec.netplan.private_endpoints):
        yield ("privateEndpoints", index, "privateIPAddress"), endpoint.name, int(endpoint.private_ip_address)
