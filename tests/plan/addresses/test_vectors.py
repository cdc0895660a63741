"""The worked examples of the documents (azure_local_facts.md §2.8), through the plan's JSON."""

from typing import Any

from tests.instances import checked_addresses, cluster, make_spec, network

V1 = (
    cluster("a", planes=3, workers=5, loadBalancer={"addresses": ["10.220.32.47-10.220.32.49"]}),
    cluster("b", planes=1, workers=3),
)


def plan_of(*clusters: Any, **parts: Any) -> dict[str, Any]:
    return checked_addresses(make_spec(*clusters, **parts)).to_json()


def by_use(network_json: dict[str, Any]) -> dict[str, list[str]]:
    uses: dict[str, list[str]] = {}
    for one in network_json["allocations"]:
        uses.setdefault(one["use"], []).append(one["address"].removeprefix("10.220.32."))
    return uses


def test_v1_two_clusters_in_one_subnet() -> None:
    plan = plan_of(*V1)
    assert (plan["instance"], plan["ok"], plan["findings"]) == ("lab", True, [])
    aks = plan["networks"][1]
    assert (aks["name"], aks["addressPrefix"], aks["vlan"]) == ("aks", "10.220.32.0/24", 110)
    assert aks["pool"] == {"size": 20, "required": 16, "free": 4}
    assert aks["loadBalancer"] == {"size": 3, "required": 3}
    assert aks["total"] == 19
    assert by_use(aks) == {
        "gateway": ["1"],
        "dns": ["5"],
        "controlPlaneNode": ["18", "19", "20", "28"],
        "workerNode": ["21", "22", "23", "24", "25", "29", "30", "31"],
        "upgradeSpare": ["26", "32"],
        "controlPlaneVip": ["27", "33"],
        "loadBalancer": ["47", "48", "49"],
    }
    assert aks["allocations"][2] == {
        "address": "10.220.32.18",
        "owner": "a-cp-0",
        "cluster": "a",
        "use": "controlPlaneNode",
        "why": "control-plane node 1 of 3",
    }


def test_v1b_vips_that_people_give_lie_outside_the_pool() -> None:
    a, b = V1
    plan = plan_of(
        {**a, "controlPlane": {"count": 3, "hostIP": "10.220.32.40"}},
        {**b, "controlPlane": {"count": 1, "hostIP": "10.220.32.41"}},
    )
    aks = plan["networks"][1]
    assert plan["ok"]
    assert aks["pool"] == {"size": 20, "required": 14, "free": 6}
    assert by_use(aks)["controlPlaneVip"] == ["40", "41"]
    assert aks["total"] == 19


def test_v2_one_cluster() -> None:
    plan = plan_of(cluster(planes=3, workers=5, loadBalancer={"count": 3}))
    aks = plan["networks"][1]
    assert plan["ok"]
    assert (aks["pool"]["required"], aks["loadBalancer"], aks["total"]) == (10, {"size": 3, "required": 3}, 13)
    assert by_use(aks)["loadBalancer"] == ["38", "39", "40"], "behind the pool, where people look for them"


def test_autoscaling_holds_addresses_for_the_most_nodes() -> None:
    pool = {"name": "nodepool1", "count": 2, "enableAutoScaling": True, "minCount": 1, "maxCount": 5}
    aks = plan_of(cluster(agentPools=[pool]))["networks"][1]
    assert aks["pool"]["required"] == 1 + 5 + 1 + 1
    held = [one["why"] for one in aks["allocations"] if one["why"].startswith("held")]
    assert held == ["held for autoscaling of pool nodepool1 up to 5"] * 3


def test_the_infrastructure_pool_has_the_published_six() -> None:
    infra = plan_of()["networks"][0]
    assert infra["name"] == "infrastructure"
    assert infra["pool"] == {"size": 11, "required": 6, "free": 5}
    assert [(one["address"][-2:], one["use"]) for one in infra["allocations"]] == [
        (".1", "gateway"),
        ("11", "host"),
        ("20", "clusterAddress"),
        ("21", "resourceBridgeNode"),
        ("22", "resourceBridgeSpare"),
        ("23", "resourceBridgeVip"),
        ("24", "reserved"),
        ("25", "reserved"),
    ]


def test_the_pool_is_too_small_by_exactly_what_is_missing() -> None:
    enough = plan_of(*V1, networks=[network(end="10.220.32.33")])
    assert enough["ok"]
    assert enough["networks"][1]["pool"] == {"size": 16, "required": 16, "free": 0}
    short = plan_of(*V1, networks=[network(end="10.220.32.32")])
    assert not short["ok"]
    assert short["networks"][1]["pool"] == {"size": 15, "required": 16, "free": 0}
    (finding,) = short["findings"]
    assert finding["rule"] == "aks-pool-too-small"
    assert finding["path"] == "netplans/s.yaml: logicalNetworks[0].ipPools"
    assert "16 are required (a 10, b 6), 1 more than there are" in finding["message"]


def test_reservations_inside_a_pool_are_no_room() -> None:
    taken = [{"address": "10.220.32.20", "owner": "printer"}]
    plan = plan_of(cluster(planes=3), reservations=taken)
    assert plan["ok"]
    assert by_use(plan["networks"][1])["controlPlaneNode"] == ["18", "19", "21"]
    full = plan_of(*V1, networks=[network(end="10.220.32.33")], reservations=taken)
    assert [finding["rule"] for finding in full["findings"]] == ["aks-pool-too-small"]


def test_a_reservation_pins_the_machine_it_names() -> None:
    pins = [
        {"address": "10.220.32.30", "owner": "a-cp-0"},
        {"address": "192.168.1.28", "owner": "rb-0"},
        {"address": "10.220.32.99", "owner": "a-lb-0"},
    ]
    plan = plan_of(cluster(loadBalancer={"count": 1}), reservations=pins)
    assert plan["ok"], plan["findings"]
    owners = {one["owner"]: one["address"] for net in plan["networks"] for one in net["allocations"]}
    assert (owners["a-cp-0"], owners["rb-0"], owners["a-lb-0"]) == ("10.220.32.30", "192.168.1.28", "10.220.32.99")
    assert owners["rb-spare"] == "192.168.1.29", "adjacent to the pinned one"
