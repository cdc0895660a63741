"""Wait until a cluster is whole, saying all the time what it waits for and why."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from infra.errors import Interrupted, UserError
from infra.kubernetes.api import ClusterApi, ClusterError, ClusterUnreachable
from infra.kubernetes.health import WORKLOADS, Snapshot, lacks, stalled

_PAUSE: Final = 0.5
_ANSWER_PAUSE: Final = 0.2  # or as long as the last answer took: a slow server is asked less often
_NUDGE_SECONDS: Final = 1.0  # an answer to a nudge takes half of that
_NUDGED: Final = "azlocal.io/nudged"
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
Status = Callable[[str], None]


class NotHealthy(UserError):
    """The time is up and something is still missing.

    Attributes:
        reasons: What, one each.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


@dataclass(frozen=True)
class Answer:
    """What an API server says of itself.

    Attributes:
        version: Of Kubernetes, without the `v`.
        cluster_uid: The UID of kube-system, by which the field tells clusters apart.
    """

    version: str
    cluster_uid: str


class Nudges:
    """Has kubelet look now at pods that it would look at in ten seconds or more.

    A changed annotation is a change of the pod: kubelet then tries at once what failed, and asks a container that
    isn't ready. So `up` doesn't wait for periods, which needn't be shortened for as long as the cluster lives.
    """

    def __init__(self, api: ClusterApi) -> None:
        self._api = api
        self._given: dict[str, float] = {}

    def give(self, snapshot: Snapshot) -> None:
        """Nudge the pods in which nothing happens, each once a second at most."""
        now = time.monotonic()
        for pod in stalled(snapshot):
            metadata = pod["metadata"]
            if now - self._given.get(metadata["uid"], -_NUDGE_SECONDS) < _NUDGE_SECONDS:
                continue
            self._given[metadata["uid"]] = now
            body = {"metadata": {"annotations": {_NUDGED: f"{time.time():.1f}"}}}
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
            with suppress(ClusterError, ClusterUnreachable):  # gone, or its owner's to look at
                self._api.send("PATCH", path, body, content_type="application/merge-patch+json")


def wait_until_healthy(
    api: ClusterApi,
    nodes: Mapping[str, float],
    namespaces: Iterable[str],
    *,
    deadline: float,
    cancelled: threading.Event,
    status: Status,
) -> None:
    """Wait until the nodes are Ready and everything in the namespaces is available.

    Args:
        api: The cluster.
        nodes: The nodes that have to be there, with when their machines were started (`health.lacks`).
        namespaces: Whose workloads, pods and webhooks count.
        deadline: On the monotonic clock.
        cancelled: Ends the wait at once.
        status: Takes what is waited for.

    Raises:
        NotHealthy: At the deadline; says what is missing and why.
        Interrupted: It was cancelled.
    """
    watched, nudges = list(namespaces), Nudges(api)
    while True:
        try:
            seen = look(api, watched)
            reasons = lacks(seen, nodes)
            nudges.give(seen)
        except (ClusterError, ClusterUnreachable) as error:
            reasons = [str(error)]
        if not reasons:
            return
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        status(f"waiting: {reasons[0]}{more}")
        if time.monotonic() >= deadline:
            raise NotHealthy(reasons)
        _sleep(cancelled, _PAUSE)


def problems(api: ClusterApi, nodes: Mapping[str, float], namespaces: Iterable[str]) -> list[str]:
    """Return what is missing now; an API server that doesn't answer is one such thing."""
    try:
        return lacks(look(api, namespaces), nodes)
    except (ClusterError, ClusterUnreachable) as error:
        return [str(error)]


def look(api: ClusterApi, namespaces: Iterable[str]) -> Snapshot:
    """Take one look at a cluster."""
    watched = set(namespaces)

    def of_watched(path: str) -> list[dict[str, Any]]:
        return [item for item in api.items(path) if item["metadata"]["namespace"] in watched]

    workloads = [
        {"kind": kind, **item}
        for plural, kind in zip(WORKLOADS, ("Deployment", "DaemonSet", "StatefulSet"), strict=True)
        for item in of_watched(f"/apis/apps/v1/{plural}")
    ]
    return Snapshot(
        nodes=api.items("/api/v1/nodes"),
        workloads=workloads,
        pods=of_watched("/api/v1/pods"),
        webhooks=_unanswered_webhooks(api, watched),
        events=[
            event
            for namespace in sorted(watched)
            for event in api.items(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")
        ],
        leases=api.items(_LEASES),
    )


def wait_until_answering(
    api: ClusterApi, *, deadline: float, cancelled: threading.Event, status: Status
) -> Answer:
    """Wait until the API server is ready and lets us in; return who answers.

    Raises:
        NotHealthy: At the deadline.
        Interrupted: It was cancelled.
    """
    while True:
        asked = time.monotonic()
        try:
            api.text("/readyz")
            # kubeadm binds the administrators' group a moment after the server is up.
            system = api.get("/api/v1/namespaces/kube-system")
            version = str(api.get("/version")["gitVersion"])
            return Answer(version.removeprefix("v"), system["metadata"]["uid"])
        except (ClusterError, ClusterUnreachable) as error:
            reason = str(error)
        status(f"waiting for the API server: {reason}")
        if time.monotonic() >= deadline:
            raise NotHealthy([reason])
        _sleep(cancelled, max(_ANSWER_PAUSE, time.monotonic() - asked))


def _unanswered_webhooks(api: ClusterApi, namespaces: set[str]) -> dict[str, str]:
    """Return the admission webhooks of these namespaces that the API server can't call yet.

    Until they answer, it refuses every object that they check: a MetalLB address pool, for one.
    """
    found: dict[str, str] = {}
    for kind in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
        for configuration in api.items(f"/apis/admissionregistration.k8s.io/v1/{kind}"):
            for webhook in configuration.get("webhooks", []):
                service = webhook["clientConfig"].get("service")
                if service and service["namespace"] in namespaces:
                    reason = _why_unanswered(api, webhook, service)
                    if reason:
                        found[webhook["name"]] = reason
    return found


def _why_unanswered(api: ClusterApi, webhook: dict[str, Any], service: dict[str, Any]) -> str:
    if not webhook["clientConfig"].get("caBundle"):
        return "its certificate isn't in place yet"
    name = f"https:{service['name']}:{service.get('port', 443)}"
    try:
        api.text(f"/api/v1/namespaces/{service['namespace']}/services/{name}/proxy/")
    except ClusterError as error:
        # Any answer of its own is one; 5xx is the API server saying that there was none.
        return str(error) if error.status >= 500 else ""
    return ""


def _sleep(cancelled: threading.Event, seconds: float) -> None:
    if cancelled.wait(seconds):
        raise Interrupted("stopped on request while waiting for the cluster; the next `pulumi up` goes on")
