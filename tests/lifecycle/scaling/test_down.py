"""Which pool shrinks, and what keeps its last node."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from infra.lifecycle.scaling.decide import decide
from infra.lifecycle.scaling.down import Shrinking, scale_down
from infra.lifecycle.scaling.objects import HOST, Requirement
from infra.lifecycle.scaling.view import Profile, View
from tests.lifecycle.scaling.clusters import MINUTE, NOW, node, pod, pool, view

LONG = NOW - 11 * MINUTE


def shrinks(cluster: View, **profile: Any) -> Shrinking:
    return scale_down(cluster, Profile(**profile))


def two(*pods: Any, since: Any = LONG, size: int = 2, **more: Any) -> View:
    """Return a pool of two nodes, the last of which is unneeded since long."""
    nodes = [node("pool1-0"), node("pool1-1", unneeded_since=since)]
    return view([pool(size=size)], nodes, pods, **more)


def why(cluster: View, **profile: Any) -> str:
    said = shrinks(cluster, **profile)
    assert said.decision is None
    assert said.unneeded["pool1-1"] is None
    return "; ".join(said.notes)


def test_a_node_that_no_pod_needs_for_long_enough_goes() -> None:
    decision = shrinks(two(pod("web", "pool1-1", cores=0.5))).decision
    assert decision is not None
    assert (decision.pool, decision.before, decision.size) == ("pool1", 2, 1)
    assert decision.reason == "no pod has needed pool1-1 for 10 min"


def test_it_is_noted_on_the_node_since_when_and_taken_back_where_it_is_needed_again() -> None:
    first = shrinks(two(since=None))
    assert first.decision is None
    assert first.unneeded == {"pool1-0": None, "pool1-1": NOW}
    assert first.notes == ("pool pool1 shrinks in 10 min, unless pool1-1 is needed until then",)
    assert shrinks(two(since=NOW - 9 * MINUTE)).unneeded["pool1-1"] == NOW - 9 * MINUTE
    assert shrinks(two(pod("web", "pool1-1", cores=1.5))).unneeded["pool1-1"] is None


def test_not_while_a_node_has_just_been_added() -> None:
    nodes = [node("pool1-0"), node("pool1-1", unneeded_since=LONG, created=NOW - 5 * MINUTE)]
    cluster = view([pool(size=2)], nodes)
    assert shrinks(cluster).notes == ("pool pool1 shrinks in 5 min, unless pool1-1 is needed until then",)
    assert shrinks(cluster, delay_after_add=4 * MINUTE).decision is not None


def test_never_below_the_least() -> None:
    nodes = [node("pool1-0", unneeded_since=LONG), node("pool1-1", unneeded_since=LONG)]
    said = shrinks(view([pool(size=2, least=2)], nodes))
    assert said.decision is None
    assert said.unneeded == {"pool1-0": None, "pool1-1": None}


def test_only_the_highest_number_can_go() -> None:
    nodes = [node("pool1-0"), node("pool1-1", unneeded_since=LONG), node("pool1-2")]
    cluster = view([pool(size=3)], nodes, [pod("web", "pool1-2", cores=1.5)])
    said = shrinks(cluster)
    assert said.decision is None
    assert said.notes == (
        "pool pool1 doesn't shrink: pool1-2 stays: its pods ask for 75% of it, and 50% keeps it",
    )


def test_several_go_at_once_as_long_as_what_runs_on_them_has_room() -> None:
    nodes = [node("pool1-0"), *(node(f"pool1-{number}", unneeded_since=LONG) for number in (1, 2))]
    small = [pod(f"web-{number}", f"pool1-{number}", cores=0.6) for number in (1, 2)]
    decision = shrinks(view([pool(size=3)], nodes, small)).decision
    assert decision is not None
    assert decision.size == 1
    busy = pod("busy", "pool1-0", cores=1)
    decision = shrinks(view([pool(size=3)], nodes, [*small, busy])).decision
    assert decision is not None
    assert decision.size == 2


APP = (Requirement("app", "In", ("web",)),)
BLOCKED: dict[str, tuple[dict[str, Any], str]] = {
    "no controller": ({"owner": ""}, "has no controller that would make it again"),
    "annotation": ({"safe_to_evict": False}, "says cluster-autoscaler.kubernetes.io/safe-to-evict: false"),
    "local storage": ({"local_storage": "cache"}, "has a volume on the node, cache"),
    "unknown": ({"unknown": "has resource claims"}, "has resource claims"),
    "budget": ({"budgets": ("default/web",)}, "the disruption budget default/web doesn't let default/web go"),
    "no room": ({"terms": ((Requirement(HOST, "In", ("pool1-1",)),),)}, "no other node takes default/web"),
}


@pytest.mark.parametrize("name", BLOCKED)
def test_what_keeps_a_node_is_told(name: str) -> None:
    more, reason = BLOCKED[name]
    told = why(two(pod("web", "pool1-1", cores=0.5, **more), allowed={"default/web": 0}))
    assert told.startswith("pool pool1 doesn't shrink: pool1-1 stays: ")
    assert reason in told


@pytest.mark.parametrize(
    ("more", "profile"),
    [
        ({"owner": "", "safe_to_evict": True}, {}),
        ({"local_storage": "cache"}, {"skips_local_storage": False}),
        ({"local_storage": "cache", "safe_to_evict": True}, {}),
        ({"owner": "DaemonSet", "local_storage": "cache"}, {}),
        ({"owner": "Node"}, {}),
        ({"budgets": ("default/web",)}, {}),
    ],
    ids=["safe", "local storage counts not", "local storage is safe", "DaemonSet", "kubelet's own", "budget"],
)
def test_what_goes_with_its_node_or_may_go_keeps_none(more: dict[str, Any], profile: dict[str, Any]) -> None:
    cluster = two(pod("web", "pool1-1", cores=0.5, **more), allowed={"default/web": 1})
    assert shrinks(cluster, **profile).decision is not None


def test_a_budget_that_lets_one_go_does_not_let_two() -> None:
    pods = [pod(name, "pool1-1", cores=0.1, gib=0.1, budgets=("default/web",)) for name in "ab"]
    assert shrinks(two(*pods, allowed={"default/web": 2})).decision is not None
    assert "doesn't let default/b go" in why(two(*pods, allowed={"default/web": 1}))


def test_pods_of_the_system_keep_a_node_unless_a_budget_is_about_them() -> None:
    def system(**more: Any) -> Any:
        return replace(pod("dns", "pool1-1", cores=0.1, **more), namespace="kube-system")

    assert "no disruption budget is about it" in why(two(system()))
    assert shrinks(two(system()), skips_system_pods=False).decision is not None
    assert shrinks(two(system(budgets=("b",)), allowed={"b": 1})).decision is not None


def test_what_daemonsets_use_counts_unless_it_is_not_to() -> None:
    busy = two(pod("proxy", "pool1-1", cores=1.5, owner="DaemonSet"))
    assert "75%" in why(busy)
    assert shrinks(busy, ignores_daemonsets=True).decision is not None


@pytest.mark.parametrize("more", [{"ready": False}, None], ids=["not Ready", "no node"])
def test_a_last_node_that_is_not_there_is_repaired_and_not_removed(more: dict[str, Any] | None) -> None:
    nodes = [node("pool1-0"), *([node("pool1-1", unneeded_since=LONG, **more)] if more else [])]
    said = shrinks(view([pool(size=2)], nodes))
    assert said.decision is None
    assert said.notes == ("pool pool1 doesn't shrink: pool1-1 isn't Ready",)


def test_nodes_that_take_no_pods_are_no_place_to_go_to() -> None:
    nodes = [node("pool1-0", cordoned=True), node("pool1-1", unneeded_since=LONG)]
    cluster = view([pool(size=2)], nodes, [pod("web", "pool1-1", cores=0.1)])
    assert "no other node takes default/web" in why(cluster)


def test_pods_that_find_no_node_come_first() -> None:
    pods = [pod("web", "pool1-0", cores=0.5), pod("there", "pool1-1", cores=0.1), pod("big", cores=1.95)]
    assert decide(two(*pods[:2]), Profile()).decision == shrinks(two(*pods[:2])).decision
    grows = decide(two(*pods), Profile()).decision
    assert grows is not None
    assert (grows.before, grows.size) == (2, 3)


def test_a_time_is_told_in_seconds_where_it_is_short() -> None:
    said = shrinks(two(since=None), unneeded_time=timedelta(seconds=20), delay_after_add=timedelta(0))
    assert "shrinks in 20 s" in said.notes[0]


def test_volumes_on_its_disk_keep_a_node_unless_they_may_go() -> None:
    nodes = [node("pool1-0"), node("pool1-1", unneeded_since=LONG, volumes=("pvc-1",))]
    cluster = view([pool(size=2)], nodes)
    assert why(cluster) == "pool pool1 doesn't shrink: pool1-1 stays: volumes on its disk would be lost: pvc-1"
    assert shrinks(cluster, loses_volumes=True).decision is not None
