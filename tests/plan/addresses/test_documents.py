"""The documents' worked examples with numbers (azure_local_facts.md §1-3) and their like, by `azlocal plan`.

`Plan` goes the way people go: three YAML files, the command, its JSON and its exit code.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli import app
from tests.instances import cluster, files, host, infrastructure, network, write_files

A = cluster("a", planes=3, workers=5)
B = cluster("b", planes=1, workers=3)
SERVICES = {"addresses": ["10.220.32.47-10.220.32.49"]}
OTHER = {"addressPrefix": "10.9.0.0/24", "gateway": "10.9.0.1", "dnsServers": ["10.9.0.2"], "name": "other"}


class Planner:
    """Writes the files of an instance and runs `azlocal plan` on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *clusters: Any, exit_code: int = 0, options: tuple[str, ...] = (), **parts: Any) -> Any:
        write_files(self.folder, files(clusters, **parts))
        command = ["-C", str(self.folder), "plan", "lab", "--format", "json", *options]
        result = CliRunner(env={"CI": ""}).invoke(app, command)
        assert result.exit_code == exit_code, result.output
        plan = json.loads(result.stdout)
        assert plan["ok"] == (exit_code == 0)
        return plan


@pytest.fixture
def plan(tmp_path: Path) -> Planner:
    return Planner(tmp_path)


def numbers(net: dict[str, Any]) -> tuple[int, int, int, int, int]:
    """Return the pool's size, need and rest, the services' need, and the total."""
    pool, balancer = net["pool"], net["loadBalancer"]
    return pool["size"], pool["required"], pool["free"], balancer["required"], net["total"]


def where(plan: dict[str, Any], use: str) -> list[str]:
    return [one["address"] for net in plan["networks"] for one in net["allocations"] if one["use"] == use]


def owners(plan: dict[str, Any]) -> dict[str, str]:
    return {one["owner"]: one["address"] for net in plan["networks"] for one in net["allocations"]}


def broken(plan: dict[str, Any]) -> list[str]:
    return [finding["rule"] for finding in plan["findings"] if finding["severity"] == "error"]


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.220.32.47-10.220.32.49"],
        ["10.220.32.47 - 10.220.32.48, 10.220.32.49"],
        ["10.220.32.47,10.220.32.48/31"],
        ["10.220.32.47/32", "10.220.32.49/31"],  # host bits: 48-49
    ],
)
def test_v1_two_clusters_one_subnet(plan: Planner, addresses: list[str]) -> None:
    found = plan({**A, "loadBalancer": {"addresses": addresses}}, B)
    assert numbers(found["networks"][1]) == (20, 16, 4, 3, 19)
    assert where(found, "loadBalancer") == [f"10.220.32.{last}" for last in (47, 48, 49)]
    assert not found["findings"]


def test_v1_where_we_choose_the_service_addresses(plan: Planner) -> None:
    found = plan({**A, "loadBalancer": {"count": 3}}, B)
    assert numbers(found["networks"][1]) == (20, 16, 4, 3, 19)
    assert where(found, "loadBalancer") == [f"10.220.32.{last}" for last in (38, 39, 40)]


def test_v1b_vips_given_by_the_user(plan: Planner) -> None:
    a = {**A, "controlPlane": {"count": 3, "hostIP": "10.220.32.40"}, "loadBalancer": SERVICES}
    b = {**B, "controlPlane": {"count": 1, "hostIP": "10.220.32.41"}}
    found = plan(a, b)
    assert numbers(found["networks"][1]) == (20, 14, 6, 3, 19)
    assert where(found, "controlPlaneVip") == ["10.220.32.40", "10.220.32.41"]
    mixed = plan(a, B, options=("--no-lock",))
    assert numbers(mixed["networks"][1]) == (20, 15, 5, 3, 19)


def test_v2_one_cluster_by_the_one_line_formula(plan: Planner) -> None:
    found = plan({**A, "loadBalancer": {"count": 3}})
    assert numbers(found["networks"][1]) == (20, 10, 10, 3, 3 + 5 + 2 + 3)


BRIDGE_SITE = {
    "addressPrefix": "192.168.0.0/29",
    "gateway": "192.168.0.1",
    "dnsServers": ["192.168.0.1", "10.0.0.5", "10.0.0.6"],
    "pool": {"start": "192.168.0.2", "end": "192.168.0.3"},
}
BRIDGE_TEST = {"deploymentClass": "resourceBridgeTest"}
HERE = [{"name": "here", "connection": "qemu:///system"}]


def test_v4_the_smallest_resource_bridge(plan: Planner) -> None:
    found = plan(stack=BRIDGE_TEST, infra=BRIDGE_SITE, hosts=HERE, networks=[])
    assert numbers(found["networks"][0]) == (2, 2, 0, 0, 3)
    assert not found["findings"]
    assert (where(found, "resourceBridgeNode"), where(found, "resourceBridgeSpare")) == (
        ["192.168.0.2"],
        ["192.168.0.3"],
    )
    assert where(found, "resourceBridgeVip") == ["192.168.0.4"]
    assert len(found["networks"][0]["allocations"]) == 4, ".5 and .6 are free"
    pinned = plan(
        stack=BRIDGE_TEST,
        infra=BRIDGE_SITE,
        hosts=HERE,
        networks=[],
        reservations=[{"address": "192.168.0.6", "owner": "rb-vip"}],
        options=("--no-lock",),
    )
    assert where(pinned, "resourceBridgeVip") == ["192.168.0.6"]


def test_v4_is_no_instance_and_the_remedy_says_how_to_test_the_bridge_alone(plan: Planner) -> None:
    found = plan(infra=BRIDGE_SITE, hosts=HERE, networks=[], exit_code=2)
    assert broken(found)[0] == "infrastructure-pool-too-small"
    assert "resourceBridgeTest" in found["findings"][0]["remedy"]
    small = {**BRIDGE_SITE, "addressPrefix": "192.168.0.0/30"}
    assert "infrastructure-prefix-too-small" in broken(
        plan(stack=BRIDGE_TEST, infra=small, hosts=HERE, exit_code=2)
    )


@pytest.mark.parametrize("nodes", [1, 2, 3, 16])
def test_v5_management_addresses_are_the_nodes_and_five_and_the_vendors(plan: Planner, nodes: int) -> None:
    found = plan(hosts=[host(number, managementAddress=f"192.168.1.{100 + number}") for number in range(nodes)])
    network_json = found["networks"][0]
    held = [one for one in network_json["allocations"] if one["use"] != "gateway"]
    assert len(held) == nodes + 5 + 1
    assert [one["owner"] for one in held if one["use"] == "reserved"] == ["vm-update", "oem"]
    assert numbers(network_json)[:2] == (11, 6)


def test_v9_the_pool_is_excluded_from_the_dhcp_scope(plan: Planner) -> None:
    scope = [{"start": "192.168.1.2", "end": "192.168.1.254"}]
    found = plan(infra=infrastructure(dhcpRanges=scope), exit_code=2)
    assert broken(found) == ["dhcp-meets-plan"]
    assert "192.168.1.20-192.168.1.30" in found["findings"][0]["remedy"]
    around = [
        {"start": "192.168.1.2", "end": "192.168.1.19"},
        {"start": "192.168.1.31", "end": "192.168.1.254"},
    ]
    assert numbers(plan(infra=infrastructure(dhcpRanges=around))["networks"][0])[0] == 11


def test_what_we_choose_outside_the_pools_keeps_out_of_dhcp_too(plan: Planner) -> None:
    scope = [{"start": "10.220.32.38", "end": "10.220.32.99"}]
    found = plan({**A, "loadBalancer": {"count": 2}}, networks=[network(dhcpRanges=scope)])
    assert where(found, "loadBalancer") == ["10.220.32.100", "10.220.32.101"]


def test_the_sample_with_its_gateway_elsewhere_is_refused(plan: Planner) -> None:
    sample = network(
        "100.68.180.4", "100.68.180.10", addressPrefix="100.68.180.0/28", gateway="192.168.200.1", vlan=201
    )
    assert broken(plan(networks=[sample], exit_code=2)) == ["gateway-outside-prefix"]


def test_the_sample_with_host_bits_is_read_as_its_network(plan: Planner) -> None:
    sample = network(end="10.220.32.38", addressPrefix="10.220.32.16/24", gateway="10.220.32.16")
    found = plan(A, B, networks=[sample])
    assert found["networks"][1]["addressPrefix"] == "10.220.32.0/24"
    assert numbers(found["networks"][1])[:3] == (21, 16, 5)
    assert [finding["rule"] for finding in found["findings"]] == ["prefix-host-bits"]


def test_the_portals_range_with_host_bits_is_sixteen_addresses(plan: Planner) -> None:
    lan = network(
        "192.168.50.80",
        "192.168.50.99",
        addressPrefix="192.168.50.0/24",
        gateway="192.168.50.1",
        dnsServers=["192.168.50.2"],
    )
    found = plan(cluster(loadBalancer={"addresses": ["192.168.50.51/28"]}), networks=[lan])
    assert numbers(found["networks"][1]) == (20, 4, 16, 16, 20)
    assert where(found, "loadBalancer")[::15] == ["192.168.50.48", "192.168.50.63"]


def test_22000_pods_fit_into_the_default_range(plan: Planner) -> None:
    pools = [{"name": f"pool{number}", "count": count} for number, count in enumerate((64, 64, 64, 7))]
    wide = network("10.220.0.10", "10.220.9.0", addressPrefix="10.220.0.0/16", gateway="10.220.0.1")
    found = plan(cluster(agentPools=pools), networks=[wide])
    assert numbers(found["networks"][1])[1] == 200 + 2
    more = [*pools[:3], {"name": "pool3", "count": 8}]
    assert broken(plan(cluster(agentPools=more), networks=[wide], exit_code=2)) == ["cluster-node-count"]


@pytest.mark.parametrize(("last", "short"), [(33, 0), (32, 1), (18, 15)])
def test_a_pool_that_is_exactly_full_or_short(plan: Planner, last: int, short: int) -> None:
    found = plan(A, B, networks=[network(end=f"10.220.32.{last}")], exit_code=2 if short else 0)
    size = last - 17
    assert numbers(found["networks"][1])[:3] == (size, 16, 0)
    assert broken(found) == (["aks-pool-too-small"] if short else [])
    if short:
        assert f"{short} more than there are" in found["findings"][0]["message"]


def test_two_pools_of_one_network_count_together(plan: Planner) -> None:
    pools = [
        {"start": "10.220.32.18", "end": "10.220.32.20"},
        {"start": "10.220.32.200", "end": "10.220.32.212", "ipPoolType": "vm"},
        {"start": "10.220.32.230", "end": "10.220.32.240", "ipPoolType": "vippool"},
    ]
    found = plan(A, B, networks=[network(ipPools=pools)])
    assert numbers(found["networks"][1]) == (16, 16, 0, 0, 16)


def test_autoscaling_counts_the_most_nodes(plan: Planner) -> None:
    scaling = {"name": "nodepool1", "count": 2, "enableAutoScaling": True, "minCount": 1, "maxCount": 7}
    fixed = {"name": "nodepool2", "count": 2, "minCount": 1, "maxCount": 9}
    found = plan(cluster(agentPools=[scaling, fixed]))
    assert numbers(found["networks"][1])[:3] == (20, 1 + 7 + 2 + 2, 8)


def test_clusters_on_networks_of_their_own(plan: Planner) -> None:
    other = network("10.9.0.20", "10.9.0.25", **OTHER, vlan=9)
    found = plan(A, {**B, "logicalNetwork": "other"}, networks=[network(), other])
    assert [numbers(net)[:3] for net in found["networks"][1:]] == [(20, 10, 10), (6, 6, 0)]


def test_networks_on_one_vlan_have_disjoint_pools(plan: Planner) -> None:
    same = network("10.220.32.50", "10.220.32.60", name="other")
    found = plan(A, {**B, "logicalNetwork": "other"}, networks=[network(), same])
    assert [numbers(net)[:3] for net in found["networks"][1:]] == [(20, 10, 10), (11, 6, 5)]
    meeting = network("10.220.32.30", "10.220.32.60", name="other")
    options = ("--no-lock",)
    assert broken(plan(A, networks=[network(), meeting], exit_code=2, options=options)) == ["pools-overlap"]
    elsewhere = network("10.9.0.20", "10.9.0.29", **OTHER, vlan=110)
    found = plan(A, {**B, "logicalNetwork": "other"}, networks=[network(), elsewhere], options=options)
    assert len({one["id"] for one in found["vrrpIds"] if one["vlan"] == 110}) == 2


@pytest.mark.parametrize(
    ("clusters", "rule"),
    [
        ([{**A, "loadBalancer": {"addresses": ["10.220.32.37"]}}], "load-balancer-in-pool"),
        ([{**A, "loadBalancer": SERVICES}, {**B, "loadBalancer": SERVICES}], "address-clash"),
        (
            [{**A, "loadBalancer": SERVICES}, {**B, "controlPlane": {"hostIP": "10.220.32.48"}}],
            "pin-clash",
        ),
        ([{**A, "controlPlane": {"count": 3, "hostIP": "10.220.32.1"}}], "pin-clash"),
        ([{**A, "controlPlane": {"count": 3, "hostIP": "10.220.32.18"}}], "vip-in-pool"),
        ([{**A, "controlPlane": {"count": 3, "hostIP": "10.220.33.9"}}], "vip-outside-prefix"),
        ([{**A, "controlPlane": {"count": 3, "hostIP": "192.168.1.22"}}], "vip-outside-prefix"),
        ([{**A, "loadBalancer": {"addresses": ["10.220.33.0/28"]}}], "load-balancer-outside-subnet"),
        ([{**A, "networkProfile": {"podCidr": "10.220.0.0/16"}}], "cidr-overlap"),
        ([{**A, "networkProfile": {"podCidr": "192.168.0.0/16"}}], "cidr-overlap"),
        ([{**A, "networkProfile": {"podCidr": "10.244.0.0/22"}}], None),
        ([{**A, "networkProfile": {"podCidr": "10.244.0.0/23"}}], "pod-cidr-too-small"),
    ],
)
def test_what_meets_across_clusters_is_refused(plan: Planner, clusters: list[Any], rule: str | None) -> None:
    found = plan(*clusters, exit_code=2 if rule else 0)
    assert broken(found)[:1] == ([rule] if rule else [])


def test_reservations_in_a_pool_take_room(plan: Planner) -> None:
    taken = [{"address": f"10.220.32.{last}", "owner": f"printer{last}"} for last in (18, 20, 22, 24)]
    found = plan(A, B, reservations=taken)
    assert numbers(found["networks"][1])[:3] == (20, 16, 0)
    assert not set(where(found, "controlPlaneNode")) & {one["address"] for one in taken}
    full = plan(A, B, reservations=[*taken, {"address": "10.220.32.26", "owner": "x"}], exit_code=2)
    assert "aks-pool-too-small" in broken(full)


def test_addresses_stay_through_add_remove_reorder_and_resize(plan: Planner) -> None:
    first = owners(plan(A, B))
    grown = [{**A, "agentPools": [{"name": "nodepool1", "count": 6}, {"name": "gpu", "count": 1}]}, cluster("aa")]
    wide = [network(end="10.220.32.60")]
    second = owners(plan(B, *grown, networks=wide))
    assert first.items() <= second.items()
    third = owners(plan(*grown, networks=wide))
    assert {name: address for name, address in second.items() if not name.startswith("b-")} == third
    fourth = owners(plan(*grown, cluster("c"), networks=wide))
    freed = {second[name] for name in second.keys() - third.keys()}
    assert third.items() <= fourth.items()
    assert not {fourth[name] for name in fourth.keys() - third.keys()} & freed
    assert first.items() <= owners(plan(A, B, networks=wide)).items(), "who comes back has the old address"


def test_no_lock_leaves_no_trace_and_frozen_changes_nothing(plan: Planner) -> None:
    lock = plan.folder / "netplans/s.lock.yaml"
    bare = owners(plan(A, options=("--no-lock",)))
    assert not lock.exists()
    assert owners(plan(A)) == bare
    text = lock.read_bytes()
    assert owners(plan(A, options=("--frozen",))) == bare
    found = plan(A, B, options=("--frozen",), exit_code=2)
    assert broken(found) == ["lock-frozen"]
    assert owners(found).items() >= bare.items(), "the plan is shown all the same"
    assert lock.read_bytes() == text


def test_a_change_that_strands_an_address_is_refused_and_not_recorded(plan: Planner) -> None:
    plan(A)
    text = (plan.folder / "netplans/s.lock.yaml").read_bytes()
    for change in (
        {"networks": [network("10.220.32.22", "10.220.32.60")]},
        {
            "networks": [
                network("10.220.33.18", "10.220.33.60", addressPrefix="10.220.33.0/24", gateway="10.220.33.1")
            ]
        },
        {"reservations": [{"address": "10.220.32.18", "owner": "printer"}]},
    ):
        assert "address-stranded" in broken(plan(A, exit_code=2, **change))
    moved = {**A, "controlPlane": {"count": 3, "hostIP": "10.220.32.99"}}
    assert broken(plan(moved, exit_code=2)) == ["pin-moved"]
    assert (plan.folder / "netplans/s.lock.yaml").read_bytes() == text


def test_what_cannot_be_read_is_exit_code_1_with_json(plan: Planner) -> None:
    write_files(plan.folder, files([A]))
    (plan.folder / "netplans/s.yaml").unlink()
    for folder, stack in ((plan.folder, "lab"), (plan.folder, "nosuch"), (plan.folder / "no", "lab")):
        command = ["-C", str(folder), "plan", stack, "--format", "json"]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 1
        found = json.loads(result.stdout)
        assert (found["ok"], found["networks"]) == (False, [])
        assert found["findings"][0]["path"].endswith(".yaml")


def test_a_network_may_be_described_in_full_as_azure_does(plan: Planner) -> None:
    full = network(
        vmSwitchName="ConvergedSwitch(compute_management)",
        ipAllocationMethod="Static",
        ipPools=[{"name": "p", "start": "10.220.32.18", "end": "10.220.32.37", "ipPoolType": "vm"}],
    )
    extras = {
        "proxy": {
            "httpsProxy": "http://192.168.1.9:3128",
            "noProxy": ["localhost", ".svc", "10.0.0.0/8", "192.168.0.0/16"],
        },
        "privateEndpoints": [{"name": "vault", "privateIPAddress": "10.220.32.200"}],
    }
    hosts = [host(1, dnsServers=["192.168.1.1"], memoryGiB=128, cpus=32), host(2, memoryGiB=128)]
    found = plan(A, B, networks=[full], netplan=extras, hosts=hosts)
    assert not found["findings"]
    assert where(found, "reserved")[-1] == "10.220.32.200"
