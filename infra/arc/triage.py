"""Why agents don't get ready: from what a cluster shows to one cause with one remedy (facts §1.15, §9). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.kubernetes.health import Snapshot

_OPENSHIFT: Final = (
    "on OpenShift: oc adm policy add-scc-to-user privileged "
    "system:serviceaccount:azure-arc:azure-arc-kube-aad-proxy-sa"
)
_PULLING: Final = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
_PEM: Final = re.compile(r"parse PEM block", re.IGNORECASE)
_NETWORK: Final = re.compile(
    r"connection refused|no such host|i/o timeout|timed out|network is unreachable|x509|certificate|TLS|proxy"
    r"|name resolution|Name or service not known|unreachable",
    re.IGNORECASE,
)
_REFUSED: Final = re.compile(r"signature|public key|unauthori[sz]ed|forbidden|\b40[13]\b", re.IGNORECASE)


@dataclass(frozen=True)
class Cause:
    """Why.

    Attributes:
        rule: Its short name, which stays the same for ever.
        text: What was seen.
    """

    rule: str
    text: str
    remedy: str


def find_cause(snapshot: Snapshot, last_words: Callable[[str], str]) -> Cause | None:
    """Return the first cause that what is seen points to, None where nothing does.

    Args:
        snapshot: Of the agents' namespace.
        last_words: Returns the end of a pod's log; only called where the objects don't tell.
    """
    for search in (_images, _scheduling, _security, _certificates):
        cause = next(search(snapshot), None)
        if cause is not None:
            return cause
    return next(_logs(snapshot, last_words), None)


def _images(snapshot: Snapshot) -> Iterator[Cause]:
    for pod, container in _containers(snapshot):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in _PULLING:
            yield Cause(
                "agents-image-pull",
                f"pod {pod} can't pull {container.get('image')}: {waiting.get('message') or waiting['reason']}",
                "let the nodes reach the registry (`azlocal arc check`), by a proxy if need be",
            )


def _scheduling(snapshot: Snapshot) -> Iterator[Cause]:
    for pod in snapshot.pods:
        conditions = {condition["type"]: condition for condition in pod.get("status", {}).get("conditions", [])}
        scheduled = conditions.get("PodScheduled", {})
        if scheduled.get("status") == "False":
            yield Cause(
                "agents-unschedulable",
                f"pod {pod['metadata']['name']} isn't scheduled: {scheduled.get('message')}",
                "free about 850 MB of memory on a linux/amd64 or arm64 node without taints, or add a node",
            )


def _security(snapshot: Snapshot) -> Iterator[Cause]:
    for message in _messages(snapshot, "FailedCreate"):
        if "security context constraint" in message:
            yield Cause(
                "agents-forbidden",
                message,
                _OPENSHIFT,
            )
        else:
            yield Cause("agents-forbidden", message, "let the namespace azure-arc make such pods (quota, policy)")


def _certificates(snapshot: Snapshot) -> Iterator[Cause]:
    for message in _messages(snapshot, "FailedMount"):
        if "kube-aad-proxy-certificate" in message and "not found" in message:
            yield Cause(
                "agents-proxy-certificate",
                message,
                _OPENSHIFT,
            )


def _logs(snapshot: Snapshot, last_words: Callable[[str], str]) -> Iterator[Cause]:
    """Yield what agents say of themselves: who gets the identity first, everybody else waits for it."""
    missing = any(
        "azure-identity-certificate" in message and "not found" in message
        for message in _messages(snapshot, "FailedMount")
    )
    for pod in sorted(_unready(snapshot), key=lambda name: not name.startswith("clusteridentityoperator")):
        text = last_words(pod)
        if _PEM.search(text):
            yield Cause(
                "agents-key",
                f"pod {pod}: {text}",
                "the agents' private key is mangled: disconnect the cluster and connect it again",
            )
        elif text and pod.startswith("clusteridentityoperator") and _REFUSED.search(text):
            yield Cause(
                "agents-identity",
                f"Azure gives the agents no identity: pod {pod}: {text}",
                "the key in the cluster isn't the one that Azure has, or the clocks differ: disconnect the "
                "cluster and connect it again",
            )
        elif text and _NETWORK.search(text):
            yield Cause(
                "agents-endpoints",
                f"agents don't reach Azure: pod {pod}: {text}",
                "`azlocal arc check` names the endpoint that is blocked",
            )
    if missing:
        yield Cause(
            "agents-identity",
            "the agents have no identity yet: secret azure-identity-certificate isn't there",
            "let the nodes reach the identity service and Entra (`azlocal arc check`), and check their clocks",
        )


def _containers(snapshot: Snapshot) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for pod in snapshot.pods:
        status = pod.get("status", {})
        for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            yield pod["metadata"]["name"], container


def _unready(snapshot: Snapshot) -> list[str]:
    unready = {pod: True for pod, container in _containers(snapshot) if not container.get("ready")}
    return list(unready)


def _messages(snapshot: Snapshot, reason: str) -> list[str]:
    return [str(event.get("message")) for event in snapshot.events if event.get("reason") == reason]
