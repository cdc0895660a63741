"""Which connections an instance needs, and how they are told."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

import pytest

from infra.firewall.flow import Flow
from infra.firewall.flows import flows_of
from infra.firewall.text import as_json, render_csv, render_nftables, render_tables
from infra.plan.instance import plan_instance
from tests.instances import cluster, host, make_spec, network, spec_of
from tests.plan.rules.arc_cases import SUBSCRIPTION
from tests.plan.sound_layouts import Content, named

AZURE = {"arc": {"subscriptionId": SUBSCRIPTION}}
NODES = "10.220.32.18-10.220.32.37"


def flows(*clusters: dict[str, Any], **more: Any) -> list[Flow]:
    spec = make_spec(*clusters, **more)
    return flows_of(spec, plan_instance(spec))


def told(flows: Sequence[Flow], **wanted: str) -> set[tuple[str, str, str, str]]:
    """Return from where to where which ports are wanted, of the flows that have such names."""
    return {
        (flow.source.name, flow.target.name, flow.protocol, flow.ports_text)
        for flow in flows
        if all(getattr(flow, key) == value for key, value in wanted.items())
    }


def test_a_cluster_needs_its_api_its_nodes_and_what_answers_at_services() -> None:
    all_flows = flows(cluster(loadBalancer={"addresses": ["10.220.32.47-10.220.32.49"]}))
    assert told(all_flows, purpose="kubectl") == {("users of the clusters", "API of cluster a", "tcp", "6443")}
    assert told(all_flows, purpose="what the services publish") == {
        ("users of the clusters", "services of cluster a", "tcp", "any")
    }
    (nodes,) = {flow.source.where for flow in all_flows if flow.purpose == "Calico's VXLAN between pods"}
    assert nodes == NODES, "a machine may get any address of the pool, so the whole pool is told"


@pytest.mark.parametrize("address", ["10.220.32.50", "10.220.32.38"])
def test_an_address_outside_of_the_pools_is_told_beside_them(address: str) -> None:
    pinned = flows(cluster(controlPlane={"count": 1, "hostIP": address}))
    (nodes,) = {flow.source.where for flow in pinned if flow.purpose == "Calico's VXLAN between pods"}
    assert nodes == f"{NODES}, {address}"


@pytest.mark.parametrize(("planes", "is_told"), [(1, False), (3, True)])
def test_vrrp_is_spoken_where_the_address_can_move(planes: int, *, is_told: bool) -> None:
    assert any(flow.protocol == "vrrp" for flow in flows(cluster(planes=planes))) is is_told


def test_hosts_are_managed_at_the_port_that_their_connection_names() -> None:
    hosts = [host(1), host(2, connection="qemu+ssh://root@node2.example:2222/system", managementAddress=None)]
    ssh = [flow for flow in flows(cluster(), hosts=hosts) if flow.purpose.startswith("SSH")]
    assert [(flow.target.where, flow.ports_text) for flow in ssh] == [
        ("192.168.1.11", "22"),
        ("node2.example", "2222"),
    ]


def test_vxlan_goes_between_hosts_of_a_mesh_only() -> None:
    mesh = [host(1, uplink=None), host(2, uplink=None)]
    assert told(flows(cluster(), hosts=[host(1), host(2)]), rule="RFC 7348") == set()
    assert told(flows(cluster(), hosts=mesh, netplan={"transport": "vxlan"}), rule="RFC 7348") == {
        ("hosts", "hosts", "udp", "4789")
    }


def test_agents_reach_azure_from_the_nodes_or_through_the_proxy() -> None:
    arc: Any = {"stack": AZURE}
    direct = told(flows(cluster(arc={}), **arc), rule="K8SURL")
    assert ("nodes of network aks", "management.azure.com", "tcp", "443") in direct
    assert ("nodes of network aks", "*.his.arc.azure.com", "tcp", "443") in direct
    proxied = flows(cluster(arc={}), netplan={"proxy": {"httpsProxy": "http://user:pw@10.9.9.9:3128"}}, **arc)
    assert {source for source, *_ in told(proxied, rule="K8SURL")} == {"proxy"}
    assert ("nodes of network aks", "proxy", "tcp", "3128") in told(proxied)
    assert "pw" not in render_csv(proxied), "a proxy's password is nobody's business here"


def test_flux_reaches_its_sources_over_ssh_without_the_proxy() -> None:
    def source(name: str, url: str) -> dict[str, Any]:
        return {"name": name, "gitRepository": {"url": url}, "kustomizations": {"k": {}}}

    sources = [source("a", "ssh://git@git.example/x"), source("b", "https://git.example:8443/x")]
    proxy = {"proxy": {"httpsProxy": "http://proxy.example:3128"}}
    all_flows = flows(cluster(arc={"fluxConfigurations": sources}), stack=AZURE, netplan=proxy)
    assert told(all_flows, purpose="Flux configuration a") == {
        ("nodes of network aks", "git.example", "tcp", "22")
    }
    assert told(all_flows, purpose="Flux configuration b") == {("proxy", "git.example", "tcp", "8443")}


def test_private_endpoints_are_reached_by_their_addresses() -> None:
    endpoint = {"name": "vault", "privateIPAddress": "10.1.2.3"}
    (flow,) = [
        flow
        for flow in flows(cluster(), netplan={"privateEndpoints": [endpoint]})
        if flow.purpose == "private endpoint"
    ]
    assert (flow.source.where, flow.target.where, flow.ports_text) == (NODES, "10.1.2.3", "443")


def test_azure_local_s_own_ports_are_told_apart_and_only_between_vlans() -> None:
    apart = told(flows(cluster(), stack={"arc": AZURE["arc"]}), needs="azureLocal", rule="NET")
    assert apart == {
        ("hosts", "nodes of network aks", "tcp", "22, 6443"),
        ("infrastructure pool", "nodes of network aks", "tcp", "22, 6443"),
        ("nodes of network aks", "cluster IP", "tcp", "55000, 65000"),
    }
    assert told(flows(cluster(), networks=[network(vlan=0)]), needs="azureLocal", rule="NET") == set()
    gateway = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.HybridCompute/gateways/w"
    with_gateway = flows(cluster(arc={}), stack={"arc": {**AZURE["arc"], "gateway": gateway}})
    assert ("nodes of network aks", "cluster IP", "tcp", "55000, 65000, 40343") in told(with_gateway)


def test_what_stays_in_a_subnet_is_no_router_s_business() -> None:
    all_flows = flows(cluster(planes=3))
    rules = render_nftables("lab", all_flows)
    assert {flow.is_within for flow in all_flows if flow.protocol == "vrrp"} == {True}
    assert "10.220.32.18-10.220.32.37 meta l4proto tcp th dport { 22, 2379, 6443 } accept" in rules
    assert "VXLAN" not in rules


def test_every_form_has_every_connection() -> None:
    all_flows = flows(cluster(planes=3, arc={}), stack=AZURE)
    content = as_json("lab", all_flows)["connections"]
    rows = list(csv.reader(io.StringIO(render_csv(all_flows))))
    assert len(content) == len(rows) - 1 == len(all_flows)
    table = render_tables(all_flows)
    assert all(flow.purpose in table and flow.target.name in table for flow in all_flows)


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in named()])
def test_every_rule_names_an_address_and_no_connection_is_told_twice(content: Content) -> None:
    spec = spec_of(content)
    all_flows = flows_of(spec, plan_instance(spec))
    assert len(set(all_flows)) == len(all_flows)
    rules = [line for line in render_nftables(spec.name, all_flows).splitlines() if " accept comment " in line]
    assert all(" daddr " in f" {line}" or " saddr " in f" {line}" for line in rules)
    prefixes = {network.name: network.address_prefix.network for network in spec.netplan.logical_networks}
    for party in {
        party for flow in all_flows for party in (flow.source, flow.target) if party.network in prefixes
    }:
        assert all(IPv4Address(span.first) in prefixes[party.network] for span in party.ranges)
