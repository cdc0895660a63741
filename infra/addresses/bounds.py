"""How much can be planned at all: far beyond every published limit, and still answered in seconds.

Below these bounds the rules say what is too much, beside everything else; above them there is no plan.
"""

from collections.abc import Iterator

from infra.spec.findings import Finding, KeyPath
from infra.spec.loader import FileKind, InstanceSpec
from infra.spec.netplan import Infrastructure, LogicalNetwork

MAX_CLUSTERS = 128
MAX_POOLS = 1024
MAX_RANGES = 4096
MAX_HOSTS = 256
MAX_NETWORKS = 512
MAX_RESERVATIONS = 16_384
MAX_IP_POOLS = 2048
MAX_DHCP_RANGES = 512
MAX_SERVERS = 1024


def beyond_bounds(spec: InstanceSpec) -> list[Finding]:
    """Return a finding for everything that there is too much of to plan."""
    return [
        Finding(
            "too-much-to-plan",
            "error",
            spec.sources.where(file, path),
            f"{count:,} {things}; at most {most:,} can be planned",
            "check that it is the right file; split the instance",
        )
        for file, path, things, count, most in _counts(spec)
        if count > most
    ]


def _counts(spec: InstanceSpec) -> Iterator[tuple[FileKind, KeyPath, str, int, int]]:
    clusters, netplan = spec.stack.clusters, spec.netplan
    pools = sum(len(one.agent_pools) for one in clusters)
    ranges = sum(text.count(",") + 1 for one in clusters for text in one.load_balancer.addresses)
    yield "stack", ("clusters",), "clusters", len(clusters), MAX_CLUSTERS
    yield "stack", ("clusters",), "agent pools", pools, MAX_POOLS
    yield "stack", ("clusters",), "load-balancer ranges", ranges, MAX_RANGES
    yield "hosts", ("hosts",), "hosts", len(spec.hosts.hosts), MAX_HOSTS
    yield "netplan", ("logicalNetworks",), "logical networks", len(netplan.logical_networks), MAX_NETWORKS
    parts: tuple[Infrastructure | LogicalNetwork, ...] = (netplan.infrastructure, *netplan.logical_networks)
    ip_pools = sum(len(one.ip_pools) for one in netplan.logical_networks)
    proxy = len(netplan.proxy.no_proxy) if netplan.proxy else 0
    servers = sum(len(one.dns_servers) for one in parts)
    dhcp = sum(len(one.dhcp_ranges) for one in parts)
    vrrp = sum(len(one.taken_vrrp_ids) for one in parts)
    yield "netplan", ("logicalNetworks",), "pools", ip_pools, MAX_IP_POOLS
    yield "netplan", ("logicalNetworks",), "DNS servers", servers, MAX_SERVERS
    yield "netplan", ("logicalNetworks",), "DHCP ranges", dhcp, MAX_DHCP_RANGES
    yield "netplan", ("logicalNetworks",), "VRRP ids", vrrp, MAX_RESERVATIONS
    yield "netplan", ("proxy", "noProxy"), "exceptions of the proxy", proxy, MAX_SERVERS
    yield "netplan", ("privateEndpoints",), "private endpoints", len(netplan.private_endpoints), MAX_SERVERS
    yield "netplan", ("reservations",), "reservations", len(netplan.reservations), MAX_RESERVATIONS
