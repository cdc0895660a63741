"""What objects of the API tell of how a cluster is scheduled."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.kubernetes.api import ClusterApi, NotFound
from infra.kubernetes.client_library import load_client_library
from infra.kubernetes.local_volumes import LocalVolume
from infra.kubernetes.scheduling import (
    UNNEEDED,
    Scheduling,
    mark_for_upstream,
    note_unneeded,
    requests_of,
    scheduling_of,
)
from infra.lifecycle.scaling.objects import HOST, Node, Pod, Requirement, Spread, Taint, Toleration

load_client_library()


def container(cpu: str = "", memory: str = "", **more: Any) -> dict[str, Any]:
    requests = {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value}
    return {"name": "c", "resources": {"requests": requests}, **more}


def pod(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "web",
            "namespace": "default",
            "creationTimestamp": "2026-11-30T09:00:00Z",
            **metadata,
        },
        "spec": {"containers": [container()], **(spec or {})},
        "status": {"phase": "Pending"},
    }


def read(*pods: dict[str, Any], budgets: tuple[dict[str, Any], ...] = ()) -> tuple[Pod, ...]:
    return scheduling_of([], pods, [], budgets).pods


def only(*pods: dict[str, Any], budgets: tuple[dict[str, Any], ...] = ()) -> Pod:
    (single,) = read(*pods, budgets=budgets)
    return single


MIB = 1024 * 1024 * 1000


@pytest.mark.parametrize(
    ("spec", "cpu", "mib"),
    [
        ({"containers": [container("250m", "64Mi"), container("1")]}, 1250, 64),
        ({"containers": [container("1")], "initContainers": [container("3", "1Gi")]}, 3000, 1024),
        (
            {
                "containers": [container("1")],
                "initContainers": [container("1", restartPolicy="Always"), container("2")],
            },
            3000,
            0,
        ),
        ({"containers": [container("1")], "resources": {"requests": {"cpu": "2500m"}}}, 2500, 0),
        ({"containers": [container("1")], "overhead": {"cpu": "100m", "memory": "10Mi"}}, 1100, 10),
    ],
    ids=["a sum", "the largest of those before", "a sidecar", "of the pod", "overhead"],
)
def test_what_a_pod_asks_for(spec: dict[str, Any], cpu: int, mib: int) -> None:
    assert requests_of(spec) == {"cpu": cpu, "memory": mib * MIB, "ephemeral-storage": 0, "pods": 1000}


def test_a_node() -> None:
    node = {
        "metadata": {
            "name": "n",
            "labels": {"tier": "web"},
            "creationTimestamp": "2026-11-30T09:00:00Z",
            "annotations": {UNNEEDED: "2026-11-30T09:05:00+00:00"},
        },
        "spec": {"unschedulable": True, "taints": [{"key": "k", "effect": "NoExecute"}]},
        "status": {
            "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110", "hugepages-2Mi": "0"},
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-30T09:01:00Z"}],
        },
    }
    (found,) = scheduling_of([node], [], [], []).nodes
    assert found == Node(
        "n",
        {"cpu": 2000, "memory": 4096 * MIB, "pods": 110_000},
        {"tier": "web"},
        (Taint("k", "", "NoExecute"),),
        cordoned=True,
        created=datetime(2026, 11, 30, 9, 0, tzinfo=UTC),
        ready_since=datetime(2026, 11, 30, 9, 1, tzinfo=UTC),
        unneeded_since=datetime(2026, 11, 30, 9, 5, tzinfo=UTC),
    )
    (silent,) = scheduling_of([{"metadata": {"name": "n"}}], [], [], []).nodes
    assert not silent.ready


def test_only_what_the_scheduler_found_no_node_for_is_unschedulable() -> None:
    def judged(reason: str, status: str = "False", **more: str) -> bool:
        conditions = [{"type": "PodScheduled", "status": status, "reason": reason}]
        return only({**pod(), "status": {"phase": "Pending", "conditions": conditions, **more}}).unschedulable

    assert judged("Unschedulable")
    assert not judged("SchedulingGated")
    assert not judged("Unschedulable", nominatedNodeName="n")  # what runs there is about to leave
    assert not judged("", "True")
    assert not only(pod()).unschedulable
    assert read({**pod(), "status": {"phase": "Succeeded"}}) == ()


def test_selectors_affinity_and_tolerations() -> None:
    zone = {"key": "zone", "operator": "In", "values": ["a", "b"]}
    name = {"key": "metadata.name", "operator": "In", "values": ["n"]}
    terms = [{"matchExpressions": [zone]}, {"matchFields": [name]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    found = only(
        pod(
            {
                "nodeSelector": {"tier": "web"},
                "affinity": {"nodeAffinity": required},
                "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoSchedule"}],
            }
        )
    )
    tier = Requirement("tier", "In", ("web",))
    assert found.terms == (
        (tier, Requirement("zone", "In", ("a", "b"))),
        (tier, Requirement(HOST, "In", ("n",))),
    )
    assert found.tolerations == (Toleration("k", "Exists", "", "NoSchedule"),)
    assert found.tolerates(Taint("k", "anything", "NoSchedule"))
    assert not found.tolerates(Taint("k", "anything", "NoExecute"))
    assert found.tolerates(Taint("other", "", "PreferNoSchedule"))


APART = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": HOST}
SPREAD = {**APART, "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}
MINE = (Requirement("app", "In", ("web",)),)


def anti(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [*terms]}}}


def test_what_keeps_pods_apart() -> None:
    assert only(pod(anti(APART))).apart == (MINE,)
    assert only(pod({"topologySpreadConstraints": [SPREAD]})).spread == (Spread(MINE, 2),)
    soft = {**SPREAD, "whenUnsatisfiable": "ScheduleAnyway"}
    assert only(pod({"topologySpreadConstraints": [soft]})).spread == ()


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}]}, "has a volume, data"),
        ({"resourceClaims": [{"name": "gpu"}]}, "resource claims"),
        (anti({**APART, "topologyKey": "zone"}), "apart from pods by more than nodes"),
        (anti({**APART, "namespaceSelector": {"matchLabels": {"a": "b"}}}), "by more than nodes"),
        (
            {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [APART]}}},
            "where certain pods are",
        ),
        ({"topologySpreadConstraints": [{**SPREAD, "topologyKey": "zone"}]}, "spread by more than nodes"),
        ({"containers": [container(ports=[{"hostPort": 80}])]}, "the port 80 of its node"),
    ],
)
def test_what_is_not_known_here_is_said_to_be(spec: dict[str, Any], why: str) -> None:
    assert why in only(pod(spec)).unknown
    assert only(pod()).unknown == ""


def test_whose_a_pod_is_and_what_it_says_of_eviction() -> None:
    controlled = only(pod(ownerReferences=[{"kind": "ReplicaSet", "controller": True}]))
    assert (controlled.owner, controlled.safe_to_evict) == ("ReplicaSet", None)
    assert only(pod(ownerReferences=[{"kind": "ConfigMap"}])).owner == ""
    mirror = only(pod(annotations={"kubernetes.io/config.mirror": "x"}))
    assert mirror.stays_with_node
    told = only(pod(annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}))
    assert told.safe_to_evict is False


@pytest.mark.parametrize(
    ("volume", "is_local"),
    [
        ({"emptyDir": {}}, True),
        ({"emptyDir": {"medium": "Memory"}}, False),
        ({"hostPath": {"path": "/x"}}, True),
        ({"configMap": {"name": "x"}}, False),
    ],
)
def test_volumes_that_go_with_the_node(volume: dict[str, Any], is_local: bool) -> None:
    assert only(pod({"volumes": [{"name": "v", **volume}]})).local_storage == ("v" if is_local else "")


def test_a_daemonset_s_pod_is_on_nodes_that_take_no_others_and_a_budget_is_about_its_own_namespace() -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container("100m")]}}
    daemon_set = {"metadata": {"name": "proxy", "namespace": "kube-system"}, "spec": {"template": template}}
    budgets = [
        {
            "metadata": {"name": name, "namespace": name},
            "spec": {"selector": {"matchLabels": {"app": "web"}}},
            "status": {"disruptionsAllowed": 1},
        }
        for name in ("default", "other")
    ]
    seen: Scheduling = scheduling_of([], [pod(labels={"app": "web"}), pod()], [daemon_set], budgets)
    (daemon,) = seen.daemons
    assert (str(daemon), daemon.owner, daemon.requests["cpu"]) == ("kube-system/proxy", "DaemonSet", 100)
    assert daemon.tolerates(Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"))
    assert [one.budgets for one in seen.pods] == [("default/default",), ()]
    assert seen.allowed == {"default/default": 1, "other/other": 1}


def test_a_node_has_the_volumes_on_its_disk() -> None:
    volume = LocalVolume("pvc-1", frozenset({"n"}), "/d", "1Gi", "Delete")
    nodes = scheduling_of([{"metadata": {"name": name}} for name in ("n", "m")], [], [], [], [volume]).nodes
    assert [node.volumes for node in nodes] == [("pvc-1",), ()]


class Noting(ClusterApi):
    """An API server that notes what is changed; a node `gone` isn't there."""

    def __init__(self) -> None:
        self.changes: dict[str, Any] = {}

    def merge(self, path: str, change: dict[str, Any]) -> None:
        if path.endswith("gone"):
            raise NotFound("no such node", 404)
        self.changes[path] = json.loads(json.dumps(change))


def test_only_what_differs_is_noted_on_nodes() -> None:
    moment = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
    nodes = [Node("new", {}), Node("same", {}, unneeded_since=moment), Node("needed", {}, unneeded_since=moment)]
    api = Noting()
    since = {"new": moment, "same": moment, "needed": None, "gone": moment}
    note_unneeded(api, [*nodes, Node("gone", {}), Node("other", {})], since)
    told = {path.rpartition("/")[2]: change["metadata"]["annotations"] for path, change in api.changes.items()}
    assert told == {"new": {UNNEEDED: "2026-11-30T09:00:00+00:00"}, "needed": {UNNEEDED: None}}


class Listing(Noting):
    """An API server with a node that upstream knows, and others."""

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        keeps = {"annotations": {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}}
        known = {"metadata": {"name": "known", **keeps}, "spec": {"providerID": "azlocal://lab/known"}}
        return [known, *({"metadata": {"name": name}, "spec": {}} for name in ("first", "last", "cp"))]


def test_upstream_knows_nodes_by_an_id_and_leaves_all_but_the_last() -> None:
    api = Listing()
    ids = {name: f"azlocal://lab/{name}" for name in ("known", "first", "last")}
    mark_for_upstream(api, ids, {"last"})
    assert {path.rpartition("/")[2]: change for path, change in api.changes.items()} == {
        "first": {
            "metadata": {"annotations": {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}},
            "spec": {"providerID": "azlocal://lab/first"},
        },
        "last": {"spec": {"providerID": "azlocal://lab/last"}},
    }
