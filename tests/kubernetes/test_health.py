"""What a cluster lacks, and in whose words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from infra.kubernetes.health import Snapshot, lacks, pod_problem, stalled


def node(name: str = "n1", *conditions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    found = conditions or ({"type": "Ready", "status": "True"},)
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": list(found)}}


def deployment(available: int, replicas: int = 1, observed: int = 1) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "s", "uid": "u1", "generation": 1},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}},
        "status": {
            "replicas": replicas,
            "updatedReplicas": replicas,
            "availableReplicas": available,
            "observedGeneration": observed,
            "conditions": [{"type": "Available", "status": "True" if available >= replicas else "False"}],
        },
    }


def pod(phase: str = "Running", app: str = "web", **status: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True" if phase == "Running" else "False"}
    return {
        "metadata": {"name": f"{app}-1", "namespace": "s", "labels": {"app": app}},
        "status": {"phase": phase, "conditions": [ready], **status},
    }


def waiting(reason: str, message: str = "") -> list[dict[str, Any]]:
    return [{"name": "main", "state": {"waiting": {"reason": reason, "message": message}}}]


def test_a_whole_cluster_lacks_nothing() -> None:
    assert lacks(Snapshot([node()], [deployment(1)], [pod()]), {"n1": 0}) == []


@pytest.mark.parametrize(
    ("renewed", "lacking"),
    [
        ("2026-11-29T10:00:05.000000Z", []),
        ("2026-11-29T09:59:58.000000Z", ["node n1 has not reported since its machine was started"]),
        (None, ["node n1 has not reported since its machine was started"]),
    ],
)
def test_a_ready_node_counts_once_its_kubelet_has_reported_since_the_start(
    renewed: str | None, lacking: list[str]
) -> None:
    """For almost a minute, the API server calls a node Ready whose machine is gone."""
    lease = {"metadata": {"name": "n1"}, "spec": {"renewTime": renewed} if renewed else {}}
    started = datetime(2026, 11, 29, 10, tzinfo=UTC).timestamp()
    assert lacks(Snapshot([node()], leases=[lease]), {"n1": started}) == lacking
    assert lacks(Snapshot([node()], leases=[lease]), {"n1": 0}) == [], "a start that nobody has noted"


def test_a_node_that_never_came_is_named() -> None:
    assert lacks(Snapshot([node()]), {"n1": 0, "n2": 0}) == ["node n2 has not joined"]


def test_a_node_says_why_it_is_not_ready_in_kubelets_words() -> None:
    condition = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "no network plugin"}
    assert lacks(Snapshot([node("n1", condition)]), {"n1": 0}) == [
        "node n1 is not Ready: KubeletNotReady: no network plugin"
    ]


def test_a_full_disk_is_said_of_a_node_that_is_still_ready() -> None:
    ready = {"type": "Ready", "status": "True"}
    full = {"type": "DiskPressure", "status": "True", "reason": "KubeletHasDiskPressure", "message": "full"}
    assert lacks(Snapshot([node("n1", ready, full)]), {"n1": 0}) == [
        "node n1 has DiskPressure: KubeletHasDiskPressure: full"
    ]


def test_a_cordoned_node_is_said_with_the_way_back() -> None:
    assert lacks(Snapshot([node("n1", unschedulable=True)]), {"n1": 0}) == [
        "node n1 is cordoned (kubectl uncordon n1)"
    ]


def test_a_workload_repeats_why_its_pod_does_not_run() -> None:
    bad = pod("Pending", containerStatuses=waiting("ErrImagePull", "nope: not found"))
    assert lacks(Snapshot([node()], [deployment(0)], [bad]), {"n1": 0}) == [
        "deployment s/web waits for its replicas: 0 of 1 available: "
        "pod web-1, container main: ErrImagePull: nope: not found"
    ]


def test_counts_of_an_older_version_count_for_nothing() -> None:
    assert lacks(Snapshot([node()], [deployment(1, observed=0)], [pod()]), {"n1": 0}) == [
        "deployment s/web waits for its controller to see the change"
    ]


def test_a_workload_without_pods_gives_the_event_instead() -> None:
    event = {"involvedObject": {"uid": "u1"}, "message": "exceeded quota"}
    assert lacks(Snapshot([node()], [deployment(0)], events=[event]), {"n1": 0}) == [
        "deployment s/web waits for its replicas: 0 of 1 available: exceeded quota"
    ]


def test_a_pod_that_is_being_made_repeats_its_newest_warning() -> None:
    creating = pod("Pending", containerStatuses=waiting("ContainerCreating"))
    creating["metadata"]["uid"] = "p1"
    events = [
        {"involvedObject": {"uid": "p1"}, "message": "no network plugin", "lastTimestamp": "2026-01-01T00:00:02Z"},
        {"involvedObject": {"uid": "p1"}, "message": "older", "lastTimestamp": "2026-01-01T00:00:01Z"},
    ]
    assert lacks(Snapshot([node()], [deployment(0)], [creating], events=events), {"n1": 0}) == [
        "deployment s/web waits for its replicas: 0 of 1 available: "
        "pod web-1 is Pending, not ready yet: no network plugin"
    ]


def test_a_pod_of_no_workload_counts_too() -> None:
    assert lacks(Snapshot([node()], [], [pod("Pending", app="etcd")]), {"n1": 0}) == [
        "pod etcd-1 is Pending, not ready yet"
    ]


def test_a_webhook_that_cannot_be_called_holds_everything_up() -> None:
    found = lacks(Snapshot([node()], webhooks={"metallb": "no endpoints"}), {"n1": 0})
    assert found == ["webhook metallb can't be called: no endpoints"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, ""),
        ({"phase": "Succeeded"}, ""),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on disk"}, "pod p failed: Evicted: low on disk"),
        (
            {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 fit"}],
            },
            "pod p is not scheduled: 0/2 fit",
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    {
                        "name": "c",
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 3}},
                    }
                ],
            },
            "pod p, container c: CrashLoopBackOff (last exit code 3)",
        ),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 1}}}],
            },
            "pod p, container i: exit code 1",
        ),
    ],
)
def test_a_pod_says_what_is_wrong_with_it(status: dict[str, Any], reason: str) -> None:
    assert pod_problem({"metadata": {"name": "p"}, "status": status}) == reason


@pytest.mark.parametrize(
    ("pods", "available", "lacking"),
    [
        (2, 1, ["deployment s/web waits for its old replicas to end (1 left)"]),  # which is what is available
        (2, 2, ["deployment s/web waits for its old replicas to end (1 left)"]),
        (1, 1, []),
    ],
)
def test_an_old_version_that_still_runs_is_not_the_new_one(pods: int, available: int, lacking: list[str]) -> None:
    found = deployment(available)
    found["status"]["replicas"] = pods
    assert lacks(Snapshot([node()], [found], []), {"n1": 0}) == lacking


def running(**metadata: Any) -> dict[str, Any]:
    """Return a pod of node n1 whose container runs and isn't ready."""
    unready = {"type": "Ready", "status": "False"}
    return {
        "metadata": {"name": "p", "namespace": "s", "uid": "p1", **metadata},
        "spec": {"nodeName": "n1"},
        "status": {
            "phase": "Running",
            "conditions": [unready],
            "containerStatuses": [{"name": "c", "state": {"running": {}}}],
        },
    }


def without_sandbox() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a pod that got no network, and the event that says so."""
    pod = running()
    pod["status"] = {
        "phase": "Pending",
        "conditions": [{"type": "PodReadyToStartContainers", "status": "False"}],
        "containerStatuses": waiting("ContainerCreating"),
    }
    return pod, {"involvedObject": {"uid": "p1"}, "reason": "FailedCreatePodSandBox", "message": "no nodename"}


def test_a_pod_that_is_not_ready_when_it_is_asked_is_stalled() -> None:
    assert stalled(Snapshot([], pods=[running()])) == [running()]


def test_nothing_is_stalled_that_is_ready_or_going_or_another_s_to_look_at() -> None:
    ready = running()
    ready["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    unscheduled = running()
    unscheduled["spec"] = {}
    going = running(deletionTimestamp="2026-01-01T00:00:00Z")
    static = running(annotations={"kubernetes.io/config.mirror": "x"})
    assert stalled(Snapshot([], pods=[ready, unscheduled, going, static])) == []


def test_a_container_that_waits_for_its_secret_is_stalled() -> None:
    pod = running()
    pod["status"] |= {"phase": "Pending", "containerStatuses": waiting("CreateContainerConfigError", "no secret")}
    assert stalled(Snapshot([], pods=[pod])) == [pod]


def test_what_is_being_made_is_left_alone() -> None:
    pod, _ = without_sandbox()
    assert stalled(Snapshot([], pods=[pod])) == []


def test_a_pod_without_a_network_is_tried_again_once_its_node_has_one() -> None:
    pod, event = without_sandbox()
    network = running(uid="c1", namespace="kube-system")
    network["spec"]["hostNetwork"] = True
    assert pod not in stalled(Snapshot([], pods=[pod, network], events=[event]))
    network["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert stalled(Snapshot([], pods=[pod, network], events=[event])) == [pod]
