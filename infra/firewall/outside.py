"""What an instance reaches outside: name and time servers, the proxy, Azure, sources of Flux."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Final
from urllib.parse import urlsplit

from infra.arc.endpoints.table import HTTPS, Endpoint, endpoints_of, names_for_hosts
from infra.arc.environment import environment_of
from infra.doctor.cloud import endpoint_settings
from infra.firewall.flow import ANY_PORT, HTTPS_PORT, Flow, Party, Ports
from infra.firewall.parties import Parties
from infra.plan.arc_topology import Arc, ConnectedCluster, arc_of, connected_cluster_of
from infra.spec import InstanceSpec
from infra.spec.netplan import Proxy
from infra.spec.stack import ClusterSpec

_DNS: Final[Ports] = (53, 53)
_WEB: Final[tuple[Ports, ...]] = ((80, 80), HTTPS_PORT)
_SCHEMES: Final = {"http": 80, "https": HTTPS, "ssh": 22}


def outside_flows(spec: InstanceSpec, parties: Parties) -> Iterator[Flow]:
    """Yield what hosts and nodes reach outside; where the netplan has a proxy, it opens what nodes would."""
    yield from _dns(spec, parties)
    arc, proxy = arc_of(spec), spec.netplan.proxy
    if any(host.is_prepared for host in spec.standing_hosts):
        mirrors = Party("mirrors of the hosts' distribution")
        yield Flow(parties.hosts, mirrors, "tcp", _WEB, "packages that are missing", "azlocal", is_required=False)
    if arc is None or not arc.is_emulated:
        cloud = arc.spec.cloud if arc is not None else "AzureCloud"
        software = [Endpoint(name, "software, the resource bridge") for name in names_for_hosts(cloud)]
        for flow in _by(proxy, parties, parties.hosts, software, "RBURL"):
            yield replace(flow, needs="azureLocal")
    for network in parties.networks_in_use:
        for endpoint in spec.netplan.private_endpoints:
            target = parties.address(f"private endpoint {endpoint.name}", endpoint.private_ip_address)
            yield Flow(parties.nodes(network), target, "tcp", (HTTPS_PORT,), "private endpoint", "NETCON")
    for cluster in spec.stack.clusters:
        connected = connected_cluster_of(spec, cluster)
        if arc is not None and connected is not None:
            yield from _arc(arc, connected, cluster, parties)


def _arc(arc: Arc, connected: ConnectedCluster, cluster: ClusterSpec, parties: Parties) -> Iterator[Flow]:
    nodes = parties.nodes(cluster.logical_network)
    if arc.emulator_address is not None:
        emulator = parties.address("Azure's emulator", arc.emulator_address)
        yield Flow(nodes, emulator, "tcp", (ANY_PORT,), "the emulator, at the port it is given", "azlocal")
    else:
        yield from _by(parties.spec.netplan.proxy, parties, nodes, _of_arc(arc, connected), "K8SURL")
    yield from _flux(cluster, parties, nodes)


def _dns(spec: InstanceSpec, parties: Parties) -> Iterator[Flow]:
    resolvers: list[tuple[Party, Sequence[IPv4Address]]] = [
        (parties.hosts, spec.netplan.infrastructure.dns_servers),
        (parties.infrastructure, spec.netplan.infrastructure.dns_servers),
    ]
    networks = {network.name: network for network in spec.netplan.logical_networks}
    resolvers += [(parties.nodes(name), networks[name].dns_servers) for name in parties.networks_in_use]
    for source, servers in resolvers:
        for server in servers:
            yield Flow(source, parties.address("DNS server", server), "tcp, udp", (_DNS,), "DNS", "NETCON")


def _of_arc(arc: Arc, cluster: ConnectedCluster) -> list[Endpoint]:
    """Return what a cluster's agents reach; of a cloud of the user's, only what its manager's address says."""
    if arc.spec.cloud == "custom":
        parts = urlsplit(arc.spec.resource_manager or "")
        return [
            Endpoint(parts.hostname or "", "Azure Resource Manager, which names the others", parts.port or HTTPS)
        ]
    settings = endpoint_settings(arc, cluster)
    return endpoints_of(environment_of(arc.spec.cloud), settings)


def _flux(cluster: ClusterSpec, parties: Parties, nodes: Party) -> Iterator[Flow]:
    for configuration in cluster.arc.flux_configurations:
        parts = urlsplit(configuration.git_repository.url)
        port = parts.port or _SCHEMES.get(parts.scheme, HTTPS)
        endpoint = Endpoint(
            parts.hostname or "", f"Flux configuration {configuration.name}", port, is_azures=False
        )
        # A proxy of HTTP carries no SSH.
        proxy = parties.spec.netplan.proxy if parts.scheme != "ssh" else None
        yield from _by(proxy, parties, nodes, [endpoint], "azlocal")


def _by(
    proxy: Proxy | None, parties: Parties, source: Party, endpoints: Sequence[Endpoint], rule: str
) -> Iterator[Flow]:
    """Yield what a source reaches by name, from the source itself or from the proxy that it takes."""
    opens = source
    if proxy is not None and (url := proxy.https_proxy or proxy.http_proxy) is not None:
        parts = urlsplit(url)
        opens = _party(parties, "proxy", parts.hostname or "")
        port = parts.port or _SCHEMES[parts.scheme]
        yield Flow(source, opens, "tcp", ((port, port),), "what lies outside", "azlocal")
    for endpoint in endpoints:
        target = _party(parties, endpoint.name, endpoint.name)
        ports = ((endpoint.port, endpoint.port),)
        yield Flow(opens, target, "tcp", ports, endpoint.purpose, rule, is_required=endpoint.is_required)


def _party(parties: Parties, name: str, host: str) -> Party:
    """Return what is reached by a name, or by the address that is written instead of one."""
    try:
        return parties.address(name, IPv4Address(host))
    except ValueError:
        return Party(name, host=host)
