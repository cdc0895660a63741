"""The networks of a netplan as integers, with the places where their parts stand."""

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network

from infra.plan.addresses.numbers import merged, overlap
from infra.plan.addresses.plan import INFRASTRUCTURE
from infra.spec.findings import KeyPath
from infra.spec.netplan import AddressPool, Infrastructure, LogicalNetwork, Netplan
from infra.spec.types import AddressRange


@dataclass(frozen=True)
class Pool:
    """A pool as it is written; `first` may lie behind `last`, which a rule reports.

    Attributes:
        first: First address.
        last: Last address.
        gives: Whether machines get addresses from it: `vm`, and `vippool` where a network has no other, as in
            Microsoft's own sample (Azure/aksArc, aksarc-bicep-azlocal).
        path: Where it stands in the netplan.
    """

    first: int
    last: int
    gives: bool
    path: KeyPath

    @property
    def span(self) -> AddressRange | None:
        """Return its addresses, or None when it is written backwards."""
        return AddressRange(self.first, self.last) if self.first <= self.last else None


@dataclass(frozen=True)
class Network:
    """A network with its addresses as integers.

    Attributes:
        index: Its place in the plan; 0 is the infrastructure network.
        name: Its name.
        vlan: VLAN id, 0 for untagged.
        prefix: Its subnet, host bits removed.
        span: The whole subnet, network and broadcast address included.
        gateway: The default gateway.
        dns_servers: DNS servers, wherever they are.
        pools: Its pools.
        path: Where it stands in the netplan.
        pools_path: Where its pools stand.
        dhcp: What a DHCP server hands out, in the order of the file; one written backwards is turned round.
        backwards: Which of these are.
    """

    index: int
    name: str
    vlan: int
    prefix: IPv4Network
    span: AddressRange
    gateway: int
    dns_servers: tuple[int, ...]
    pools: tuple[Pool, ...]
    path: KeyPath
    pools_path: KeyPath
    dhcp: tuple[AddressRange, ...] = ()
    backwards: tuple[int, ...] = ()

    @cached_property
    def usable(self) -> AddressRange:
        """Return the addresses a machine can have: not the first and last of the subnet, up to /30."""
        if len(self.span) <= 2:
            return self.span
        return AddressRange(self.span.first + 1, self.span.last - 1)

    @cached_property
    def giving(self) -> list[AddressRange]:
        """Return the addresses that machines can get, sorted and without overlaps."""
        spans = (pool.span for pool in self.pools if pool.gives)
        return merged(part for span in spans if span and (part := overlap(span, self.usable)))

    def is_in_pool(self, address: int) -> bool:
        """Tell whether machines can get the address."""
        return any(address in span for span in self.giving)


def build_networks(netplan: Netplan) -> list[Network]:
    """Return the infrastructure network and then the logical networks, as they are written."""
    infrastructure = netplan.infrastructure
    pool = _pool(infrastructure.pool, ("infrastructure", "pool"))
    first = _network(0, INFRASTRUCTURE, infrastructure, (pool,), ("infrastructure",), "pool")
    return [first, *(_logical(index, network) for index, network in enumerate(netplan.logical_networks))]


def _logical(index: int, network: LogicalNetwork) -> Network:
    path = ("logicalNetworks", index)
    has_vm_pool = any(pool.ip_pool_type == "vm" for pool in network.ip_pools)
    pools = tuple(
        _pool(pool, (*path, "ipPools", number), gives=pool.ip_pool_type == "vm" or not has_vm_pool)
        for number, pool in enumerate(network.ip_pools)
    )
    return _network(index + 1, network.name, network, pools, path, "ipPools")


def _pool(pool: AddressPool, path: KeyPath, *, gives: bool = True) -> Pool:
    return Pool(int(pool.start), int(pool.end), gives, path)


def _sorted(pool: AddressPool) -> AddressRange:
    return AddressRange(*sorted((int(pool.start), int(pool.end))))


def _network(
    index: int,
    name: str,
    network: Infrastructure | LogicalNetwork,
    pools: tuple[Pool, ...],
    path: KeyPath,
    pools_key: str,
) -> Network:
    subnet = network.address_prefix.network
    return Network(
        index=index,
        name=name,
        vlan=network.vlan,
        prefix=subnet,
        span=AddressRange(int(subnet.network_address), int(subnet.broadcast_address)),
        gateway=int(network.gateway),
        dns_servers=tuple(int(server) for server in network.dns_servers),
        pools=pools,
        path=path,
        pools_path=(*path, pools_key),
        dhcp=tuple(_sorted(pool) for pool in network.dhcp_ranges),
        backwards=tuple(index for index, pool in enumerate(network.dhcp_ranges) if pool.start > pool.end),
    )
