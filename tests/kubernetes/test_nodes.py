"""What Node objects and pods tell of nodes."""

from __future__ import annotations

from typing import Any

from infra.kubernetes.membership import CORDONED
from infra.kubernetes.nodes import facts_of
from infra.node_labels import JOINING, JOINING_TAINT, NO_SERVICES


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


def daemon(name: str, on: str, *, ready: bool = True, priority: str = "system-node-critical") -> dict[str, Any]:
    made = pod(f"{name}-{on}", on, owner="DaemonSet", ready=ready)
    made["spec"]["priorityClassName"] = priority
    return made


def speaker(on: str, *, ready: bool = True, **selects: str) -> dict[str, Any]:
    made = daemon("speaker", on, ready=ready, priority="")
    made["metadata"] |= {"namespace": "metallb-system", "labels": {"app.kubernetes.io/component": "speaker"}}
    made["spec"]["nodeSelector"] = selects
    return made


def joining(name: str, ready: str = "True", *, tainted: bool = False) -> dict[str, Any]:
    made = node(name, ready)
    made["metadata"]["labels"][NO_SERVICES] = JOINING
    key, _, effect = JOINING_TAINT.partition(":")
    made["spec"] = {"taints": [{"key": "theirs", "effect": "PreferNoSchedule"}]}
    if tainted:
        made["spec"]["taints"].append({"key": key, "effect": effect})
    return made


def test_a_worker_comes_in_once_what_every_node_needs_is_ready() -> None:
    mine = node("d", "True")
    mine["metadata"]["labels"][NO_SERVICES] = ""  # a user's own
    nodes = [joining("a"), joining("b"), joining("c", "False"), mine, node("e", "True")]
    pods = [daemon("proxy", on, ready=on != "b") for on in "abcd"]
    pods.append(daemon("a-users", "a", ready=False, priority=""))
    facts = facts_of(nodes, pods)
    assert {name: (fact.is_joining, fact.may_come_in) for name, fact in facts.items()} == {
        "a": (True, True),
        "b": (True, False),
        "c": (True, False),
        "d": (False, False),
        "e": (False, False),
    }


def test_services_are_announced_from_a_worker_once_a_speaker_is_there_that_is_to_come() -> None:
    def may_come_in(of: dict[str, Any], *speakers: dict[str, Any]) -> bool:
        return facts_of([of], [daemon("proxy", "a"), *speakers])["a"].may_come_in

    untainted = joining("a") | {"spec": {}}
    assert may_come_in(joining("a", tainted=True), speaker("b")), "it takes pods before"
    assert not may_come_in(untainted, speaker("b")), "it is to get one"
    assert not may_come_in(untainted, speaker("b"), speaker("a", ready=False))
    assert may_come_in(untainted, speaker("b"), speaker("a"))
    assert may_come_in(untainted), "there is no MetalLB"
    assert may_come_in(untainted, speaker("b", rack="1")), "those of a user are on other nodes"
    assert may_come_in(joining("a"), speaker("b")), "or don't tolerate its taint"


def test_only_what_can_run_elsewhere_leaves_a_node_and_only_our_own_cordon_is_ours() -> None:
    pods = [pod("app", "a"), pod("proxy", "a", owner="DaemonSet"), pod("static", "a", owner="Node"), pod("x", "b")]
    facts = facts_of([node("a", "True", cordoned=True), node("b", "True")], pods)
    assert facts["a"].pods == {"kube-system/app"}
    assert (facts["a"].cordoned, facts["b"].cordoned) == (True, False)
