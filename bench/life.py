"""What happens to a cluster that lives: an upgrade under load, a restore, a node for a pod that finds none."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.cluster import start_hypervisor, stop_hypervisor
from bench.result import Count, Limit, machine
from infra.image.build import build_node_image
from infra.model.versions import BUILT, DEFAULT
from tests.cluster import Kubernetes, container, eventually, kubernetes, kubernetes_cluster, pod_spec
from tests.instance import projects
from tests.project import Project
from tests.service_clients import asked_all_the_while, serve_without_a_break

_WORKERS: Final = 2
_RESTORES: Final = 3
_NODE_SECONDS: Final = 60.0  # of an upgrade, container nodes on two cores
_PENDING_SECONDS: Final = 25.0
_NEVER_SECONDS: Final = 1800.0
_POOL: Final = {"name": "pool1", "count": _WORKERS, "vmSize": "Node"}
_SCALING: Final = {**_POOL, "count": 1, "enableAutoScaling": True, "minCount": 1, "maxCount": 2}


@dataclass(frozen=True)
class Life:
    """What was measured of a cluster, with its promises."""

    name: str
    rows: Sequence[Limit | Count]

    @property
    def holds(self) -> bool:
        """Return whether every promise is kept."""
        return all(row.holds for row in self.rows)

    def __str__(self) -> str:
        return "\n".join([f"{self.name}, on {machine()}", *map(str, self.rows)])


def upgrade_under_load() -> Life:
    """Bring a cluster of 1 + 2 containers one minor further while a service is asked and the API written into."""
    older = next(version for version in BUILT if int(version.minor) == int(DEFAULT.minor) - 1)
    build_node_image(print, version=older, vm_disk=False)

    def measure(project: Project, a: Kubernetes) -> Life:
        serve_without_a_break(a)
        project.edit(clusters=[kubernetes_cluster(kubernetesVersion=DEFAULT.version, agentPools=[_POOL])])
        began = time.monotonic()
        with asked_all_the_while(a) as clients:
            project.azlocal("up", timeout=_NEVER_SECONDS).expect()
        seconds = time.monotonic() - began
        asked = len(clients.service) + len(clients.refused)
        rows = (
            Limit("seconds a node", [seconds / (1 + _WORKERS)], _NODE_SECONDS),
            Count("requests to the service without an answer", len(clients.refused), asked),
            Count("acknowledged writes that are lost", clients.lost, len(clients.written)),
        )
        return Life(f"an upgrade {older.version} to {DEFAULT.version} of 1 + {_WORKERS} nodes ({clients})", rows)

    return _on_cluster(measure, kubernetesVersion=older.version, agentPools=[_POOL])


def restore() -> Life:
    """Bring a cluster of 1 + 1 containers back to a snapshot of itself: until every node is Ready by it."""

    def measure(project: Project, a: Kubernetes) -> Life:
        project.azlocal("backup").expect()
        snapshots = json.loads(project.azlocal("backup", "--list", "--format", "json").expect().output)[
            "snapshots"
        ]
        taken, seconds, kept = snapshots[-1]["name"], [], 0
        for number in range(_RESTORES):
            a.kubectl("create", "configmap", f"later-{number}")
            began = time.monotonic()
            project.azlocal("restore", "a", taken, "--yes").expect()
            eventually(lambda: all(a.nodes().values()), "every node is Ready")
            seconds.append(time.monotonic() - began)
            kept += a.run("get", "configmap", f"later-{number}").returncode == 0
        rows = (
            Limit("restore of a snapshot, all nodes Ready", seconds, _NODE_SECONDS),
            Count("objects that are later than the snapshot and there all the same", kept, _RESTORES),
        )
        return Life("etcd restored, 1 + 1 nodes", rows)

    return _on_cluster(measure)


def autoscale() -> Life:
    """Have a pod that finds no node get one."""

    def measure(project: Project, a: Kubernetes) -> Life:
        before = set(a.nodes())
        requests = {"requests": {"memory": "1600Mi"}}  # two of them don't fit a node of 3 GiB
        spec = pod_spec("", containers=[container("exec sleep 1d", resources=requests)])
        for number in range(2):
            a.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"web-{number}"}, "spec": spec})
        eventually(lambda: _unschedulable(a), "a pod finds no node")
        began = time.monotonic()
        with project.start_azlocal("autoscale", "--once") as process:
            eventually(lambda: _is_ready_beside(a, before), "another node is Ready", _NEVER_SECONDS)
            seconds = time.monotonic() - began
            assert process.wait(_NEVER_SECONDS) == 0
        return Life("autoscaling, 1 + 1 nodes", (Limit("pending pod to Ready node", [seconds], _PENDING_SECONDS),))

    return _on_cluster(measure, agentPools=[_SCALING])


def _unschedulable(a: Kubernetes) -> bool:
    conditions = [one for pod in a.get("pods")["items"] for one in pod["status"].get("conditions", [])]
    return any(one.get("reason") == "Unschedulable" for one in conditions)


def _is_ready_beside(a: Kubernetes, before: set[str]) -> bool:
    return any(ready for name, ready in a.nodes().items() if name not in before)


def _on_cluster(measure: Callable[[Project, Kubernetes], Life], **cluster: Any) -> Life:
    """Measure on a cluster that is made for it and taken away."""
    start_hypervisor()
    try:
        with tempfile.TemporaryDirectory() as folder, projects(Path(folder)) as make:
            project = make(clusters=[kubernetes_cluster(**cluster)])
            project.up(timeout=_NEVER_SECONDS).expect()
            return measure(project, kubernetes(project, "a"))
    finally:
        stop_hypervisor()
