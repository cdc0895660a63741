"""The wait for a cluster, against an API server that is only objects."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from infra.errors import Interrupted
from infra.kubernetes.api import ClusterApi, ClusterUnreachable, NotFound, Object
from infra.kubernetes.waiting import NotReady
from infra.kubernetes.watch import wait_until_answering, wait_until_healthy
from infra.model.work import Work
from infra.node_labels import JOINING, JOINING_TAINT, NO_SERVICES


class Objects(ClusterApi):
    """A cluster of one node with one pod, which is ready once somebody has changed it so many times."""

    def __init__(self, changes: int) -> None:
        self.server = "https://cluster.example"
        self.changes = changes
        self.sent: list[tuple[str, str]] = []

    def items(self, path: str, **query: str) -> list[Object]:
        """Return what is there of a kind."""
        if path.endswith("/nodes"):
            return [
                {"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
            ]
        if path.endswith("/pods"):
            ready = "True" if len(self.sent) >= self.changes else "False"
            return [
                {
                    "metadata": {"name": "p", "namespace": "s", "uid": "p1"},
                    "spec": {"nodeName": "n1"},
                    "status": {
                        "phase": "Running",
                        "conditions": [{"type": "Ready", "status": ready}],
                        "containerStatuses": [{"name": "c", "state": {"running": {}}}],
                    },
                }
            ]
        return []

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json, */*",
    ) -> str:
        """Keep what is changed."""
        self.sent.append((method, path))
        return "{}"


class Joining(Objects):
    """One whose node has joined others, and forwards packets."""

    def __init__(self) -> None:
        super().__init__(changes=0)
        key, _, effect = JOINING_TAINT.partition(":")
        self.metadata: Object = {"name": "n1", "resourceVersion": "1", "labels": {NO_SERVICES: JOINING}}
        self.spec: Object = {"taints": [{"key": key, "effect": effect}]}

    def items(self, path: str, **query: str) -> list[Object]:
        """Return what is there of a kind."""
        there = super().items(path)
        if path.endswith("/nodes"):
            return [one | {"metadata": self.metadata, "spec": self.spec} for one in there]
        for pod in there:
            pod["metadata"]["ownerReferences"] = [{"kind": "DaemonSet"}]
            pod["spec"]["priorityClassName"] = "system-node-critical"
        return there

    def find(self, path: str, **query: str) -> Object | None:
        """Return the node."""
        return {"metadata": self.metadata, "spec": self.spec}

    def merge(self, path: str, body: Mapping[str, Any]) -> None:
        """Take away what is to go."""
        self.sent.append(("PATCH", path))
        if "spec" in body:
            self.spec = body["spec"]
        else:
            self.metadata = {"name": "n1", "resourceVersion": "2"}


class Refusing(Objects):
    """One where the pod is gone when it is to be changed."""

    def send(self, method: str, path: str, *_: Any, **__: Any) -> str:
        """Refuse."""
        super().send(method, path)
        raise NotFound("not found", 404)


def wait(api: ClusterApi, seconds: float, cancelled: threading.Event | None = None) -> list[str]:
    said: list[str] = []
    work = Work(cancelled=cancelled or threading.Event(), status=said.append).within(seconds)
    wait_until_healthy(api, {"n1": 0}, ["s"], work)
    return said


@pytest.mark.parametrize("kind", [Objects, Refusing])
def test_a_pod_that_is_not_ready_is_asked_at_once_and_not_after_its_period(kind: type[Objects]) -> None:
    api = kind(changes=1)
    assert wait(api, seconds=10) == ["waiting: pod p is Running, not ready yet"]
    assert api.sent == [("PATCH", "/api/v1/namespaces/s/pods/p")]


def test_a_node_that_has_joined_takes_pods_and_then_services_and_is_waited_for() -> None:
    api = Joining()
    assert set(wait(api, seconds=10)) == {
        "waiting: node n1 has joined, and takes pods and services once it forwards packets"
    }
    assert api.sent == [("PATCH", "/api/v1/nodes/n1")] * 2


def test_a_pod_is_left_a_second_before_it_is_asked_again() -> None:
    api, began = Objects(changes=3), time.monotonic()
    wait(api, seconds=30)
    assert time.monotonic() - began >= 2
    assert len(api.sent) == 3


def test_a_whole_cluster_is_left_alone() -> None:
    api = Objects(changes=0)
    assert wait(api, seconds=10) == []
    assert api.sent == []


def test_the_end_of_the_time_says_what_is_missing() -> None:
    with pytest.raises(NotReady, match="pod p is Running, not ready yet"):
        wait(Objects(changes=100), seconds=0)


def test_a_cancelled_run_waits_no_longer() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Interrupted):
        wait(Objects(changes=100), 10, cancelled)


class Slow(Objects):
    """One that takes a while to say that it can't answer."""

    def text(self, path: str, **query: str) -> str:
        """Fail, late."""
        time.sleep(0.4)
        raise ClusterUnreachable("timed out")


class Pauses(threading.Event):
    """Keeps how long it was waited on."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Don't."""
        self.seconds.append(timeout or 0.0)
        return False


def test_a_slow_server_is_asked_less_often() -> None:
    """An emulated control plane would never get up under questions that it has no time for."""
    pauses = Pauses()
    with pytest.raises(NotReady):
        wait_until_answering(Slow(0), Work(cancelled=pauses).within(1.5))
    assert pauses.seconds[0] >= 0.4
