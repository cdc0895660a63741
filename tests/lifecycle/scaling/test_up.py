"""Which pool grows, and by how many nodes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.lifecycle.scaling.fit import Place
from infra.lifecycle.scaling.objects import Requirement, Spread, Taint, Toleration
from infra.lifecycle.scaling.up import scale_up, template_of
from infra.lifecycle.scaling.view import Profile, View
from tests.lifecycle.scaling.clusters import MINUTE, NOW, node, pod, pool, view

FULL = (node("pool1-0"), pod("there", "pool1-0", cores=1.5))
GPU = (Requirement("gpu", "In", ("true",)),)


def size(cluster: View, **profile: Any) -> tuple[str, int] | None:
    decision, _ = scale_up(cluster, Profile(**profile))
    return (decision.pool, decision.size) if decision else None


def notes(cluster: View) -> str:
    decision, said = scale_up(cluster, Profile())
    assert decision is None
    return "; ".join(said)


def test_a_pod_that_finds_no_node_gets_one_more() -> None:
    there, busy = FULL
    decision, said = scale_up(view([pool()], [there], [busy, pod("web")]), Profile())
    assert decision is not None
    assert (decision.pool, decision.before, decision.size) == ("pool1", 1, 2)
    assert decision.reason == "no node takes default/web"
    assert said == ()


def test_a_pod_that_waits_for_something_else_is_none_of_its_business() -> None:
    there, busy = FULL
    assert size(view([pool()], [there], [busy, pod("web", unschedulable=False)])) is None
    assert size(view([pool()], [there], [busy, pod("web", owner="DaemonSet")])) is None
    assert size(view([pool()], [there], [busy, pod("web")]), new_pod_delay=2 * MINUTE) is None


@pytest.mark.parametrize(("pods", "wanted"), [(1, 2), (2, 2), (3, 3), (4, 3), (9, 4)])
def test_pods_are_packed_into_as_few_nodes_as_they_need_and_no_more_than_the_most(pods: int, wanted: int) -> None:
    there, busy = FULL
    waiting = [pod(f"web-{number}", gib=0.5) for number in range(pods)]
    assert size(view([pool(most=4)], [there], [busy, *waiting])) == ("pool1", wanted)


def test_what_each_node_runs_by_itself_is_no_room() -> None:
    there, busy = FULL
    daemons = (pod("proxy", cores=0.5), pod("gpu-driver", cores=9, terms=(GPU,)))
    waiting = [pod(f"web-{number}") for number in range(2)]
    assert size(view([pool(most=4)], [there], [busy, *waiting])) == ("pool1", 2)
    assert size(view([pool(most=4)], [there], [busy, *waiting], daemons=daemons)) == ("pool1", 3)
    assert "(not enough cpu)" in notes(view([pool()], [there], [busy, pod("web", cores=1.8)], daemons=daemons))


@pytest.mark.parametrize(
    ("asks", "why"),
    [
        ({"cores": 3}, "not enough cpu"),
        ({"gib": 5}, "not enough memory"),
        ({"terms": (GPU,)}, "other labels"),
    ],
)
def test_a_pod_that_would_not_fit_a_new_node_either_adds_none(asks: dict[str, Any], why: str) -> None:
    there, busy = FULL
    told = notes(view([pool()], [there], [busy, pod("web", **asks)]))
    assert told == f"pool pool1 doesn't grow: default/web wouldn't fit a new node of it either ({why})"


def test_the_pool_whose_labels_and_taints_suit_a_pod_grows() -> None:
    taint = Taint("gpu", "", "NoSchedule")
    gpu = pool("gpu", size=1, labels={"gpu": "true"}, taints=(taint,))
    nodes = [FULL[0], node("gpu-0", labels={"gpu": "true"}, taints=(taint,))]
    asks = pod("train", terms=(GPU,), tolerations=(Toleration("gpu", "Exists"),))
    busy = [FULL[1], pod("trains", "gpu-0", cores=2)]
    assert size(view([pool(), gpu], nodes, [*busy, asks])) == ("gpu", 2)
    assert "the taint gpu:NoSchedule" in notes(view([gpu], nodes, [*busy, pod("web")]))


def test_a_template_is_as_what_stands_without_what_passes() -> None:
    passing = Taint("node.kubernetes.io/disk-pressure", "", "NoSchedule")
    own = Taint("mine", "", "NoSchedule")
    standing = node("pool1-0", cores=1.9, taints=(passing, own))
    template = template_of(pool(cores=2), view([pool()], [standing]))
    assert (template.allocatable["cpu"], template.taints) == (1900, (own,))
    assert template_of(pool(cores=2), view([pool()], [])).allocatable["cpu"] == 2000


def test_never_over_the_most() -> None:
    there, busy = FULL
    said = notes(view([pool(most=1)], [there], [busy, pod("web")]))
    assert said == "pool pool1 doesn't grow: it has maxCount 1"


@pytest.mark.parametrize("ready", [True, False])
def test_while_a_node_is_coming_none_is_added_for_what_it_will_take(ready: bool) -> None:
    there, busy = FULL
    new = node("pool1-1", ready=ready, created=NOW - MINUTE, ready_since=NOW - timedelta(seconds=5))
    pods = [busy, pod("web")]
    assert "pods wait for pool1-1" in notes(view([pool(size=2)], [there, new], pods))
    more = [*pods, pod("second"), pod("third")]
    assert size(view([pool(size=2)], [there, new], more)) == ("pool1", 3)


def test_a_node_that_never_comes_is_not_waited_for() -> None:
    there, busy = FULL
    lost = node("pool1-1", ready=False, created=NOW - timedelta(hours=1))
    assert size(view([pool(size=2)], [there, lost], [busy, pod("web")])) == ("pool1", 3)


def test_a_machine_whose_node_is_missing_is_brought_before_another_is_made() -> None:
    there, busy = FULL
    decision, _ = scale_up(view([pool(size=2)], [there], [busy, pod("web")]), Profile())
    assert decision is not None
    assert (decision.before, decision.size) == (2, 2)
    assert decision.reason == "pool1-1 takes no pods, and default/web could run there"
    leaving = node("pool1-1", cordoned=True, leaving=True)
    assert scale_up(view([pool(size=2, most=2)], [there, leaving], [busy, pod("web")]), Profile())[0] == decision


def test_a_pod_that_should_fit_what_stands_and_is_not_there_adds_no_node() -> None:
    """Its volume is on another node, say: nodes would be added for ever."""
    told = notes(view([pool()], [node("pool1-0")], [pod("web")]))
    assert told == "pool pool1 doesn't grow: default/web would fit its nodes and isn't there for another reason"


def test_pods_that_keep_apart_or_spread_get_a_node_each() -> None:
    mine = (Requirement("app", "In", ("web",)),)
    labels = {"app": "web"}
    nodes = [node("pool1-0"), node("full", cores=0)]  # which a pod would count for, too, where they spread
    asks: dict[str, Any]
    for asks in ({"apart": (mine,)}, {"spread": (Spread(mine, 1),)}):
        pods = [pod("a", "pool1-0", cores=0.1, labels=labels, **asks)]
        pods += [pod(name, cores=0.1, labels=labels, **asks) for name in "bc"]
        assert size(view([pool()], nodes, pods)) == ("pool1", 3), asks


def test_the_expander_chooses_among_pools() -> None:
    there, busy = FULL
    large = pool("large", size=1, cores=16, gib=32)
    nodes = [there, node("large-0", cores=16, gib=32)]
    pods = [busy, pod("big", "large-0", cores=15.5, gib=30)]
    waiting = [pod(f"web-{number}") for number in range(6)]
    cluster = view([pool(most=2), large], nodes, [*pods, *waiting])
    assert size(cluster) == ("pool1", 2)
    assert size(cluster, expander="most-pods") == ("large", 2)


CORES = st.sampled_from([0.1, 0.4, 0.5, 0.9, 1.0, 1.9])


@settings(max_examples=150, deadline=None)
@given(st.lists(CORES, min_size=1, max_size=12), st.integers(1, 4), st.integers(1, 6))
def test_a_pool_grows_within_its_bounds_by_nodes_that_each_take_a_pod(
    cores: list[float], standing: int, most: int
) -> None:
    standing = min(standing, most)
    nodes = [node(f"pool1-{number}") for number in range(standing)]
    busy = [pod(f"busy-{number}", f"pool1-{number}", cores=2) for number in range(standing)]
    waiting = [pod(f"web-{number}", cores=one, gib=0.1) for number, one in enumerate(cores)]
    decision, _ = scale_up(view([pool(size=standing, most=most)], nodes, [*busy, *waiting]), Profile())
    if standing == most:
        assert decision is None
        return
    assert decision is not None
    assert standing < decision.size <= most
    needed = sum(cores)
    assert decision.size - standing <= len(cores)
    if decision.size < most:  # all are taken care of: the new nodes have room for them
        assert (decision.size - standing) * 2 >= needed - 1e-9
    after = [*nodes, *(node(f"pool1-{number}", ready_since=NOW) for number in range(standing, decision.size))]
    again, _ = scale_up(view([pool(size=decision.size, most=most)], after, [*busy, *waiting]), Profile())
    assert again is None or decision.size == most or again.size > decision.size
    if decision.size < most:
        assert again is None, "none is added again while they come"


def test_a_place_says_what_a_pod_lacks() -> None:
    place = Place(replace(node("a"), allocatable={"cpu": 1000, "memory": 10**15, "pods": 1000}))
    place.put(pod("there", cores=0.1))
    assert place.lacks(pod("web", cores=0.1), [place]) == "not enough pods"
