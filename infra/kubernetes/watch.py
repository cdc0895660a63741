"""Wait until a cluster is whole, saying all the time what it waits for and why."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from infra.kubernetes.api import ClusterApi, ClusterError
from infra.kubernetes.health import WORKLOADS, Snapshot, lacks, stalled
from infra.kubernetes.nodes import facts_of, let_nodes_in
from infra.kubernetes.readiness import READY, Progress, waiting
from infra.kubernetes.waiting import NotReady, wait_until_ready
from infra.kubernetes.webhooks import unanswered_webhooks
from infra.model.work import Work

_PAUSE: Final = 0.5
_ANSWER_PAUSE: Final = 0.2
_NUDGE_SECONDS: Final = 1.0  # an answer to a nudge takes half of that
_NUDGED: Final = "azlocal.io/nudged"
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


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
            with suppress(ClusterError):  # gone, or its owner's to look at
                self._api.merge(path, body)


def wait_until_healthy(api: ClusterApi, nodes: Mapping[str, float], namespaces: Iterable[str], work: Work) -> None:
    """Wait until the nodes are Ready and everything in the namespaces is available.

    Nodes that have joined take pods and announce services from when packets find their way there.

    Args:
        api: The cluster.
        nodes: The nodes that have to be there, with when their machines were started (`health.lacks`).
        namespaces: Whose workloads, pods and webhooks count.
        work: Until when.

    Raises:
        NotReady: At the deadline; says what is missing and why.
        Interrupted: It was cancelled.
    """
    watched, nudges = list(namespaces), Nudges(api)

    def looked() -> Progress:
        try:
            seen = look(api, watched)
            nudges.give(seen)
            let_nodes_in(api, facts_of(seen.nodes, seen.pods))
        except ClusterError as error:
            return waiting(str(error))
        return Progress(tuple(lacks(seen, nodes)))

    progress = wait_until_ready(looked, work, _PAUSE, "waiting:")
    if not progress.ready:
        raise NotReady(progress.missing)


def problems(api: ClusterApi, nodes: Mapping[str, float], namespaces: Iterable[str]) -> list[str]:
    """Return what is missing now; an API server that doesn't answer is one such thing."""
    try:
        return lacks(look(api, namespaces), nodes)
    except ClusterError as error:
        return [str(error)]


def look(api: ClusterApi, namespaces: Iterable[str]) -> Snapshot:
    """Take one look at a cluster."""
    watched = set(namespaces)

    def of_watched(path: str) -> list[dict[str, Any]]:
        return [item for item in api.items(path) if item["metadata"]["namespace"] in watched]

    workloads = [
        {"kind": kind, **item}
        for plural, kind in WORKLOADS.items()
        for item in of_watched(f"/apis/apps/v1/{plural}")
    ]
    return Snapshot(
        nodes=api.items("/api/v1/nodes"),
        workloads=workloads,
        pods=of_watched("/api/v1/pods"),
        webhooks=unanswered_webhooks(api, watched),
        events=[
            event
            for namespace in sorted(watched)
            for event in api.items(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")
        ],
        leases=api.items(_LEASES),
    )


def silent_servers(servers: Mapping[str, ClusterApi]) -> list[str]:
    """Return whose API server isn't ready, as it says itself; all are asked at once.

    Args:
        servers: By control plane, its API server at its own address (`certificates.at_server`).
    """

    def is_silent(api: ClusterApi) -> bool:
        try:
            api.text("/readyz")
        except ClusterError:
            return True
        return False

    with ThreadPoolExecutor(len(servers) or 1) as pool:
        answers = zip(servers, pool.map(is_silent, servers.values()), strict=True)
        return [name for name, silent in answers if silent]


def wait_until_answering(api: ClusterApi, work: Work) -> Answer:
    """Wait until the API server is ready and lets us in; return who answers.

    Raises:
        NotReady: At the deadline.
        Interrupted: It was cancelled.
    """
    answers: list[Answer] = []

    def looked() -> Progress:
        try:
            api.text("/readyz")
            # kubeadm binds the administrators' group a moment after the server is up.
            system = api.get("/api/v1/namespaces/kube-system")
            version = str(api.get("/version")["gitVersion"])
        except ClusterError as error:
            return waiting(str(error))
        answers.append(Answer(version.removeprefix("v"), system["metadata"]["uid"]))
        return READY

    progress = wait_until_ready(looked, work, _ANSWER_PAUSE, "waiting for the API server:")
    if not progress.ready:
        raise NotReady(progress.missing)
    return answers[0]
