"""What a cluster's Node objects tell of its nodes, as far as somebody who changes the cluster goes by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from infra.kubernetes.api import ClusterApi, Object
from infra.kubernetes.membership import CORDONED, is_movable
from infra.kubernetes.readiness import condition, is_true
from infra.node_labels import JOINING, NO_SERVICES

_COMPONENTS: Final = frozenset({"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"})
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
        withheld: Services aren't announced from it since it joined.
        forwards: Whether what runs on every node is Ready there: kube-proxy, the network plugin.
    """

    ready: bool | None
    components: bool
    cordoned: bool
    pods: frozenset[str]
    ended: frozenset[str]
    version: str = ""
    withheld: bool = False
    forwards: bool = False

    @property
    def may_announce(self) -> bool:
        """Return whether services, which were withheld from it, can be announced from it now."""
        return self.withheld and self.ready is True and self.forwards


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
        ClusterError: The API server doesn't answer, or there is no such node.
    """
    path = f"/api/v1/nodes/{name}"
    node = api.get(path)
    if _PLANE in (node["metadata"].get("labels") or {}):
        return
    taints = [*((node.get("spec") or {}).get("taints") or []), {"key": _PLANE, "effect": "NoSchedule"}]
    labels = {_PLANE: "", NO_SERVICES: ""}
    api.merge(path, {"metadata": {"labels": labels}, "spec": {"taints": taints}})


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
    return {node["metadata"]["name"]: _facts(node, on.get(node["metadata"]["name"], [])) for node in nodes}


def _facts(node: Object, pods: list[Object]) -> NodeFacts:
    ready = condition(node, "Ready").get("status")
    labels = node["metadata"].get("labels") or {}
    is_plane = _PLANE in labels
    there = {_component(pod) for pod in pods if is_true(pod, "Ready")}
    movable = [pod for pod in pods if is_movable(pod)]
    of_every_node = [is_true(pod, "Ready") for pod in pods if _is_of_every_node(pod)]
    return NodeFacts(
        ready={"True": True, "False": False}.get(ready or ""),
        components=not is_plane or there >= _COMPONENTS,
        cordoned=CORDONED in (node["metadata"].get("annotations") or {}),
        pods=frozenset(map(_path, movable)),
        ended=frozenset(_path(pod) for pod in movable if pod["metadata"].get("deletionTimestamp")),
        version=((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion", "").removeprefix("v"),
        withheld=labels.get(NO_SERVICES) == JOINING,
        forwards=bool(of_every_node) and all(of_every_node),
    )


def _is_of_every_node(pod: Object) -> bool:
    return any(owner["kind"] == "DaemonSet" for owner in pod["metadata"].get("ownerReferences") or [])


def _component(pod: Object) -> str:
    metadata = pod["metadata"]
    is_system = metadata.get("namespace") == "kube-system"
    return (metadata.get("labels") or {}).get("component", "") if is_system else ""


def _path(pod: Object) -> str:
    return f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}"
