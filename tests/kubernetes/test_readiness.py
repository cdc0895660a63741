"""When objects count as ready: pure."""

from __future__ import annotations

from typing import Any

import pytest

from infra.kubernetes import readiness
from infra.kubernetes.kinds import KindId
from infra.kubernetes_plugin.custom_wait import custom_progress
from infra.kubernetes_plugin.errors import NotCovered

Object = dict[str, Any]


def obj(spec: Object, status: Object, generation: int = 2) -> Object:
    return {"metadata": {"generation": generation}, "spec": spec, "status": status}


def condition(type: str, status: str = "True", **more: str) -> Object:
    return {"type": type, "status": status, **more}


DONE = {"observedGeneration": 2}
ROLLED = {
    **DONE,
    "replicas": 3,
    "updatedReplicas": 3,
    "availableReplicas": 3,
    "conditions": [condition("Available")],
}
CASES: list[tuple[str, str, Object, str | None]] = [
    ("apps/v1", "Deployment", obj({"replicas": 3}, ROLLED), None),
    ("apps/v1", "Deployment", obj({"replicas": 3}, ROLLED, 3), "its controller to see the change"),
    ("apps/v1", "Deployment", obj({"replicas": 0}, DONE), None),
    (
        "apps/v1",
        "Deployment",
        obj({"replicas": 3}, ROLLED | {"updatedReplicas": 1}),
        "1 of 3 updated",
    ),
    ("apps/v1", "Deployment", obj({"replicas": 3}, ROLLED | {"replicas": 4}), "its old replicas to end (1 left)"),
    (
        "apps/v1",
        "Deployment",
        obj({"replicas": 3}, ROLLED | {"availableReplicas": 2}),
        "2 of 3 available",
    ),
    (
        "apps/v1",
        "Deployment",
        obj({}, DONE | {"conditions": [condition("Progressing", "False", message="deadline exceeded")]}),
        "deadline exceeded",
    ),
    ("apps/v1", "StatefulSet", obj({"replicas": 2}, DONE | {"readyReplicas": 2, "updatedReplicas": 2}), None),
    ("apps/v1", "StatefulSet", obj({"replicas": 2}, DONE | {"updatedReplicas": 2}), "its replicas: 0 of 2 ready"),
    (
        "apps/v1",
        "StatefulSet",
        obj(
            {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}},
            DONE | {"readyReplicas": 3, "updatedReplicas": 1},
        ),
        None,
    ),
    (
        "apps/v1",
        "DaemonSet",
        obj({}, DONE | {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}),
        "its pods: 1 of 2 available",
    ),
    ("apps/v1", "DaemonSet", obj({}, DONE), None),
    ("batch/v1", "Job", obj({}, {"conditions": [condition("Complete")]}), None),
    ("batch/v1", "Job", obj({"completions": 2}, {"succeeded": 1}), "completions: 1/2"),
    ("v1", "Pod", obj({}, {"phase": "Succeeded"}), None),
    ("v1", "Pod", obj({}, {"phase": "Pending"}), "the pod to be Ready (now Pending)"),
    (
        "v1",
        "Service",
        obj({"type": "LoadBalancer"}, {"loadBalancer": {}}),
        "a load balancer to give it an address",
    ),
    ("v1", "Service", obj({"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}), None),
    ("v1", "Service", obj({"type": "ClusterIP"}, {}), None),
    ("v1", "PersistentVolumeClaim", obj({}, {"phase": "Pending"}), "a volume (now Pending)"),
    ("v1", "PersistentVolumeClaim", obj({}, {"phase": "Bound"}), None),
    ("v1", "Secret", {"type": "kubernetes.io/service-account-token"}, "a controller to fill in the token"),
    ("v1", "Secret", {"type": "Opaque"}, None),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", obj({}, {}), "the API server to serve the new kind"),
    ("v1", "ConfigMap", {}, None),
    ("example.com/v1", "Deployment", {}, None),
]


@pytest.mark.parametrize(("version", "kind", "live", "waits_for"), CASES)
def test_progress(version: str, kind: str, live: Object, waits_for: str | None) -> None:
    progress = readiness.progress(KindId(version, kind), live)
    assert progress.ready is (waits_for is None)
    assert not progress.failed
    if waits_for:
        assert waits_for in progress.waiting_for


@pytest.mark.parametrize(
    ("id", "live", "says"),
    [
        (
            KindId("batch/v1", "Job"),
            obj({}, {"conditions": [condition("Failed", reason="BackoffLimitExceeded", message="gave up")]}),
            "BackoffLimitExceeded: gave up",
        ),
        (
            KindId("v1", "Pod"),
            obj({"restartPolicy": "Never"}, {"phase": "Failed", "message": "evicted"}),
            "evicted",
        ),
        (
            KindId("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            obj({}, {"conditions": [condition("NamesAccepted", "False", message="taken")]}),
            "taken",
        ),
    ],
)
def test_what_can_never_become_ready(id: KindId, live: Object, says: str) -> None:
    progress = readiness.progress(id, live)
    assert progress.failed
    assert says in progress.waiting_for


def test_a_service_needs_an_endpoint_only_where_pods_stand_behind_it() -> None:
    assert readiness.needs_endpoints({"spec": {"selector": {"a": "b"}}})
    assert not readiness.needs_endpoints({"spec": {}})
    assert not readiness.needs_endpoints({"spec": {"selector": {"a": "b"}, "clusterIP": "None"}})
    ready, unready = ({"addresses": ["a"], "conditions": {"ready": value}} for value in (True, False))
    assert readiness.has_endpoint([{"endpoints": [unready]}, {"endpoints": [ready]}])
    assert not readiness.has_endpoint([{"endpoints": [unready]}, {"endpoints": None}])


def test_a_pods_troubles_in_the_clusters_words() -> None:
    pod = {
        "metadata": {"name": "web"},
        "status": {
            "conditions": [condition("PodScheduled", "False", message="0/1 nodes are available")],
            "initContainerStatuses": [
                {"name": "init", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}
            ],
            "containerStatuses": [
                {"name": "new", "state": {"waiting": {"reason": "ContainerCreating"}}},
                {"name": "image", "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}},
                {
                    "name": "app",
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"exitCode": 1}},
                },
            ],
        },
    }
    assert readiness.pod_troubles(pod) == [
        "pod web, container init: exit code 3: Error",
        "pod web, container image: ErrImagePull: not found",
        "pod web, container app: CrashLoopBackOff (last exit code 1)",
        "pod web is not scheduled: 0/1 nodes are available",
    ]
    assert readiness.pod_troubles({"metadata": {"name": "fine"}, "status": {"phase": "Running"}}) == []


@pytest.mark.parametrize(
    ("said", "ready"),
    [
        ("condition=Ready", True),
        ("condition=Ready=False", False),
        ("jsonpath={.status.phase}=Running", True),
        ("jsonpath={.status.list[1].n}=2", True),
        ("jsonpath={.status.nothing}", False),
        ('["condition=Ready", "jsonpath={.status.phase}=Other"]', False),
    ],
)
def test_a_programs_own_idea_of_ready(said: str, ready: bool) -> None:
    live = {"status": {"phase": "Running", "list": [{"n": 1}, {"n": 2}], "conditions": [condition("Ready")]}}
    assert custom_progress(said, live).ready is ready


def test_an_idea_that_is_not_understood_is_refused() -> None:
    with pytest.raises(NotCovered, match="waitFor"):
        custom_progress("jsonpath={.status.list[*].n}", {})
