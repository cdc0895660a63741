"""Which connections an instance needs. Pure.

Sources: azure_local_facts.md §4.1 (NET) and §4.2 (RBURL, RBNET) for Azure Local's own; kubernetes.io "Ports and
Protocols" (K8SPORTS) and the documents of Calico and MetalLB for clusters; the endpoints' table of
`infra.arc.endpoints` for Azure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from infra.firewall.flow import ANY_PORT, HTTPS_PORT, Flow, Party, Ports
from infra.firewall.outside import outside_flows
from infra.firewall.parties import OPERATOR, USERS, Parties
from infra.model.network import VXLAN_PORT
from infra.plan.addresses.plan import INFRASTRUCTURE
from infra.plan.instance import Plan
from infra.spec import InstanceSpec
from infra.spec.connections import SSH_PORT
from infra.spec.stack import ClusterSpec

_API: Final[Ports] = (6443, 6443)
_SSH: Final[Ports] = (22, 22)
_ETCD: Final[Ports] = (2379, 2380)
_KUBELET: Final[Ports] = (10250, 10250)
_VXLAN: Final[Ports] = (VXLAN_PORT, VXLAN_PORT)
_MEMBERLIST: Final[Ports] = (7946, 7946)
_CLOUD_AGENT: Final[tuple[Ports, ...]] = ((55000, 55000), (65000, 65000))
_GATEWAY_AGENT: Final[Ports] = (40343, 40343)


def flows_of(spec: InstanceSpec, plan: Plan) -> list[Flow]:
    """Return every connection that an instance needs, each once.

    Args:
        spec: What people wrote.
        plan: The plan of that spec.
    """
    parties = Parties(spec, plan.addresses)
    flows = [
        *_of_hosts(spec, parties),
        *_of_clusters(spec, parties),
        *outside_flows(spec, parties),
        *_of_azure_local(spec, parties),
    ]
    return list(dict.fromkeys(flows))


def _of_hosts(spec: InstanceSpec, parties: Parties) -> Iterator[Flow]:
    hosts = spec.standing_hosts
    for host in hosts:
        if not host.is_local:
            port = host.way.port or SSH_PORT
            yield Flow(OPERATOR, parties.host(host), "tcp", ((port, port),), "SSH, by azlocal", "azlocal")
    if len(hosts) > 1 and any(spec.network_mode(host) == "mesh" for host in hosts):
        yield Flow(parties.underlay, parties.underlay, "udp", (_VXLAN,), "VXLAN between hosts", "RFC 7348")


def _of_clusters(spec: InstanceSpec, parties: Parties) -> Iterator[Flow]:
    for cluster in spec.stack.clusters:
        network = cluster.logical_network
        nodes, endpoint = parties.nodes(network), parties.endpoint(cluster.name, network)
        for host in spec.standing_hosts:
            # Of a NAT network or a mesh machines are reached by way of the host.
            source = OPERATOR if spec.network_mode(host) == "bridge" else parties.host(host)
            yield Flow(source, nodes, "tcp", (_SSH, (2379, 2379), _API), "nodes and etcd, by azlocal", "azlocal")
        if cluster.provisioning != "kubernetes":
            continue
        yield Flow(USERS, endpoint, "tcp", (_API,), "kubectl", "K8SPORTS")
        yield from _between_nodes(cluster, nodes, endpoint)
        services = parties.services(cluster.name, network)
        if services.ranges:
            purpose = "what the services publish"
            yield Flow(USERS, services, "tcp", (ANY_PORT,), purpose, "azlocal", is_required=False)


def _between_nodes(cluster: ClusterSpec, nodes: Party, endpoint: Party) -> Iterator[Flow]:
    yield Flow(nodes, endpoint, "tcp", (_API,), "Kubernetes API", "K8SPORTS")
    yield Flow(nodes, nodes, "tcp", (_API, _ETCD, _KUBELET), "Kubernetes API, etcd, kubelet", "K8SPORTS")
    yield Flow(nodes, nodes, "udp", (_VXLAN,), "Calico's VXLAN between pods", "Calico")
    if cluster.control_plane.count > 1:
        yield Flow(nodes, nodes, "vrrp", (), "who holds the API's address", "RFC 9568")
    if cluster.add_ons.metallb.enabled:
        yield Flow(nodes, nodes, "tcp, udp", (_MEMBERLIST,), "MetalLB's speakers", "MetalLB")


def _of_azure_local(spec: InstanceSpec, parties: Parties) -> Iterator[Flow]:
    """Yield what real Azure Local needs beside: nothing in the lab listens there.

    NET wants its ports open in both directions.
    """
    arc = spec.stack.arc
    agent = (*_CLOUD_AGENT, *((_GATEWAY_AGENT,) if arc is not None and arc.gateway else ()))
    vlans = {network.name: network.vlan for network in parties.plan.networks}
    management = (parties.hosts, parties.infrastructure)
    for network in parties.networks_in_use:
        nodes = parties.nodes(network)
        if vlans[network] == vlans[INFRASTRUCTURE]:
            continue  # NET: only where the networks are on different VLANs
        for source in management:
            yield Flow(source, nodes, "tcp", (_SSH, _API), "logs, Kubernetes API", "NET", "azureLocal")
        yield Flow(nodes, parties.cluster_address, "tcp", agent, "cloud agent", "NET", "azureLocal")
    bridge = parties.bridge
    yield Flow(parties.hosts, bridge, "tcp", (_SSH, _API), "the resource bridge", "RBNET", "azureLocal")
    for source in (parties.hosts, bridge):
        purpose = "private cloud endpoint"
        yield Flow(source, parties.cluster_address, "tcp", (HTTPS_PORT,), purpose, "RBNET", "azureLocal")
    within = (_API, _ETCD, _KUBELET, (10257, 10257), (10259, 10259))
    yield Flow(bridge, bridge, "tcp", within, "an upgrade's second node", "RBNET", "azureLocal")
