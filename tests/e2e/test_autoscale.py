"""A pool grows for a pod that finds no node, keeps its size in an `up`, and shrinks when no pod needs its nodes.

One cluster of one control plane and a pool of one worker; each test is a step that goes on from the one before.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from infra.stack.external_grpc.protocol import RUNNING
from tests.cluster import Kubernetes, container, eventually, kubernetes, kubernetes_cluster, pod_spec
from tests.external_grpc import Client, channel_to
from tests.instance import INSTANCE, projects
from tests.project import Project

pytestmark = [pytest.mark.e2e, pytest.mark.full, pytest.mark.chain]

POOL = {
    "name": "pool1",
    "count": 1,
    "vmSize": "Node",
    "enableAutoScaling": True,
    "minCount": 1,
    "maxCount": 2,
}
EAGER = {
    "scale-down-unneeded-time": "3s",
    "scale-down-delay-after-add": "5s",
    "scale-down-utilization-threshold": "0.9",
}
FIRST, SECOND = (f"{INSTANCE}-a-pool1-{number}" for number in (0, 1))
REQUESTS = {"requests": {"memory": "1600Mi"}}  # two of them don't fit a node of 3 GiB


def scaling_cluster(**more: Any) -> dict[str, Any]:
    """Return a cluster whose pool scales, without service addresses."""
    add_ons = {"metallb": {"enabled": False}}
    return kubernetes_cluster(agentPools=[POOL], loadBalancer={"count": 0}, addOns=add_ons, **more)


@dataclass(frozen=True)
class Made:
    """A project with a cluster whose pool scales."""

    project: Project
    a: Kubernetes

    def workers(self) -> dict[str, bool]:
        """Return every worker, and whether it is Ready."""
        return {name: ready for name, ready in self.a.nodes().items() if name != self.a.control_plane}

    def web(self) -> list[dict[str, Any]]:
        """Return the pods of the deployment."""
        pods: list[dict[str, Any]] = self.a.get("pods", "--selector=app=web")["items"]
        return pods


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with projects(tmp_path_factory.mktemp("autoscale"), shared=True) as make:
        project = make(clusters=[scaling_cluster()])
        project.up(timeout=900).expect()
        yield Made(project, kubernetes(project, "a"))


def test_where_every_pod_has_a_node_nothing_is_done(made: Made) -> None:
    said = made.project.azlocal("autoscale", "--once").expect().output
    assert "grows" not in said
    assert set(made.workers()) == {FIRST}


def test_a_pod_that_finds_no_node_gets_one(made: Made) -> None:
    labels = {"app": "web"}
    spec = pod_spec("", containers=[container("exec sleep 100000", resources=REQUESTS)])
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    made.a.apply(deployment)

    def pending() -> bool:
        conditions = [one for pod in made.web() for one in pod["status"].get("conditions", [])]
        return any(one.get("reason") == "Unschedulable" for one in conditions)

    eventually(pending, "a replica finds no node")
    begun = time.monotonic()
    ready: list[float] = []

    def watch() -> None:
        eventually(lambda: made.workers().get(SECOND), f"{SECOND} is Ready", 300)
        ready.append(time.monotonic() - begun)

    watcher = threading.Thread(target=watch)
    watcher.start()
    said = made.project.azlocal("autoscale", "--once").expect().output
    ended = time.monotonic() - begun
    watcher.join()
    print(f"from a pending pod to a Ready node: {ready} s, to the end of the run: {ended:.1f} s")  # noqa: T201
    assert "cluster a: pool pool1 grows from 1 to 2: no node takes default/web-" in said
    assert made.workers() == {FIRST: True, SECOND: True}
    made.a.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert {pod["spec"]["nodeName"] for pod in made.web()} == {FIRST, SECOND}


def test_an_up_and_another_look_keep_the_size_though_the_file_says_one(made: Made) -> None:
    made.project.up("--expect-no-changes").expect()
    assert "grows" not in made.project.azlocal("autoscale", "--once").expect().output
    assert made.workers() == {FIRST: True, SECOND: True}
    assert made.project.outputs()["agentPools"] == {"a": {"pool1": 2}}


def test_a_node_that_no_pod_needs_goes_and_the_loop_ends_at_a_signal(made: Made) -> None:
    made.project.edit(clusters=[scaling_cluster(autoScalerProfile=EAGER)])
    made.a.kubectl("scale", "deployment/web", "--replicas=1")
    said: list[str] = []
    with made.project.start_azlocal("autoscale", "--interval", "2s") as loop:
        reader = threading.Thread(target=lambda: said.extend(loop.stdout or ()))
        reader.start()
        try:
            eventually(lambda: made.workers() == {FIRST: True}, f"{SECOND} goes", 180)
            eventually(lambda: any("pool pool1 has 1 node " in line for line in said), "the run ends", 120)
        finally:
            os.kill(loop.pid, signal.SIGTERM)
            loop.wait(timeout=60)
            reader.join()
    output = "".join(said)
    assert loop.returncode == 0, output
    assert f"pool pool1 shrinks from 2 to 1: no pod has needed {SECOND} for 3 s" in output
    assert "stopped" in said[-1]
    made.a.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert [pod["spec"]["nodeName"] for pod in made.web() if "deletionTimestamp" not in pod["metadata"]] == [FIRST]
    assert made.project.outputs()["agentPools"] == {"a": {"pool1": 1}}


def test_the_upstream_autoscaler_s_calls_make_a_node(made: Made) -> None:
    certificates = made.project.directory / ".azlocal" / "autoscaler"
    said: list[str] = []
    with made.project.start_azlocal("autoscale", "--serve", "127.0.0.1:0") as served:
        reader = threading.Thread(target=lambda: said.extend(served.stdout or ()))
        reader.start()
        try:
            port = eventually(lambda: re.findall(r"served at 127.0.0.1:(\d+)", "".join(said)), "it serves", 60)
            with channel_to(int(port[0]), certificates) as channel:
                call = Client(channel)
                (group,) = call("NodeGroups").nodeGroups
                assert (group.id, group.minSize, group.maxSize) == ("a/pool1", 1, 2)
                assert call("NodeGroupForNode", node={"name": FIRST}).nodeGroup.id == group.id
                call("NodeGroupIncreaseSize", id=group.id, delta=1)
                eventually(lambda: made.workers().get(SECOND), f"{SECOND} is Ready", 300)
                eventually(lambda: set(call.nodes(group.id).values()) == {RUNNING}, "both run", 120)
                ids = eventually(lambda: provider_ids(made), "both have provider ids", 30)
                assert ids == call.nodes(group.id).keys()
        finally:
            os.kill(served.pid, signal.SIGTERM)
            served.wait(timeout=60)
            reader.join()
    assert served.returncode == 0, "".join(said)
    keeps = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
    kept = [node["metadata"]["name"] for node in worker_objects(made) if keeps in node["metadata"]["annotations"]]
    assert kept == [FIRST], "upstream is to leave all but the last"


def worker_objects(made: Made) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = made.a.get("nodes")["items"]
    return [node for node in nodes if node["metadata"]["name"] != made.a.control_plane]


def provider_ids(made: Made) -> set[str]:
    """Return the provider ids of all workers; none until each has one."""
    ids = {node["spec"].get("providerID", "") for node in worker_objects(made)}
    return ids if "" not in ids else set()
