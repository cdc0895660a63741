"""What a cluster's Node objects tell of its nodes, as far as somebody who changes the cluster goes by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.kubernetes.api import ClusterApi
from infra.kubernetes.membership import (
    CORDONED,
    SPEAKER,
    is_movable,
    is_withheld,
    let_in,
    other_taints,
    takes_pods,
)
from infra.kubernetes.readiness import Object, condition, is_true
from infra.model.add_ons import METALLB
from infra.node_labels import NO_SERVICES

CONTROL_PLANE_COMPONENTS: Final = frozenset(
    {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"}
)
"""What runs on control planes alone, by the names of its pods and of its images."""
_OF_EVERY_NODE: Final = "system-node-critical"
_PLANE: Final = "node-role.kubernetes.io/control-plane"


@dataclass(frozen=True)
class NodeFacts:
    """A node.

    Attributes:
        ready: What its kubelet says; None where it has fallen silent.
        components: Whether all of a control plane's own pods are Ready; True of a worker.
        cordoned: By azlocal.
        pods: Those that leave when it is drained, by namespace and name.
        ended: Those of them that were told to end.
        version: Its kubelet's, without the v.
        takes_pods: Not before it forwards packets, where it has joined others.
        withheld: Services aren't announced from it since it joined.
        forwards: Whether what every node needs is Ready there: kube-proxy, the network plugin.
        speaks: Whether MetalLB's speaker is Ready there, or none is to be expected.
    """

    ready: bool | None
    components: bool
    cordoned: bool
    pods: frozenset[str]
    ended: frozenset[str]
    version: str = ""
    takes_pods: bool = True
    withheld: bool = False
    forwards: bool = False
    speaks: bool = True

    @property
    def is_joining(self) -> bool:
        """Return whether pods or services are kept from it since it joined."""
        return self.withheld or not self.takes_pods

    @property
    def may_come_in(self) -> bool:
        """Return whether it can take pods now, or else have services announced from it."""
        is_due = not self.takes_pods or (self.withheld and self.speaks)
        return is_due and self.ready is True and self.forwards


def let_nodes_in(api: ClusterApi, nodes: Mapping[str, NodeFacts]) -> None:
    """Let workers that have joined, and forward packets, take pods; then have services announced from them.

    First pods: MetalLB's speaker is one of them. Until it is there, the node holds no address of a service, but
    another one that leaves the cluster next would count on it.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    for name, node in nodes.items():
        if node.may_come_in:
            let_in(api, name, pods=not node.takes_pods)


def look_at_nodes(api: ClusterApi) -> dict[str, NodeFacts]:
    """Return the nodes by name.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    return facts_of(api.items("/api/v1/nodes"), api.items("/api/v1/pods"))


def mark_plane(api: ClusterApi, name: str) -> None:
    """Give a control plane the label and the taint that kubeadm gave it, where its Node object was made again.

    kubeadm: `cmd/kubeadm/app/phases/markcontrolplane/markcontrolplane.go`.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    api.change(f"/api/v1/nodes/{name}", _as_plane)


def _as_plane(node: Object) -> dict[str, Any] | None:
    if _PLANE in (node["metadata"].get("labels") or {}):
        return None
    taints = [*((node.get("spec") or {}).get("taints") or []), {"key": _PLANE, "effect": "NoSchedule"}]
    marks = {"resourceVersion": node["metadata"]["resourceVersion"], "labels": {_PLANE: "", NO_SERVICES: ""}}
    return {"metadata": marks, "spec": {"taints": taints}}


def count_pods(api: ClusterApi, node: str) -> int:
    """Return how many pods of a node haven't ended: as many as its kubelet counts against its maxPods.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    pods = api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={node}")
    return sum((pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed") for pod in pods)


def facts_of(nodes: Iterable[Object], pods: Iterable[Object]) -> dict[str, NodeFacts]:
    """Return what these objects tell of nodes, by name. Pure."""
    on: dict[str, list[Object]] = {}
    for pod in pods:
        on.setdefault((pod.get("spec") or {}).get("nodeName", ""), []).append(pod)
    speakers = [pod for there in on.values() for pod in there if _is_speaker(pod)]
    return {
        node["metadata"]["name"]: _facts(node, on.get(node["metadata"]["name"], []), speakers) for node in nodes
    }


def _facts(node: Object, pods: list[Object], speakers: list[Object]) -> NodeFacts:
    ready = condition(node, "Ready").get("status")
    is_plane = _PLANE in (node["metadata"].get("labels") or {})
    there = {_component(pod) for pod in pods if is_true(pod, "Ready")}
    movable = [pod for pod in pods if is_movable(pod)]
    needed = [is_true(pod, "Ready") for pod in pods if _is_of_every_node(pod)]
    own = [is_true(pod, "Ready") for pod in pods if _is_speaker(pod)]
    return NodeFacts(
        ready={"True": True, "False": False}.get(ready or ""),
        components=not is_plane or there >= CONTROL_PLANE_COMPONENTS,
        cordoned=CORDONED in (node["metadata"].get("annotations") or {}),
        pods=frozenset(map(_path, movable)),
        ended=frozenset(_path(pod) for pod in movable if pod["metadata"].get("deletionTimestamp")),
        version=((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion", "").removeprefix("v"),
        takes_pods=takes_pods(node),
        withheld=is_withheld(node),
        forwards=bool(needed) and all(needed),
        speaks=all(own) if own else not any(_could_be_on(node, speaker) for speaker in speakers),
    )


def _is_of_every_node(pod: Object) -> bool:
    """Return whether a pod is what a node needs to be one: those that a user wants everywhere aren't."""
    is_daemon = any(owner["kind"] == "DaemonSet" for owner in pod["metadata"].get("ownerReferences") or [])
    return is_daemon and (pod.get("spec") or {}).get("priorityClassName") == _OF_EVERY_NODE


def _is_speaker(pod: Object) -> bool:
    key, value = SPEAKER
    metadata = pod["metadata"]
    return metadata.get("namespace") == METALLB and (metadata.get("labels") or {}).get(key) == value


def _could_be_on(node: Object, speaker: Object) -> bool:
    """Return whether a speaker like another is to be expected on a node: no selector, no taint is in its way."""
    selected = (speaker.get("spec") or {}).get("nodeSelector") or {}
    return selected.items() <= (node["metadata"].get("labels") or {}).items() and not other_taints(node)


def _component(pod: Object) -> str:
    metadata = pod["metadata"]
    is_system = metadata.get("namespace") == "kube-system"
    return (metadata.get("labels") or {}).get("component", "") if is_system else ""


def _path(pod: Object) -> str:
    return f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}"
