"""How networks reach each host; what a machine has of it is in test_topology.py."""

from typing import Any

import pytest

from infra.plan.instance import plan_instance
from infra.plan.topology import Topology, build_topology
from tests.instances import cluster, host, infrastructure, make_spec, network

HOSTS = [host(number, uplink=None) for number in (1, 2, 3)]
VXLAN = {"transport": "vxlan"}


def topology_of(*clusters: Any, **parts: Any) -> Topology:
    spec = make_spec(*clusters, **parts)
    return build_topology(spec, plan_instance(spec))


def test_every_host_of_a_mesh_names_all_the_others() -> None:
    topology = topology_of(cluster(), hosts=HOSTS, netplan=VXLAN)
    found = [one for one in topology.networks if one.network == "aks"]
    assert [(one.host, one.mode, one.mtu) for one in found] == [(f"node{n}", "mesh", 1450) for n in (1, 2, 3)]
    ends = [one.tunnel for one in found if one.tunnel]
    assert [(end.local, end.peers) for end in ends] == [
        ("192.0.2.1", ("192.0.2.2", "192.0.2.3")),
        ("192.0.2.2", ("192.0.2.1", "192.0.2.3")),
        ("192.0.2.3", ("192.0.2.1", "192.0.2.2")),
    ]
    assert len({end.vni for end in ends}) == 1


def test_networks_of_a_mesh_and_of_other_instances_have_other_numbers() -> None:
    parts: dict[str, Any] = {
        "hosts": HOSTS,
        "netplan": VXLAN,
        "networks": [
            network(),
            network("10.9.0.5", "10.9.0.9", name="second", addressPrefix="10.9.0.0/24", gateway="10.9.0.1"),
        ],
    }
    numbers = {
        (name, one.network): one.tunnel.vni
        for name in ("lab", "other")
        for one in topology_of(name=name, **parts).networks
        if one.tunnel
    }
    assert len(set(numbers.values())) == len(numbers) == 6
    assert all(0 < number < 2**24 for number in numbers.values())


@pytest.mark.parametrize(("named", "holder"), [(None, "node1"), ("node3", "node3")])
def test_one_host_holds_the_gateways_and_is_the_way_to_the_machines(named: str | None, holder: str) -> None:
    topology = topology_of(cluster(workers=3), hosts=HOSTS, netplan={**VXLAN, "gatewayHost": named})
    assert {one.host for one in topology.networks if one.holds_gateway} == {holder}
    assert {one.reached_through for one in topology.machines} == {holder}
    assert {one.jump for one in topology.machines} == {f"root@192.0.2.{holder[-1]}"}
    assert len({one.host for one in topology.machines}) == 3
    assert {one.mtu for one in topology.machines} == {1450}


def test_a_jumbo_underlay_leaves_room_for_more() -> None:
    topology = topology_of(cluster(), hosts=HOSTS, netplan={**VXLAN, "underlayMtu": 9000})
    assert {one.mtu for one in topology.networks} == {8950}


def test_an_address_below_the_mesh_is_what_the_file_or_else_the_connection_says() -> None:
    hosts = [host(1, tunnelAddress="198.51.100.1"), *HOSTS[1:]]
    (first, *_) = topology_of(hosts=hosts, netplan=VXLAN).networks
    assert first.tunnel
    assert first.tunnel.local == "198.51.100.1"


def test_one_host_has_its_end_of_a_mesh_so_that_a_second_one_changes_no_machine() -> None:
    alone = topology_of(cluster(), hosts=HOSTS[:1], netplan=VXLAN)
    assert {(one.mode, one.tunnel and one.tunnel.peers, one.mtu) for one in alone.networks} == {("mesh", (), 1450)}
    assert {(one.reached_through, one.jump) for one in alone.machines} == {("node1", "root@192.0.2.1")}
    local = topology_of(cluster(), hosts=[host(connection="qemu:///system", uplink=None)], netplan=VXLAN)
    assert {one.mode for one in local.networks} == {"nat"}, "others couldn't reach it"


def test_a_lost_host_has_no_networks_and_holds_no_gateway() -> None:
    hosts = [{**HOSTS[0], "lost": True}, *HOSTS[1:2]]
    topology = topology_of(cluster(), hosts=hosts, netplan={**VXLAN, "gatewayHost": "node1"})
    assert {(one.host, one.holds_gateway, one.mode) for one in topology.networks} == {("node2", True, "mesh")}
    assert {one.tunnel.peers for one in topology.networks if one.tunnel} == {()}
    assert {one.reached_through for one in topology.machines} == {"node2"}
    assert [one.is_lost for one in topology.hosts] == [True, False]


def test_uplinks_carry_vlans_and_hold_no_gateway() -> None:
    topology = topology_of(cluster(), hosts=[host(1), host(2)], infra=infrastructure(vlan=7))
    assert {(one.mode, one.vlan, one.holds_gateway) for one in topology.networks} == {
        ("bridge", 7, False),
        ("bridge", 110, False),
    }
    assert all(one.reached_through == one.host and one.jump is None for one in topology.machines)
