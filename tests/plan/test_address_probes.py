"""Which addresses are looked for, and where."""

from typing import Any

from infra.plan.address_probes import Probe, address_probes
from infra.plan.instance import plan_instance
from infra.plan.topology import build_topology
from tests.instances import cluster, host, make_spec, network

LOCAL = [{"name": "here", "connection": "qemu:///system"}]


def probes_of(*clusters: Any, **parts: Any) -> dict[str, Probe]:
    spec = make_spec(*clusters, **parts)
    plan = plan_instance(spec)
    probes = address_probes(plan.addresses, build_topology(spec, plan))
    return {probe.network.libvirt_name: probe for probe in probes}


def test_all_that_is_given_out_is_probed_once_on_a_host_of_the_network() -> None:
    found = probes_of(cluster(loadBalancer={"count": 2}), hosts=[host(1), host(2)])
    assert {name: probe.network.host for name, probe in found.items()} == {
        "lab-infrastructure": "node1",
        "lab-aks": "node1",
    }
    assert sorted(found["lab-aks"].addresses.values()) == [
        *("a-cp-0", "a-lb-0", "a-lb-1", "a-nodepool1-0", "a-spare", "a-vip")
    ]
    assert len(found["lab-aks"].own_macs) == 2
    assert "node1" not in found["lab-infrastructure"].addresses.values(), "a host answers for its own address"


def test_a_mesh_is_asked_where_its_gateway_is() -> None:
    hosts = [host(1, uplink=None), host(2, uplink=None)]
    found = probes_of(cluster(), hosts=hosts, netplan={"transport": "vxlan", "gatewayHost": "node2"})
    assert {probe.network.host for probe in found.values()} == {"node2"}


def test_of_one_host_s_own_network_nobody_else_is_part() -> None:
    assert probes_of(cluster(), hosts=LOCAL) == {}


def test_networks_on_one_vlan_are_asked_together() -> None:
    second = network("10.220.33.18", "10.220.33.37", name="second", addressPrefix="10.220.33.0/24")
    found = probes_of(
        cluster(),
        cluster("b", logicalNetwork="second"),
        hosts=[host(1)],
        networks=[network(), {**second, "gateway": "10.220.33.1"}],
    )
    assert {"a-cp-0", "b-cp-0"} <= set(found["lab-aks"].addresses.values())
