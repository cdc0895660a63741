"""Who may join a cluster, and who has left it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from infra.errors import UserError
from infra.kubernetes.api import ApiError, ClusterApi, Conflict, NotFound, Object
from infra.model.add_ons import METALLB
from infra.model.node import taint_object
from infra.model.work import Work
from infra.node_labels import JOINING, JOINING_TAINT, NO_SERVICES

_JOIN_PERIOD: Final = timedelta(hours=2)
_SECRETS: Final = "/api/v1/namespaces/kube-system/secrets"


CORDONED: Final = "azlocal.io/cordoned"
"""The annotation of a node that azlocal, and not a user, has cordoned; its value is the label that it set, too."""


_LEAVING: Final[Object] = {"key": "azlocal.io/leaving", "effect": "NoSchedule"}
"""Keeps what runs on every node from coming again to one that is drained, unless it tolerates everything."""
SPEAKER: Final = ("app.kubernetes.io/component", "speaker")
"""The label of MetalLB's pods that announce services."""
_JOINING: Final = taint_object(JOINING_TAINT)


class Blocked(UserError):
    """A node can't be drained in time: a disruption budget allows no eviction, or a pod doesn't end."""

    def __init__(self, node: str, reasons: Iterable[str]) -> None:
        super().__init__(
            f"node {node} can't be drained: {'; '.join(reasons)}. Where a disruption budget allows no eviction, "
            "run one replica more, or change the budget (`kubectl get pdb --all-namespaces`), and run `pulumi up` "
            "again"
        )


def admit_nodes(api: ClusterApi, token: str) -> None:
    """Let nodes join with the bootstrap token for two hours from now.

    kubeadm made it at the cluster's start; a node that comes later needs it again.
    """
    token_id, _, secret = token.partition(".")
    name = _secret_of(token)
    data = {
        "token-id": token_id,
        "token-secret": secret,
        "expiration": (datetime.now(UTC) + _JOIN_PERIOD).isoformat(timespec="seconds"),
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
        "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
        "description": "azlocal: first boot of nodes",
    }
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": name, "namespace": "kube-system"},
        "data": {key: b64encode(value.encode()).decode("ascii") for key, value in data.items()},
    }
    try:
        api.send("POST", _SECRETS, body)
    except Conflict:
        api.send("PUT", f"{_SECRETS}/{name}", body)


def dismiss_token(api: ClusterApi, token: str) -> None:
    """Let nobody join with the bootstrap token any more; nodes that have joined have keys of their own."""
    api.delete(f"{_SECRETS}/{_secret_of(token)}")


def _secret_of(token: str) -> str:
    return f"bootstrap-token-{token.partition('.')[0]}"


def forget(api: ClusterApi, node: str) -> None:
    """Delete a Node object, and then the pods that are bound to it: its machine goes.

    A node that comes back under the name would take for its own what it finds there: pods that a DaemonSet bound,
    Ready by what its predecessor's kubelet said.
    """
    api.delete(f"/api/v1/nodes/{node}")
    for pod in api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={node}"):
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        api.delete(path, gracePeriodSeconds="0")


def _movable_pods(api: ClusterApi, node: str) -> list[Object]:
    """Return a node's pods, less those that belong to every node or to this one."""
    return [pod for pod in api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={node}") if is_movable(pod)]


def is_movable(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod leaves a node that is drained: it belongs neither to every node nor to this one."""
    owners = {owner["kind"] for owner in pod["metadata"].get("ownerReferences", [])}
    is_over = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not is_over and not owners & {"DaemonSet", "Node"}


def cordon(api: ClusterApi, node: str) -> None:
    """Have nothing scheduled on a node and no service announced from it, and note that azlocal did that.

    MetalLB's speaker there ends, and none comes again. As long as the others count it among them, it could be the
    one to hold an address: without its Node object, whose label forbids that, it would be from one moment to the
    next, and answer nobody.
    """
    if not api.change(f"/api/v1/nodes/{node}", _as_leaving):
        return
    pods = f"/api/v1/namespaces/{METALLB}/pods"
    for pod in api.items(pods, fieldSelector=f"spec.nodeName={node}", labelSelector="=".join(SPEAKER)):
        api.delete(f"{pods}/{pod['metadata']['name']}")


def _as_leaving(node: Object) -> Object:
    marks: Object = {"resourceVersion": node["metadata"]["resourceVersion"]}
    if CORDONED not in (node["metadata"].get("annotations") or {}):
        marks |= {"annotations": {CORDONED: "true"}}
        if NO_SERVICES not in (node["metadata"].get("labels") or {}):  # kubeadm's control planes have it
            marks |= {"annotations": {CORDONED: NO_SERVICES}, "labels": {NO_SERVICES: ""}}
    return {
        "metadata": marks,
        "spec": {"unschedulable": True, "taints": [*other_taints(node, _LEAVING), _LEAVING]},
    }


def _as_staying(node: Object) -> Object | None:
    value = (node["metadata"].get("annotations") or {}).get(CORDONED)
    if not value:
        return None
    marks: Object = {"resourceVersion": node["metadata"]["resourceVersion"], "annotations": {CORDONED: None}}
    if value == NO_SERVICES:
        marks |= {"labels": {NO_SERVICES: None}}
    return {"metadata": marks, "spec": {"unschedulable": None, "taints": other_taints(node, _LEAVING) or None}}


def other_taints(node: Mapping[str, Any], ours: Object = _JOINING) -> list[Object]:
    """Return a node's taints but for one of azlocal's, which keeps pods away as it joins or leaves."""
    return [taint for taint in (node.get("spec") or {}).get("taints") or [] if taint["key"] != ours["key"]]


def uncordon(api: ClusterApi, names: Iterable[str]) -> list[str]:
    """Take back azlocal's own cordons of nodes that stay; return whose."""
    stay, nodes = set(names), {node["metadata"]["name"]: node for node in api.items("/api/v1/nodes")}
    return [
        name
        for name, node in nodes.items()
        if name in stay and api.change(f"/api/v1/nodes/{name}", _as_staying, node)
    ]


def let_in(api: ClusterApi, node: str, *, pods: bool) -> None:
    """Let a worker that has joined take pods, or else have services announced from it.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    api.change(f"/api/v1/nodes/{node}", _as_taking_pods if pods else _as_announcing)


def _as_taking_pods(node: Object) -> Object | None:
    if takes_pods(node):
        return None
    metadata = {"resourceVersion": node["metadata"]["resourceVersion"]}
    return {"metadata": metadata, "spec": {"taints": other_taints(node) or None}}


def _as_announcing(node: Object) -> Object | None:
    return {"metadata": {"labels": {NO_SERVICES: None}}} if is_withheld(node) else None


def takes_pods(node: Mapping[str, Any]) -> bool:
    """Return whether a node, as far as azlocal is concerned, takes pods since it joined."""
    taints = (node.get("spec") or {}).get("taints") or []
    return len(other_taints(node)) == len(taints)


def is_withheld(node: Mapping[str, Any]) -> bool:
    """Return whether services aren't announced from a node since it joined."""
    return bool((node["metadata"].get("labels") or {}).get(NO_SERVICES) == JOINING)


def drain(api: ClusterApi, node: str, work: Work, *, silent: bool = False) -> None:
    """Cordon a node and evict its pods, as disruption budgets allow.

    Args:
        api: The cluster.
        node: The node.
        work: Until when its pods may take.
        silent: Its kubelet says nothing: nobody waits until the pods have ended.

    Raises:
        Blocked: Pods are still there at the end.
        Interrupted: It was cancelled.
    """
    cordon(api, node)
    while leaving := _movable_pods(api, node):
        refused = {}
        for pod in leaving:
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            if not pod["metadata"].get("deletionTimestamp") and (why := _ask_to_leave(api, namespace, name)):
                refused[f"{namespace}/{name}"] = why
        if silent and not refused:
            return
        if not work.remaining:
            raise Blocked(node, [f"{pod}: {why}" for pod, why in refused.items()] or [_names(leaving)])
        text = f"draining {node}: {_names(leaving)}"
        work.status(text)
        work.wait(1, text)


def _names(pods: Iterable[Object]) -> str:
    return ", ".join(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods)


def _ask_to_leave(api: ClusterApi, namespace: str, name: str) -> str:
    """Ask a pod to leave; return why it doesn't, where the API server says that: a disruption budget."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }
    try:
        api.send("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", eviction)
    except NotFound:
        return ""
    except ApiError as error:
        causes = [str(cause.get("message")) for cause in error.details.get("causes") or []]
        return " ".join((error.message, *causes))
    return ""
