"""Who of an instance connects to whom: its hosts, its networks, its clusters, with their addresses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address

from infra.firewall.flow import Party
from infra.plan.addresses import AddressPlan
from infra.plan.addresses.numbers import as_ranges, merged, without
from infra.plan.addresses.plan import INFRASTRUCTURE, Use
from infra.spec import InstanceSpec
from infra.spec.hosts import HostSpec
from infra.spec.types import AddressRange

OPERATOR = Party("where azlocal runs")
USERS = Party("users of the clusters")


@dataclass(frozen=True)
class Parties:
    """The parties of an instance.

    A machine may get any address of its network's pools, now or after a change: the pools are told, so that a rule
    stays right when the cluster is resized.

    Attributes:
        spec: What people wrote.
        plan: Its address plan.
    """

    spec: InstanceSpec
    plan: AddressPlan

    def host(self, host: HostSpec) -> Party:
        """Return a host, as it is managed."""
        way = host.way
        address = host.management_address or way.address
        spans = (_span(address),) if isinstance(address, IPv4Address) else ()
        return Party(f"host {host.name}", spans, "" if spans else way.host or "", self._network_of(spans))

    @cached_property
    def hosts(self) -> Party:
        """Return all hosts that stand."""
        each = [self.host(host) for host in self.spec.standing_hosts]
        networks = {party.network for party in each}
        return Party(
            "hosts",
            tuple(merged(span for party in each for span in party.ranges)),
            ", ".join(party.host for party in each if party.host),
            networks.pop() if len(networks) == 1 else "",
        )

    @cached_property
    def underlay(self) -> Party:
        """Return the hosts by the addresses to which VXLAN is sent."""
        known = [host.underlay_address for host in self.spec.standing_hosts]
        return Party("hosts", tuple(merged(_span(address) for address in known if address is not None)))

    @cached_property
    def networks_in_use(self) -> list[str]:
        """Return the logical networks in which clusters are."""
        return list(dict.fromkeys(cluster.logical_network for cluster in self.spec.stack.clusters))

    @cached_property
    def infrastructure(self) -> Party:
        """Return what the infrastructure pool is for: the resource bridge, and Azure Local's own services."""
        return Party("infrastructure pool", self._pools(INFRASTRUCTURE), network=INFRASTRUCTURE)

    @cached_property
    def bridge(self) -> Party:
        """Return the resource bridge: both nodes and its address."""
        spans = self._addresses("resourceBridgeNode", "resourceBridgeSpare", "resourceBridgeVip")
        return Party("resource bridge", spans, network=INFRASTRUCTURE)

    @cached_property
    def cluster_address(self) -> Party:
        """Return the address of Azure Local's own failover cluster, where its cloud agent listens."""
        return Party("cluster IP", self._addresses("clusterAddress"), network=INFRASTRUCTURE)

    def nodes(self, network: str) -> Party:
        """Return the machines of a logical network: its pools, and what is pinned outside of them."""
        spans = self._addresses(
            "controlPlaneNode", "workerNode", "upgradeSpare", "controlPlaneVip", network=network
        )
        pools = self._pools(network)
        outside = tuple(rest for span in spans for rest in without(span, pools))
        return Party(f"nodes of network {network}", pools + outside, network=network)

    def endpoint(self, cluster: str, network: str) -> Party:
        """Return the address of a cluster's API server."""
        return Party(
            f"API of cluster {cluster}", self._addresses("controlPlaneVip", cluster=cluster), network=network
        )

    def services(self, cluster: str, network: str) -> Party:
        """Return the addresses of a cluster's services."""
        return Party(
            f"services of cluster {cluster}", self._addresses("loadBalancer", cluster=cluster), network=network
        )

    def address(self, name: str, address: IPv4Address) -> Party:
        """Return what has one address."""
        spans = (_span(address),)
        return Party(name, spans, network=self._network_of(spans))

    def _pools(self, network: str) -> tuple[AddressRange, ...]:
        return next((each.pools for each in self.plan.networks if each.name == network), ())

    def _addresses(
        self, *uses: Use, network: str | None = None, cluster: str | None = None
    ) -> tuple[AddressRange, ...]:
        return tuple(
            as_ranges(
                allocation.value
                for each in self.plan.networks
                if network in {None, each.name}
                for allocation in each.allocations
                if allocation.use in uses and cluster in {None, allocation.cluster}
            )
        )

    def _network_of(self, spans: tuple[AddressRange, ...]) -> str:
        """Return the network of the netplan in which addresses are; empty where it is none."""
        for network in self.plan.networks:
            if spans and all(IPv4Address(span.first) in network.address_prefix for span in spans):
                return network.name
        return ""


def _span(address: IPv4Address) -> AddressRange:
    return AddressRange(int(address), int(address))
