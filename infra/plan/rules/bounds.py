"""How much can be planned at all: far beyond every published limit, and still answered in seconds.

Below these bounds the rules say what is too much, beside everything else; above them there is no plan.
"""

from collections.abc import Iterator

from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath
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


@rule("too-much-to-plan", source="azlocal", part="bounds")
def too_much_to_plan(facts: Facts) -> Iterator[Fault]:
    """There is not more of anything than can be planned."""
    for file, path, things, count, most in _counts(facts.spec):
        if count > most:
            message = f"{count:,} {things}; at most {most:,} can be planned"
            yield Fault(file, path, message, "check that it is the right file; split the instance")


def _counts(spec: InstanceSpec) -> Iterator[tuple[FileKind, KeyPath, str, int, int]]:
    clusters, netplan = spec.stack.clusters, spec.netplan
    pools = sum(len(cluster.agent_pools) for cluster in clusters)
    ranges = sum(text.count(",") + 1 for cluster in clusters for text in cluster.load_balancer.addresses)
    yield "stack", ("clusters",), "clusters", len(clusters), MAX_CLUSTERS
    yield "stack", ("clusters",), "agent pools", pools, MAX_POOLS
    yield "stack", ("clusters",), "load-balancer ranges", ranges, MAX_RANGES
    yield "hosts", ("hosts",), "hosts", len(spec.hosts.hosts), MAX_HOSTS
    yield "netplan", ("logicalNetworks",), "logical networks", len(netplan.logical_networks), MAX_NETWORKS
    parts: tuple[Infrastructure | LogicalNetwork, ...] = (netplan.infrastructure, *netplan.logical_networks)
    ip_pools = sum(len(network.ip_pools) for network in netplan.logical_networks)
    proxy = len(netplan.proxy.no_proxy) if netplan.proxy else 0
    servers = sum(len(part.dns_servers) for part in parts)
    dhcp = sum(len(part.dhcp_ranges) for part in parts)
    vrrp = sum(len(part.taken_vrrp_ids) for part in parts)
    yield "netplan", ("logicalNetworks",), "pools", ip_pools, MAX_IP_POOLS
    yield "netplan", ("logicalNetworks",), "DNS servers", servers, MAX_SERVERS
    yield "netplan", ("logicalNetworks",), "DHCP ranges", dhcp, MAX_DHCP_RANGES
    yield "netplan", ("logicalNetworks",), "VRRP ids", vrrp, MAX_RESERVATIONS
    yield "netplan", ("proxy", "noProxy"), "exceptions of the proxy", proxy, MAX_SERVERS
    yield "netplan", ("privateEndpoints",), "private endpoints", len(netplan.private_endpoints), MAX_SERVERS
    yield "netplan", ("reservations",), "reservations", len(netplan.reservations), MAX_RESERVATIONS
