"""What Node objects and pods tell of nodes."""

from __future__ import annotations

from typing import Any

from infra.kubernetes.membership import CORDONED
from infra.kubernetes.nodes import facts_of
from infra.node_labels import JOINING, NO_SERVICES


def node(name: str, ready: str, *, plane: bool = False, cordoned: bool = False) -> dict[str, Any]:
    labels = {"node-role.kubernetes.io/control-plane": ""} if plane else {}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": {CORDONED: "true"} if cordoned else {}},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def pod(
    name: str, on: str, *, owner: str = "ReplicaSet", component: str = "", ready: bool = True
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "ownerReferences": [{"kind": owner}],
            **({"labels": {"component": component}} if component else {}),
        },
        "spec": {"nodeName": on},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def components(on: str, *, without: str = "") -> list[dict[str, Any]]:
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
    return [pod(f"{name}-{on}", on, owner="Node", component=name, ready=name != without) for name in names]


def test_a_control_plane_has_its_components_only_when_all_are_ready() -> None:
    nodes = [node(name, "True", plane=True) for name in ("good", "weak", "bare")] + [node("worker", "True")]
    facts = facts_of(nodes, [*components("good"), *components("weak", without="etcd")])
    assert {name: fact.components for name, fact in facts.items()} == {
        "good": True,
        "weak": False,
        "bare": False,
        "worker": True,
    }


def test_what_a_kubelet_no_longer_says_is_not_known() -> None:
    facts = facts_of([node("a", "True"), node("b", "False"), node("c", "Unknown")], [])
    assert [facts[name].ready for name in "abc"] == [True, False, None]


def test_services_may_be_announced_from_a_worker_once_all_that_runs_on_every_node_is_ready() -> None:
    nodes = [node(name, ready) for name, ready in (("a", "True"), ("b", "True"), ("c", "False"), ("d", "True"))]
    for joining in nodes[:3]:
        joining["metadata"]["labels"][NO_SERVICES] = JOINING
    nodes[3]["metadata"]["labels"][NO_SERVICES] = ""  # a user's own
    pods = [pod("proxy", on, owner="DaemonSet", ready=on != "b") for on in "abcd"]
    facts = facts_of([*nodes, node("e", "True")], pods)
    assert {name: (fact.withheld, fact.may_announce) for name, fact in facts.items()} == {
        "a": (True, True),
        "b": (True, False),
        "c": (True, False),
        "d": (False, False),
        "e": (False, False),
    }


def test_only_what_can_run_elsewhere_leaves_a_node_and_only_our_own_cordon_is_ours() -> None:
    pods = [pod("app", "a"), pod("proxy", "a", owner="DaemonSet"), pod("static", "a", owner="Node"), pod("x", "b")]
    facts = facts_of([node("a", "True", cordoned=True), node("b", "True")], pods)
    assert facts["a"].pods == {"kube-system/app"}
    assert (facts["a"].cordoned, facts["b"].cordoned) == (True, False)
