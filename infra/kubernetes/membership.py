"""Who may join a cluster, and who has left it."""

from __future__ import annotations

import contextlib
import threading
import time
from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from infra.kubernetes.api import ClusterApi, ClusterError, Object

_JOIN_PERIOD: Final = timedelta(hours=2)
_DRAIN_SECONDS: Final = 60.0
_SECRETS: Final = "/api/v1/namespaces/kube-system/secrets"


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
    except ClusterError as error:
        if not error.is_conflict:
            raise
        api.send("PUT", f"{_SECRETS}/{name}", body)


def dismiss_token(api: ClusterApi, token: str) -> None:
    """Let nobody join with the bootstrap token any more; nodes that have joined have keys of their own."""
    try:
        api.send("DELETE", f"{_SECRETS}/{_secret_of(token)}")
    except ClusterError as error:
        if not error.is_missing:
            raise


def _secret_of(token: str) -> str:
    return f"bootstrap-token-{token.partition('.')[0]}"


def remove_nodes(
    api: ClusterApi, names: Iterable[str], cancelled: threading.Event, *, drain: bool = True
) -> list[str]:
    """Cordon, empty and forget nodes whose machines are about to go; return those that were there.

    Args:
        api: The cluster.
        names: The nodes.
        cancelled: Set when the run is to end.
        drain: Wait until their pods have left; on a machine that runs no more, nobody would tell of that.
    """
    removed = []
    for name in sorted(names):
        cordon = {"spec": {"unschedulable": True}}
        try:
            api.send("PATCH", f"/api/v1/nodes/{name}", cordon, content_type="application/merge-patch+json")
        except ClusterError as error:
            if error.is_missing:
                continue
            raise
        if drain:
            _evict(api, name, cancelled)
        api.send("DELETE", f"/api/v1/nodes/{name}")
        removed.append(name)
    return removed


def _evict(api: ClusterApi, node: str, cancelled: threading.Event) -> None:
    """Ask pods to leave, and give them a minute; what a disruption budget holds back goes with the node."""
    deadline = time.monotonic() + _DRAIN_SECONDS
    while leaving := _movable_pods(api, node):
        for pod in leaving:
            if not pod["metadata"].get("deletionTimestamp"):
                _ask_to_leave(api, pod["metadata"]["namespace"], pod["metadata"]["name"])
        if time.monotonic() >= deadline or cancelled.wait(1):
            return


def _movable_pods(api: ClusterApi, node: str) -> list[Object]:
    """Return a node's pods, less those that belong to every node or to this one."""
    return [
        pod
        for pod in api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={node}")
        if not {owner["kind"] for owner in pod["metadata"].get("ownerReferences", [])} & {"DaemonSet", "Node"}
    ]


def _ask_to_leave(api: ClusterApi, namespace: str, name: str) -> None:
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }
    # Refused means: not now (a budget), or gone already.
    with contextlib.suppress(ClusterError):
        api.send("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", eviction)
