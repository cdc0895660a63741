from pathlib import Path
from typing import Any

import pytest

from infra.plan.addresses import Lock
from infra.plan.addresses.numbers import range_text
from infra.plan.host_networks import bridge_name
from infra.plan.instance import plan_instance
from infra.plan.locks import Locks
from infra.plan.placement import Place, PlacementLock
from infra.plan.topology import Topology, build_topology
from infra.spec import SpecError, load_instance
from infra.spec.machine_names import mac_addresses
from tests.instances import cluster, host, infrastructure, make_spec, network

ROOT = Path(__file__).parents[2]


def topology_of(*clusters: Any, **parts: Any) -> Topology:
    spec = make_spec(*clusters, **parts)
    return build_topology(spec, plan_instance(spec))


def test_the_stack_local_is_three_machines_at_planned_addresses() -> None:
    spec = load_instance("local", ROOT)
    topology = build_topology(spec, plan_instance(spec))
    assert [(one.name, one.role, one.host, str(one.address)) for one in topology.machines] == [
        ("local-rb-0", "resourceBridge", "node1", "10.197.40.21/24"),
        ("local-a-cp-0", "controlPlane", "node1", "10.197.41.20/24"),
        ("local-a-nodepool1-0", "worker", "node1", "10.197.41.21/24"),
    ]
    assert [(one.libvirt_name, one.mode, one.bridge) for one in topology.networks] == [
        ("local-infrastructure", "nat", "azl-bc72c22baff"),
        ("local-aks", "nat", "azl-local-aks"),
    ]
    (only,) = topology.hosts
    assert (only.storage_directory, only.is_local) == ("/var/lib/azlocal/local", True)
    (a,) = topology.clusters
    assert str(a.endpoint) == "10.197.41.23"
    assert list(map(range_text, a.load_balancer_ranges)) == ["10.197.41.100-10.197.41.102"]
    assert a.machines == ("local-a-cp-0", "local-a-nodepool1-0")


def test_a_machine_has_everything_decided() -> None:
    topology = topology_of(cluster(agentPools=[{"name": "nodepool1", "count": 1, "vmSize": "Small"}]))
    worker = topology.machines[-1]
    assert (worker.owner, worker.cluster, worker.pool) == ("a-nodepool1-0", "a", "nodepool1")
    assert (worker.vm_size, worker.vcpus, worker.memory_mib, worker.disk_gib) == ("Small", 2, 2048, 20)
    assert (str(worker.gateway), list(map(str, worker.dns_servers))) == ("10.220.32.1", ["10.220.32.5"])
    assert (worker.network, worker.libvirt_network) == ("aks", "lab-aks")
    assert worker.mac_address.startswith("52:54:00:")


def test_nodes_held_for_autoscaling_are_no_machines_yet() -> None:
    pool = {"name": "nodepool1", "count": 1, "enableAutoScaling": True, "minCount": 1, "maxCount": 3}
    assert len(topology_of(cluster(agentPools=[pool])).machines) == 1 + 1 + 1


def test_machines_stay_when_others_come_and_files_are_reordered() -> None:
    hosts = [host(number) for number in range(1, 5)]
    few = topology_of(cluster("b", planes=3), hosts=hosts)
    spec = make_spec(cluster("c"), cluster("b", planes=3), hosts=hosts[::-1])
    many = build_topology(spec, plan_instance(spec))
    assert {(one.name, one.host, one.mac_address) for one in few.machines} <= {
        (one.name, one.host, one.mac_address) for one in many.machines
    }
    planes = [one.host for one in few.machines if one.role == "controlPlane"]
    assert len(set(planes)) == 3


def test_a_placement_with_its_lock_decides_the_hosts() -> None:
    spec = make_spec(cluster(), hosts=[host(1), host(2), host(3, drain=True)])
    lock = PlacementLock({"lab/a-cp-0": Place("node2", 8192, 200), "lab/a-nodepool1-0": Place("node3", 8192, 200)})
    plan = plan_instance(spec, Locks(Lock(), lock))
    hosts = {one.owner: one.host for one in build_topology(spec, plan).machines}
    assert hosts == plan.placement.hosts
    assert hosts["a-cp-0"] == "node2"
    assert hosts["a-nodepool1-0"] != "node3"


def test_a_lost_host_lets_no_machine_go_live() -> None:
    hosts = [host(1), host(2, drain="live"), host(3, drain=True), host(4, lost=True)]
    topology = topology_of(cluster(), hosts=hosts)
    assert [one.drains_live for one in topology.hosts] == [False, True, False, False]
    assert [one.name for one in topology.hosts if one.is_lost] == ["node4"]
    both = make_spec(cluster(), hosts=[host(1), host(2, drain="live", lost=True)])
    assert [one.drains_live for one in both.hosts.hosts] == [False, False]
    with pytest.raises(SpecError) as caught:
        build_topology(both, plan_instance(both))
    assert "live-drain-of-lost-host" in {finding.rule for finding in caught.value.findings}


def test_a_placement_that_is_not_sound_is_no_topology() -> None:
    spec = make_spec(cluster(), hosts=[host(drain=True)])
    with pytest.raises(SpecError) as caught:
        build_topology(spec, plan_instance(spec))
    assert [finding.rule for finding in caught.value.findings] == ["every-host-drains"]


def test_a_host_named_like_a_machine_does_not_take_its_address() -> None:
    topology = topology_of(cluster(), hosts=[host(name="a-cp-0")])
    assert str(topology.machines[1].address) == "10.220.32.18/24"


def test_networks_on_one_vlan_share_the_bridge_of_an_uplink() -> None:
    second = network(
        "10.9.0.20",
        "10.9.0.99",
        name="other",
        addressPrefix="10.9.0.0/24",
        gateway="10.9.0.1",
        dnsServers=["10.9.0.2"],
    )
    parts: dict[str, Any] = {"networks": [network(), second]}
    bridged = topology_of(cluster(logicalNetwork="other"), **parts)
    assert [one.libvirt_name for one in bridged.networks] == ["lab-infrastructure", "lab-aks"]
    assert bridged.machines[-1].libvirt_network == "lab-aks"
    local = {"name": "here", "connection": "qemu:///system"}
    nat = topology_of(cluster(logicalNetwork="other"), hosts=[local], **parts)
    assert [(one.libvirt_name, one.mode) for one in nat.networks] == [
        ("lab-infrastructure", "nat"),
        ("lab-aks", "nat"),
        ("lab-other", "nat"),
    ]


@pytest.mark.parametrize(
    ("connection", "said", "prepare"),
    [
        ("qemu:///system", {}, False),
        ("qemu:///system", {"prepare": True}, True),
        ("qemu+ssh://root@192.0.2.1/system", {}, True),
        ("qemu+ssh://root@192.0.2.1/system", {"prepare": False}, False),
    ],
)
def test_remote_hosts_are_prepared_unless_the_file_says_otherwise(
    connection: str, said: dict[str, Any], prepare: bool
) -> None:
    (only,) = topology_of(hosts=[host(connection=connection, **said)]).hosts
    assert only.prepare is prepare


def test_bridge_names_fit_and_differ() -> None:
    names = {
        bridge_name(instance, net)
        for instance in ("lab", "a", "a-b", "a-very-long-instance-name")
        for net in ("aks", "infrastructure", "b-c", "c")
    }
    assert len(names) == 16
    assert all(len(name) <= 15 and name.startswith("azl-") for name in names)
    assert bridge_name("lab", "aks") == "azl-lab-aks"


def test_mac_addresses_are_stable_and_all_different() -> None:
    many = mac_addresses(f"m{number}" for number in range(8000))  # some names draw the same three bytes
    assert len(set(many.values())) == 8000
    assert mac_addresses(["m7"])["m7"] == many["m7"]


def test_an_unsound_plan_is_no_topology() -> None:
    spec = make_spec(cluster(planes=2), infra=infrastructure(gateway="10.0.0.1"))
    with pytest.raises(SpecError) as caught:
        build_topology(spec, plan_instance(spec))
    assert {finding.rule for finding in caught.value.findings} == {"control-plane-count", "gateway-outside-prefix"}
