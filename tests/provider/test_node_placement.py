"""Workers that move to another host leave their cluster first."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from infra.kubernetes.api import ClusterUnreachable
from infra.provider.kinds import node_placement
from infra.provider.kinds.node_placement import NodePlacementKind
from infra.provider.operation import Operation
from infra.resources.node_placement import NodePlacementInputs, NodePlacementState
from tests.provider.conftest import MemoryLog

OLD = NodePlacementState(
    instance="lab", cluster="a", kubeconfig="k", hosts={"w0": "one", "w1": "two", "w2": "two"}
)


class Cluster:
    """Stands for the cluster's API: remembers which nodes were removed, and how."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers
        self.removed: list[tuple[str, bool]] = []

    def remove(
        self, api: Any, names: Iterable[str], cancelled: threading.Event, *, drain: bool = True
    ) -> list[str]:
        names = sorted(names)
        if names and not self.answers:
            raise ClusterUnreachable("it doesn't answer")
        self.removed += [(name, drain) for name in names]
        return names


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(node_placement, "ClusterApi", lambda kubeconfig: None)
    monkeypatch.setattr(node_placement, "remove_nodes", cluster.remove)
    return cluster


def update(**changes: Any) -> MemoryLog:
    log = MemoryLog()
    op = Operation("urn:pulumi:lab::azlocal::azlocal:index:NodePlacement::x", log, threading.Event())
    fields = OLD.model_dump() | changes
    state = NodePlacementKind().update(op, "lab/a", OLD, NodePlacementInputs.model_validate(fields))
    assert state.hosts == fields["hosts"]
    return log


def test_who_moves_is_drained_and_who_comes_or_goes_is_not(cluster: Cluster) -> None:
    log = update(hosts={"w0": "two", "w1": "two", "w9": "one"})
    assert cluster.removed == [("w0", True)]
    assert ("info", "node w0 was drained and removed from cluster a, before it moves") in log.lines


def test_who_migrates_as_it_runs_stays_in_the_cluster(cluster: Cluster) -> None:
    update(hosts={"w0": "three", "w1": "three", "w2": "two"}, live=["two"])
    assert cluster.removed == [("w0", True)]


def test_nodes_of_a_lost_host_are_forgotten_without_waiting_for_their_pods(cluster: Cluster) -> None:
    update(hosts={"w0": "two", "w1": "three", "w2": "three"}, lost=["two"])
    assert cluster.removed == [("w1", False), ("w2", False), ("w0", True)]


def test_a_cluster_that_is_another_by_now_loses_no_nodes(cluster: Cluster) -> None:
    update(hosts={"w0": "two"}, kubeconfig="other")
    assert cluster.removed == []


def test_a_cluster_that_went_with_its_host_stops_no_move(cluster: Cluster) -> None:
    cluster.answers = False
    log = update(hosts={"w0": "three"}, lost=["one"])
    assert log.lines[-1][0] == "warning"
    with pytest.raises(ClusterUnreachable):
        update(hosts={"w0": "three"})
