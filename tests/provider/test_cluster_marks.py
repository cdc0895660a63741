"""A cluster's nodes get their labels and taints when it is waited for; drift of them is seen, and repaired."""

from __future__ import annotations

from typing import Any

import pytest

from infra.kubernetes.api import ClusterUnreachable
from infra.kubernetes.waiting import NotReady
from infra.model.node import NodeMarks
from infra.provider.kind import InitFailed
from infra.provider.kinds import cluster
from infra.provider.kinds.cluster import ClusterKind
from infra.provider.lives import Lives
from infra.resources.changes import diff
from infra.resources.cluster import CLUSTER, ClusterInputs, ClusterState
from infra.resources.contract import OnChange
from tests.kubernetes.test_node_marks import Nodes, marks, node
from tests.provider.conftest import MemoryLog
from tests.provider.test_kinds import operation
from tests.provider.test_machine_life import PLACEMENT, state


def inputs(**nodes: NodeMarks) -> ClusterInputs:
    wanted = {name.replace("_", "-"): value for name, value in nodes.items()}
    return ClusterInputs(instance="local", cluster="a", kubeconfig="k", members=[], namespaces=[], nodes=wanted)


def stands(**nodes: NodeMarks) -> ClusterState:
    return ClusterState(**inputs(**nodes).model_dump())


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    fake = Nodes(node("a:NoSchedule", a="1", users="x"))
    use(monkeypatch, fake)
    return fake


def use(monkeypatch: pytest.MonkeyPatch, fake: Nodes) -> None:
    """Have a cluster that is healthy, with these nodes."""
    monkeypatch.setattr(cluster, "ClusterApi", lambda _: fake)
    monkeypatch.setattr(cluster, "uncordon", lambda *_: [])
    monkeypatch.setattr(cluster, "wait_until_healthy", lambda *_: None)
    monkeypatch.setattr(cluster, "problems", lambda *_: [])


def labels(api: Nodes) -> Any:
    return api.nodes["w-0"]["metadata"]["labels"]


def test_nodes_are_brought_what_is_wanted_of_them(api: Nodes) -> None:
    log = MemoryLog()
    news = inputs(w_0=marks(b="2"), late=marks(b="2"))
    made = ClusterKind().update(operation("Cluster", log), "x", stands(w_0=marks("a:NoSchedule", a="1")), news)
    assert labels(api) == {"users": "x", "b": "2"}
    assert api.nodes["w-0"]["spec"] == {}
    assert made.nodes == news.nodes
    assert log.lines == [("info", "w-0: labels and taints are as they are wanted")]


def test_what_a_machine_says_of_its_registration_is_known_where_the_cluster_s_state_says_nothing(
    api: Nodes,
) -> None:
    """As of a cluster that is adopted, or that an earlier azlocal made."""
    lives = Lives()
    lives.announce(PLACEMENT)
    run = lives.of("local-a")
    assert run is not None
    machine = state("worker", name="w-0")
    machine["firstBoot"]["node"] |= {"labels": {"a": "1"}, "taints": ["a:NoSchedule"]}
    run.note(machine)
    ClusterKind(lives).create(operation("Cluster"), inputs(w_0=marks()))
    assert labels(api) == {"users": "x"}
    assert api.nodes["w-0"]["spec"] == {}


def test_a_refresh_shows_what_was_changed_by_hand_with_one_look_and_up_repairs_it(api: Nodes) -> None:
    wanted = marks("a:NoSchedule", "b:NoExecute", a="2")
    kind, old = ClusterKind(), stands(w_0=wanted)
    seen = kind.read(operation("Cluster"), "x", old)
    assert seen is not None
    assert api.requests == ["GET"]
    assert seen.nodes == {"w-0": marks("a:NoSchedule", a="1")}
    changes = diff(CLUSTER, seen.to_wire(), old.to_wire())
    assert changes.by_path == dict.fromkeys(("nodes.w-0.labels.a", "nodes.w-0.taints"), OnChange.UPDATE)
    kind.update(operation("Cluster"), "x", seen, inputs(w_0=wanted))
    again = kind.read(operation("Cluster"), "x", old)
    assert again is not None
    assert again.nodes == old.nodes
    assert labels(api)["users"] == "x"


def test_what_cannot_be_looked_at_is_as_it_was(api: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "send", silent)
    old = stands(w_0=marks(a="2"))
    seen = ClusterKind().read(operation("Cluster"), "x", old)
    assert seen is not None
    assert seen.nodes == old.nodes


def test_what_a_run_that_failed_left_is_taken_away_by_the_next(
    api: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_ready(*_: Any) -> None:
        raise NotReady(["a pod"])

    monkeypatch.setattr(cluster, "wait_until_healthy", not_ready)
    monkeypatch.setattr(cluster, "explain", lambda *_: "why")
    monkeypatch.setattr(cluster, "mark_nodes", silent)
    kind, news = ClusterKind(), inputs(w_0=marks(b="2"))
    with pytest.raises(InitFailed) as failed:
        kind.update(operation("Cluster"), "x", stands(w_0=marks("a:NoSchedule", a="1")), news)
    monkeypatch.undo()
    use(monkeypatch, api)
    kind.update(operation("Cluster"), "x", failed.value.made.state, news)
    assert labels(api) == {"users": "x", "b": "2"}
    assert api.nodes["w-0"]["spec"] == {}


def silent(*_: Any, **__: Any) -> Any:
    raise ClusterUnreachable("nobody answers")
