"""What drills break, and which of them are refused before anything is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, get_args

import pytest

from infra.stack.drills.decision import (
    Drill,
    DrillRefused,
    Node,
    Rule,
    Situation,
    choose_cluster,
    decide,
)
from tests.stack.drills.samples import BACKUP

PLANES: Final = tuple(Node(f"lab-a-cp-{number}", "a", "controlPlane", f"node{number + 1}") for number in range(3))
WORKER: Final = Node("lab-a-pool1-0", "a", "worker", "node1")
THREE: Final = Situation(
    "lab", "a", (*PLANES, WORKER), holder="lab-a-cp-1", lab_hosts=frozenset({"node1", "node2", "node3"})
)
ONE: Final = replace(THREE, nodes=(PLANES[0], WORKER), holder="lab-a-cp-0")


@pytest.mark.parametrize(
    ("drill", "machine", "machines", "host"),
    [
        ("lose-control-plane", None, ["lab-a-cp-1"], ""),
        ("lose-control-plane", "lab-a-cp-0", ["lab-a-cp-0"], ""),
        ("kill-api-server", None, ["lab-a-cp-1"], ""),
        ("expire-certificates", None, ["lab-a-cp-0", "lab-a-cp-1", "lab-a-cp-2"], ""),
        ("lose-host", None, ["lab-a-cp-1"], "node2"),
        ("lose-host", "lab-a-pool1-0", ["lab-a-cp-0", "lab-a-pool1-0"], "node1"),
        ("cut-cable", "lab-a-pool1-0", ["lab-a-cp-0", "lab-a-pool1-0"], "node1"),
    ],
)
def test_the_holder_of_the_address_is_broken_unless_a_machine_is_named(
    drill: Drill, machine: str | None, machines: list[str], host: str
) -> None:
    chosen = decide(drill, THREE, machine)
    assert (list(chosen.machines), chosen.host, chosen.cluster) == (machines, host, "a")
    assert all(name in chosen.does for name in machines)
    assert "`azlocal up lab`" in chosen.heals


def rule_of(drill: Drill, situation: Situation, machine: str | None = None) -> tuple[Rule, str]:
    with pytest.raises(DrillRefused) as refused:
        decide(drill, situation, machine)
    assert refused.value.exit_code == 2
    assert "Nothing was touched" in str(refused.value)
    return refused.value.rule, str(refused.value)


@pytest.mark.parametrize("drill", get_args(Drill))
def test_one_control_plane_is_enough_for_what_loses_no_data(drill: Drill) -> None:
    if drill in ("lose-control-plane", "lose-host"):
        rule, text = rule_of(drill, ONE)
        assert rule == "quorum-lost"
        assert "1 control plane, and etcd would have no quorum without lab-a-cp-0" in text
        assert "write controlPlane.count: 3" in text
    elif drill == "lose-quorum":
        assert decide(drill, replace(ONE, backup=BACKUP)).machines == ("lab-a-cp-0",)
    else:
        assert decide(drill, ONE).machines


@pytest.mark.parametrize(
    ("count", "machine", "lost"),
    [
        (1, None, ["p0"]),
        (3, None, ["p0", "p1"]),
        (3, "p2", ["p2", "p0"]),
        (5, "p1", ["p1", "p0", "p2"]),
    ],
)
def test_quorum_is_lost_with_so_few_as_it_takes_and_comes_back_by_the_newest_snapshot(
    count: int, machine: str | None, lost: list[str]
) -> None:
    planes = tuple(Node(f"p{number}", "a", "controlPlane", "node1") for number in range(count))
    situation = replace(THREE, nodes=(*planes, WORKER), holder="p0", backup=BACKUP)
    chosen = decide("lose-quorum", situation, machine)
    assert list(chosen.machines) == lost
    assert chosen.snapshot == "lab-a-20261130T081500Z"
    assert "`azlocal restore lab a lab-a-20261130T081500Z`" in chosen.heals
    assert "what was written since is gone" in chosen.heals
    assert not decide("kill-api-server", situation).snapshot


def test_quorum_is_not_lost_where_nothing_is_kept_that_brings_it_back() -> None:
    rule, text = rule_of("lose-quorum", THREE)
    assert rule == "no-backup"
    assert "no snapshot of cluster a is kept" in text
    assert "`azlocal backup lab` takes one" in text


@pytest.mark.parametrize(("count", "lost", "may"), [(3, 1, True), (3, 2, False), (5, 2, True), (5, 3, False)])
def test_a_host_is_lost_only_where_etcd_keeps_a_quorum_without_it(count: int, lost: int, may: bool) -> None:
    planes = tuple(
        Node(f"p{number}", "a", "controlPlane", "node1" if number < lost else "node2") for number in range(count)
    )
    situation = replace(THREE, nodes=planes, holder="p0")
    if may:
        assert len(decide("lose-host", situation).machines) == lost
    else:
        rule, text = rule_of("lose-host", situation)
        assert rule == "quorum-lost"
        assert "azlocal:placement" in text


def test_the_quorum_of_other_clusters_on_a_host_counts_as_well() -> None:
    other = Node("lab-b-cp-0", "b", "controlPlane", "node2")
    rule, text = rule_of("lose-host", replace(THREE, nodes=(*THREE.nodes, other)))
    assert rule == "quorum-lost"
    assert text.startswith("cluster b has 1 control plane")
    assert decide("cut-cable", replace(THREE, nodes=(*THREE.nodes, other))).host == "node2", "nothing is lost"


@pytest.mark.parametrize("drill", ["lose-host", "cut-cable"])
def test_power_and_cable_are_cut_on_labs_alone_and_where_nobody_else_has_machines(drill: Drill) -> None:
    assert rule_of(drill, replace(THREE, lab_hosts=frozenset({"node1"})))[0] == "no-lab"
    shared = replace(THREE, strangers={"node2": ("somebody-s",)})
    rule, text = rule_of(drill, shared)
    assert rule == "others-on-host"
    assert "somebody-s" in text
    assert decide(drill, shared, "lab-a-cp-0").host == "node1"
    assert decide("kill-api-server", replace(shared, lab_hosts=frozenset())).machines == ("lab-a-cp-1",)


def test_a_cluster_that_is_ill_already_is_not_drilled() -> None:
    rule, text = rule_of("kill-api-server", replace(THREE, lacks=("node x is not Ready", "more")))
    assert rule == "not-healthy"
    assert "node x is not Ready (and 1 more)" in text
    assert "`azlocal refresh lab`, then `azlocal up lab`" in text


def test_only_machines_of_the_cluster_that_stand_can_be_named() -> None:
    rule, text = rule_of("kill-api-server", THREE, "lab-a-cp-7")
    assert rule == "no-such-machine"
    assert "lab-a-cp-0, lab-a-cp-1" in text
    for drill in ("lose-control-plane", "lose-quorum"):
        assert rule_of(drill, THREE, "lab-a-pool1-0")[0] == "no-control-plane"
    assert rule_of("kill-api-server", THREE, "lab-a-pool1-0")[0] == "no-control-plane"


@pytest.mark.parametrize(
    ("clusters", "wanted", "chosen"),
    [("a", None, "a"), ("ab", "b", "b"), ("ab", None, None), ("ab", "c", None), ("", None, None)],
)
def test_the_cluster_is_named_where_there_are_several(
    clusters: str, wanted: str | None, chosen: str | None
) -> None:
    if chosen:
        assert choose_cluster(clusters, wanted) == chosen
        return
    with pytest.raises(DrillRefused) as refused:
        choose_cluster(clusters, wanted)
    assert refused.value.rule == "which-cluster"
