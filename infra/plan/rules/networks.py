"""Networks: prefixes, gateways, pools and DNS servers fit together (azure_local_facts.md §2.5-2.7, §3)."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from infra.plan.addresses.layout import Network, Pool
from infra.plan.addresses.numbers import address_text, overlap, range_text
from infra.plan.addresses.occupants import host_addresses
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.connections import host_name_fault, written_short
from infra.spec.findings import KeyPath, shown
from infra.spec.hosts import HostSpec
from infra.spec.types import AddressRange

MAX_VLAN = 4094
_STORAGE_TEXT = "10.71.1.0/24 to 10.71.3.0/24"
STORAGE = AddressRange(int(IPv4Address("10.71.1.0")), int(IPv4Address("10.71.3.255")))
STORAGE_VLANS = frozenset({711, 712, 713})
SAN_VLANS = frozenset({300, 400, 1711, 1712})  # with external storage: the cluster's own and iSCSI's
MIN_INFRASTRUCTURE_LENGTH = 29


@rule("prefix-host-bits", source="azlocal", severity="warning")
def prefix_host_bits(facts: Facts) -> Iterator[Fault]:
    """A prefix is written with its network address."""
    netplan = facts.spec.netplan
    prefixes = [
        netplan.infrastructure.address_prefix,
        *(logical.address_prefix for logical in netplan.logical_networks),
    ]
    for network, prefix in zip(facts.networks, prefixes, strict=True):
        if prefix.ip != prefix.network.network_address:
            message = f"{prefix} has host bits set; it is read as {network.prefix}"
            yield Fault("netplan", (*network.path, "addressPrefix"), message, f"write {network.prefix}")


@rule("gateway-outside-prefix", source="NET, LNET")
def gateway_outside_prefix(facts: Facts) -> Iterator[Fault]:
    """A network's gateway is one of its usable addresses."""
    for network in facts.networks:
        if network.gateway not in network.usable:
            message = (
                f"gateway {address_text(network.gateway)} is no usable address of network {network.name}, "
                f"{network.prefix} ({range_text(network.usable)})"
            )
            yield Fault("netplan", (*network.path, "gateway"), message, "choose an address inside the prefix")


@rule("pool-backwards", source="API-LNET")
def pool_backwards(facts: Facts) -> Iterator[Fault]:
    """A pool's start doesn't lie behind its end."""
    for _, pool in _pools(facts):
        if pool.span is None:
            message = f"the pool starts at {address_text(pool.first)} and ends at {address_text(pool.last)}"
            yield Fault("netplan", pool.path, message, "swap start and end")


@rule("pool-outside-prefix", source="LNET, NETCON")
def pool_outside_prefix(facts: Facts) -> Iterator[Fault]:
    """A pool lies inside its network, without the first and last address of the subnet."""
    for network, pool in _pools(facts):
        span = pool.span
        if span and (span.first not in network.usable or span.last not in network.usable):
            message = (
                f"pool {range_text(span)} leaves the usable addresses of network {network.name}, "
                f"{network.prefix} ({range_text(network.usable)})"
            )
            yield Fault("netplan", pool.path, message, "move the pool inside the prefix")


@rule("pools-overlap", source="LNET")
def pools_overlap(facts: Facts) -> Iterator[Fault]:
    """No two pools of a site share an address, whatever their networks."""
    spans = [(pool.span, network, pool) for network, pool in _pools(facts) if pool.span]
    spans.sort(key=lambda entry: (entry[0].first, entry[0].last))
    widest: tuple[AddressRange, Network, Pool] | None = None
    for entry in spans:
        shared = overlap(widest[0], entry[0]) if widest else None
        if widest and shared:
            message = f"{range_text(shared)} lies in this pool and in one of network {widest[1].name}"
            yield Fault("netplan", entry[2].path, message, "make the pools disjoint")
        if widest is None or entry[0].last > widest[0].last:
            widest = entry


@rule("networks-overlap", source="NETCON, LNET")
def networks_overlap(facts: Facts) -> Iterator[Fault]:
    """Two networks share no address, unless they are one subnet on one VLAN."""
    ordered = sorted(facts.networks, key=lambda network: (network.span.first, network.span.last))
    widest: Network | None = None
    for network in ordered:
        if widest and overlap(widest.span, network.span):
            is_same = (widest.span, widest.vlan) == (network.span, network.vlan)
            if not is_same:
                later, other = (network, widest) if network.index > widest.index else (widest, network)
                message = (
                    f"network {later.name} ({later.prefix}, VLAN {later.vlan}) overlaps "
                    f"{other.name} ({other.prefix}, VLAN {other.vlan})"
                )
                remedy = "give each its own prefix, or the very same prefix and VLAN"
                yield Fault("netplan", (*later.path, "addressPrefix"), message, remedy)
        if widest is None or network.span.last > widest.span.last:
            widest = network


@rule("vlan-out-of-range", source="API-LNET")
def vlan_out_of_range(facts: Facts) -> Iterator[Fault]:
    """A VLAN id lies in 0-4094; 0 is untagged."""
    for network in facts.networks:
        if not 0 <= network.vlan <= MAX_VLAN:
            message = f"VLAN {network.vlan} of network {network.name} is not in 0-{MAX_VLAN}"
            yield Fault("netplan", (*network.path, "vlan"), message, "use a VLAN id, or 0 for untagged")


@rule("network-meets-storage", source="§5.2", severity="warning")
def network_meets_storage(facts: Facts) -> Iterator[Fault]:
    """No network has a subnet or a VLAN that Azure Local gives to storage between the hosts by default."""
    deployment = facts.spec.stack.deployment_class
    vlans = STORAGE_VLANS | (SAN_VLANS if deployment == "disaggregated" else frozenset())
    remedy = "use another, or set the storage networks by hand when deploying"
    for network in facts.networks:
        if overlap(network.span, STORAGE):
            message = f"network {network.name} ({network.prefix}) meets the storage subnets {_STORAGE_TEXT}"
            yield Fault("netplan", (*network.path, "addressPrefix"), message, remedy)
        if network.vlan in vlans:
            message = f"VLAN {network.vlan} of network {network.name} is one of storage's by default"
            yield Fault("netplan", (*network.path, "vlan"), message, remedy)


@rule("network-not-static", source="NET")
def network_not_static(facts: Facts) -> Iterator[Fault]:
    """AKS needs a network with static addresses."""
    for index, network in enumerate(facts.spec.netplan.logical_networks):
        if network.name in facts.used and network.ip_allocation_method != "Static":
            path = ("logicalNetworks", index, "ipAllocationMethod")
            message = f"network {network.name} is {network.ip_allocation_method}, and clusters use it"
            yield Fault("netplan", path, message, "write Static")


@rule("network-without-pool", source="PS, ISS")
def network_without_pool(facts: Facts) -> Iterator[Fault]:
    """A network that clusters use has a pool for their nodes."""
    for network in facts.logical:
        if network.name in facts.used and not any(pool.gives for pool in network.pools):
            message = f"network {network.name} has no pool, and clusters use it"
            yield Fault("netplan", network.pools_path, message, "add ipPools with start and end")


@rule("network-without-dns", source="LNET, PS")
def network_without_dns(facts: Facts) -> Iterator[Fault]:
    """The infrastructure and every network that clusters use have a DNS server."""
    for network in facts.standing:
        if not network.dns_servers:
            message = f"network {network.name} has no DNS server"
            yield Fault("netplan", (*network.path, "dnsServers"), message, "add dnsServers")


@rule("host-outside-infrastructure", source="NETCON")
def host_outside_infrastructure(facts: Facts) -> Iterator[Fault]:
    """A host's management address is one of the infrastructure network's."""
    network = facts.networks[0]
    for path, name, address in _host_addresses(facts):
        if address not in network.usable:
            message = (
                f"management address {address_text(address)} of host {name} is no usable address of the "
                f"infrastructure network {network.prefix}"
            )
            yield Fault("hosts", path, message, "correct the address, or the infrastructure's addressPrefix")


@rule("host-in-infrastructure-pool", source="NETCON")
def host_in_infrastructure_pool(facts: Facts) -> Iterator[Fault]:
    """The infrastructure pool holds no host's address, whichever key names it."""
    for path, name, address, what in _known_addresses(facts):
        if facts.networks[0].is_in_pool(address):
            message = f"{what} {address_text(address)} of host {name} lies in the infrastructure pool"
            yield Fault("hosts", path, message, "move the pool, or give the host another address")


@rule("host-in-pool", source="LNET, NETCON")
def host_in_pool(facts: Facts) -> Iterator[Fault]:
    """No logical network's pool holds a host's address, whichever key names it: a machine would get it too."""
    for path, name, address, what in _known_addresses(facts):
        for network in facts.logical:
            if network.is_in_pool(address):
                message = f"{what} {address_text(address)} of host {name} lies in {network.name}'s pool"
                yield Fault("hosts", path, message, "move the pool, or give the host another address")


@rule("gateway-in-pool", source="NETCON, LNET")
def gateway_in_pool(facts: Facts) -> Iterator[Fault]:
    """No pool holds a gateway's address: a machine would get it too."""
    for network in facts.networks:
        holder = next((candidate for candidate in facts.networks if candidate.is_in_pool(network.gateway)), None)
        if holder is not None:
            message = f"gateway {address_text(network.gateway)} lies in the pool of network {holder.name}"
            yield Fault("netplan", (*network.path, "gateway"), message, "start the pool behind the gateway")


@rule("dns-in-pool", source="NETCON, LNET", severity="warning")
def dns_in_pool(facts: Facts) -> Iterator[Fault]:
    """No logical network's pool holds a DNS server's address, unless the instance itself runs that machine."""
    for network in facts.networks:
        for index, server in enumerate(network.dns_servers):
            holder = next((candidate for candidate in facts.logical if candidate.is_in_pool(server)), None)
            if holder is not None:
                message = f"DNS server {address_text(server)} lies in the pool of network {holder.name}"
                path = (*network.path, "dnsServers", index)
                yield Fault("netplan", path, message, "we leave it out; Azure Local would give it to a machine")


@rule("infrastructure-prefix-too-small", source="RBSYS")
def infrastructure_prefix_too_small(facts: Facts) -> Iterator[Fault]:
    """The infrastructure network is a /29 or larger."""
    network = facts.networks[0]
    if network.prefix.prefixlen > MIN_INFRASTRUCTURE_LENGTH:
        message = (
            f"the infrastructure network is {network.prefix}; at least a /{MIN_INFRASTRUCTURE_LENGTH} is needed"
        )
        yield Fault("netplan", (*network.path, "addressPrefix"), message, "use a larger prefix")


@rule("shared-subnet-gateway", source="NETCON", severity="warning")
def shared_subnet_gateway(facts: Facts) -> Iterator[Fault]:
    """Networks that share a subnet share its gateway."""
    first: dict[tuple[AddressRange, int], Network] = {}
    for network in facts.networks:
        other = first.setdefault((network.span, network.vlan), network)
        if other.gateway != network.gateway:
            message = (
                f"network {network.name} has gateway {address_text(network.gateway)}, {other.name} in the same "
                f"subnet {address_text(other.gateway)}"
            )
            yield Fault("netplan", (*network.path, "gateway"), message, "use one gateway, unless both are routers")


@rule("dhcp-meets-plan", source="NETCON")
def dhcp_meets_plan(facts: Facts) -> Iterator[Fault]:
    """A DHCP server hands out no address of a pool, of a service or of a given VIP."""
    ours = [
        (span, f"in the pool of network {network.name}") for network in facts.networks for span in network.giving
    ]
    ours += [
        (occupant.span, f"{occupant.owner}'s by the stack")
        for occupant in facts.occupants
        if occupant.use == "loadBalancer"
    ]
    ours += [
        (AddressRange(claim.pin, claim.pin), f"{claim.owner}'s") for claim in facts.claims if claim.pin is not None
    ]
    for path, scope in _dhcp_ranges(facts):
        for span, owner in ours:
            shared = overlap(scope, span)
            if shared:
                message = f"DHCP hands out {range_text(shared)}, which is {owner}"
                yield Fault("netplan", path, message, f"exclude {range_text(span)} from the DHCP scope")


@rule("dhcp-backwards", source="azlocal")
def dhcp_backwards(facts: Facts) -> Iterator[Fault]:
    """A DHCP range's start doesn't lie behind its end."""
    for network in facts.networks:
        for index in network.backwards:
            span, path = network.dhcp[index], (*network.path, "dhcpRanges", index)
            ends = f"starts at {address_text(span.last)} and ends at {address_text(span.first)}"
            yield Fault("netplan", path, f"the DHCP range {ends}", "swap start and end")


@rule("dhcp-outside-prefix", source="azlocal")
def dhcp_outside_prefix(facts: Facts) -> Iterator[Fault]:
    """A DHCP range lies inside its network, or what is really handed out there is planned for machines."""
    for network in facts.networks:
        for index, span in enumerate(network.dhcp):
            if overlap(span, network.span) != span:
                path = (*network.path, "dhcpRanges", index)
                message = f"DHCP range {range_text(span)} leaves network {network.name}, {network.prefix}"
                yield Fault("netplan", path, message, "correct the range, or write it at its own network")
            elif overlap(span, network.usable) != span:
                message = f"DHCP range {range_text(span)} holds the first or last address of {network.prefix}"
                remedy = f"write what is handed out, within {range_text(network.usable)}"
                yield Fault("netplan", (*network.path, "dhcpRanges", index), message, remedy, "warning")


@rule("dhcp-meets-somebody", source="azlocal", severity="warning")
def dhcp_meets_somebody(facts: Facts) -> Iterator[Fault]:
    """A DHCP server hands out no address that the files give to somebody: a gateway's never."""
    kinds = ("host", "way", "gateway", "endpoint", "service")
    for path, scope in _dhcp_ranges(facts):
        seen: set[int] = set()
        for occupant in facts.occupants:
            address = occupant.span.first
            if occupant.role in kinds and address in scope and address not in seen:
                seen.add(address)
                message = f"DHCP hands out {address_text(address)}, which is {occupant.owner}'s ({occupant.why})"
                remedy = f"exclude {address_text(address)} from the DHCP scope, and take it out of the range here"
                yield Fault("netplan", path, message, remedy, "error" if occupant.role == "gateway" else None)


@rule("host-without-address", source="NETCON")
def host_without_address(facts: Facts) -> Iterator[Fault]:
    """A host other than this machine has a management address."""
    network = facts.networks[0]
    pool = "".join(
        f", outside the pool {range_text(candidate.span)}" for candidate in network.pools if candidate.span
    )
    for index, host in enumerate(facts.spec.hosts.hosts):
        if host.management_address is None and not host.is_local:
            message = f"host {host.name} has no managementAddress"
            remedy = f"add its address in the infrastructure network: of {range_text(network.usable)}{pool}"
            yield Fault("hosts", ("hosts", index), message, remedy)


@rule("duplicate-connection", source="azlocal")
def duplicate_connection(facts: Facts) -> Iterator[Fault]:
    """Two hosts are two machines, in whatever way their connections are written."""
    seen: dict[tuple[str, int], HostSpec] = {}
    for index, host in enumerate(facts.spec.hosts.hosts):
        first = seen.setdefault(host.way.machine, host)
        if first is not host:
            written = host.connection
            if first.connection != written:
                written = f"{first.connection}, which is {written} in another way"
            message = f"hosts {first.name} and {host.name} have one connection, {written}"
            yield Fault("hosts", ("hosts", index, "connection"), message, "name each machine once")


@rule("connection-not-a-host", source="RFC 1123 §2.1")
def connection_not_a_host(facts: Facts) -> Iterator[Fault]:
    """A connection names a host that can be there."""
    for index, host in enumerate(facts.spec.hosts.hosts):
        why = host_name_fault(host.way.host) if host.way.host else None
        if why is not None:
            message = f"host {host.name} is looked for at {shown(host.way.host)}: {why}"
            yield Fault("hosts", ("hosts", index, "connection"), message, "write the host's name or address")


@rule("connection-in-short", source="inet_aton(3)", severity="warning")
def connection_in_short(facts: Facts) -> Iterator[Fault]:
    """A connection's address is written in four decimal numbers: others are read as few people expect."""
    for index, host in enumerate(facts.spec.hosts.hosts):
        name = host.way.host
        address = written_short(name) if name and host_name_fault(name) is None else None
        if address is not None:
            message = f"host {host.name} is looked for at {shown(name)}, which ssh takes for {address}"
            remedy = f"write {address} where that is meant, else the host's own address or name"
            yield Fault("hosts", ("hosts", index, "connection"), message, remedy)


def _pools(facts: Facts) -> Iterator[tuple[Network, Pool]]:
    for network in facts.networks:
        for pool in network.pools:
            yield network, pool


def _dhcp_ranges(facts: Facts) -> Iterator[tuple[KeyPath, AddressRange]]:
    for network in facts.networks:
        for index, span in enumerate(network.dhcp):
            yield (*network.path, "dhcpRanges", index), span


def _known_addresses(facts: Facts) -> Iterator[tuple[KeyPath, str, int, str]]:
    """Yield each address of each host once: where it stands first, the host, the address, what it is."""
    for index, host in enumerate(facts.spec.hosts.hosts):
        seen: set[int] = set()
        for key, address, what in host_addresses(host):
            if address not in seen:
                seen.add(address)
                yield ("hosts", index, key), host.name, address, what


def _host_addresses(facts: Facts) -> Iterator[tuple[KeyPath, str, int]]:
    for index, host in enumerate(facts.spec.hosts.hosts):
        if host.management_address is not None:
            yield ("hosts", index, "managementAddress"), host.name, int(host.management_address)
