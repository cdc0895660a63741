"""A node is drained of what the API server says is on it: evicted as budgets allow, and who blocks is named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from infra.kubernetes.api import ClusterApi
from infra.kubernetes.membership import Blocked, cordon, drain, forget, uncordon
from infra.kubernetes.nodes import let_nodes_in, look_at_nodes
from infra.model.work import Work
from infra.node_labels import JOINING, JOINING_TAINT, NO_SERVICES
from tests.kubernetes_plugin.apiserver import ApiServer
from tests.waiting import eventually

pytestmark = pytest.mark.engine
SPACE = "drained"


def apply(cluster: ApiServer, *objects: dict[str, Any]) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    cluster.kubectl("apply", "--filename", "-", stdin=json.dumps(items))


def pod(name: str, node: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": SPACE, "labels": {"app": name}} | metadata,
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "x"}]},
    }


def budget(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}},
    }


def test_a_drain_respects_budgets_names_what_blocks_and_is_taken_back(cluster: ApiServer) -> None:
    apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    account = f"/api/v1/namespaces/{SPACE}/serviceaccounts/default"
    eventually(lambda: cluster.kubectl("get", "--raw", account, check=False), "a service account")
    apply(cluster, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    apply(cluster, pod("held", "n"), pod("free", "n"), budget("held"))
    api = ClusterApi(cluster.kubeconfig)
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    for name in ("held", "free"):
        cluster.patch(f"/api/v1/namespaces/{SPACE}/pods/{name}/status", {"status": ready})
    facts = look_at_nodes(api)["n"]
    assert facts.pods == {f"{SPACE}/held", f"{SPACE}/free"}
    assert (facts.ready, facts.cordoned) == (None, False)

    with pytest.raises(
        Blocked, match=r"node n can't be drained: drained/held: .*disruption budget.*run one replica"
    ):
        drain(api, "n", Work().within(2), silent=True)
    facts = look_at_nodes(api)["n"]
    assert facts.cordoned
    assert cluster.get("/api/v1/nodes/n")["spec"]["unschedulable"]
    assert f"{SPACE}/free" in facts.ended or f"{SPACE}/free" not in facts.pods, "nothing holds it"

    cluster.kubectl("delete", "pdb", "held", "--namespace", SPACE)
    drain(api, "n", Work().within(30), silent=True)
    facts = look_at_nodes(api)["n"]
    assert facts.pods == facts.ended, "all were told to end, and no kubelet is there to say that they have"

    assert cluster.get("/api/v1/nodes/n")["metadata"]["labels"] == {NO_SERVICES: ""}

    assert uncordon(api, ["other"]) == []
    assert uncordon(api, ["n"]) == ["n"]
    assert not look_at_nodes(api)["n"].cordoned
    assert "unschedulable" not in cluster.get("/api/v1/nodes/n")["spec"]
    assert not cluster.get("/api/v1/nodes/n")["metadata"].get("labels")

    forget(api, "n")
    assert cluster.get(f"/api/v1/namespaces/{SPACE}/pods")["items"] == [], "nothing is left for one of that name"


def test_no_speaker_comes_again_to_a_node_that_leaves_and_a_user_s_taint_stays(cluster: ApiServer) -> None:
    apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "metallb-system"}})
    account = "/api/v1/namespaces/metallb-system/serviceaccounts/default"
    eventually(lambda: cluster.kubectl("get", "--raw", account, check=False), "a service account")
    taint = {"key": "mine", "effect": "PreferNoSchedule"}
    nodes = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"taints": [taint]}}
        for name in ("leaves", "stays")
    ]
    of_metallb = {"namespace": "metallb-system", "labels": {"app.kubernetes.io/component": "speaker"}}
    speakers = [pod(f"speaker-{name}", name, **of_metallb) for name in ("leaves", "stays")]
    apply(cluster, *nodes, *speakers)
    api = ClusterApi(cluster.kubeconfig)
    cordon(api, "leaves")

    def taints() -> list[Any]:
        return list(cluster.get("/api/v1/nodes/leaves")["spec"]["taints"])

    assert {"key": "azlocal.io/leaving", "effect": "NoSchedule"} in taints()
    assert taint in taints()
    left = {
        one["metadata"]["name"]
        for one in cluster.get("/api/v1/namespaces/metallb-system/pods")["items"]
        if not one["metadata"].get("deletionTimestamp")
    }
    assert left == {"speaker-stays"}
    assert uncordon(api, ["leaves"]) == ["leaves"]
    assert taint in taints()
    assert "azlocal.io/leaving" not in {one["key"] for one in taints()}


def test_a_worker_that_joins_takes_pods_and_then_has_services_announced(cluster: ApiServer) -> None:
    key, _, effect = JOINING_TAINT.partition(":")
    users = {"key": "mine", "effect": "PreferNoSchedule"}
    spec = {"taints": [users, {"key": key, "effect": effect}]}
    metadata = {"name": "joins", "labels": {NO_SERVICES: JOINING}}
    apply(cluster, {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec})
    api = ClusterApi(cluster.kubeconfig)
    joined = replace(look_at_nodes(api)["joins"], ready=True, forwards=True)
    assert not joined.takes_pods
    let_nodes_in(api, {"joins": joined, "gone meanwhile": joined})
    node = cluster.get("/api/v1/nodes/joins")
    assert key not in {taint["key"] for taint in node["spec"]["taints"]}
    assert users in node["spec"]["taints"]
    assert node["metadata"]["labels"] == {NO_SERVICES: JOINING}
    let_nodes_in(api, {"joins": replace(look_at_nodes(api)["joins"], ready=True, forwards=True)})
    assert not cluster.get("/api/v1/nodes/joins")["metadata"].get("labels")
    assert not look_at_nodes(api)["joins"].is_joining


def test_what_kubeadm_keeps_services_from_stays_so(cluster: ApiServer) -> None:
    apply(cluster, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "cp", "labels": {NO_SERVICES: ""}}})
    api = ClusterApi(cluster.kubeconfig)
    cordon(api, "cp")
    assert uncordon(api, ["cp"]) == ["cp"]
    assert cluster.get("/api/v1/nodes/cp")["metadata"]["labels"] == {NO_SERVICES: ""}
    cordon(api, "no such node")
