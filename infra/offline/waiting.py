"""Waiting for an object to be ready, or gone, and finding out why it isn't."""

from __future__ import annotations

import time
from typing import Any, Final

from infra.errors import Interrupted, UserError
from infra.offline import readiness
from infra.offline.cluster import Cluster, Object
from infra.offline.custom_wait import custom_progress
from infra.offline.errors import ClusterUnreachable, NotFound, NotReady
from infra.offline.objects import TIMEOUT, WAIT_FOR, annotation
from infra.offline.readiness import READY, Progress, waiting
from infra.offline.types import KindId, Ref
from infra.provider.operation import Operation

DEFAULT_SECONDS: Final = 600.0
_POLL_SECONDS: Final = 0.5
_TROUBLES: Final = 5  # more than these say the same again
_PODS: Final = KindId("v1", "Pod")
_EVENTS: Final = KindId("v1", "Event")
_SLICES: Final = KindId("discovery.k8s.io/v1", "EndpointSlice")
_CLASSES: Final = KindId("storage.k8s.io/v1", "StorageClass")
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


def time_limit(op: Operation, inputs: Object, default: float = DEFAULT_SECONDS) -> float:
    """Return the monotonic time at which to give up: customTimeouts, else the annotation, else ten minutes."""
    said = annotation(inputs, TIMEOUT)
    return op.deadline(float(said) if said.isdigit() else default)


def until_ready(cluster: Cluster, ref: Ref, op: Operation, inputs: Object) -> Object:
    """Return the object once it is ready.

    Raises:
        NotReady: time is up, or it can't become ready any more, or the run was cancelled.
    """
    deadline = time_limit(op, inputs)
    live: Object = {}
    while True:
        now = _look(cluster, ref, inputs)
        if isinstance(now, Progress):
            progress = now
        else:
            live, progress = now
        if progress.ready:
            op.status("")  # what it waited for must not stand beside a resource that is ready
            return live
        if progress.failed:
            raise NotReady([f"{ref}: {progress.waiting_for}", *troubles(cluster, ref, live)])
        op.status(f"waiting for {progress.waiting_for}")
        _pause(op, ref, f"waiting for {progress.waiting_for}")
        if time.monotonic() > deadline:
            raise NotReady(
                [
                    f"{ref} was not ready within {deadline - op.started:.0f} s: still waiting for "
                    f"{progress.waiting_for}",
                    *troubles(cluster, ref, live),
                ]
            )


def _look(cluster: Cluster, ref: Ref, inputs: Object) -> tuple[Object, Progress] | Progress:
    try:
        live = cluster.get(ref)
        return live, progress_of(cluster, ref, live, inputs)
    except ClusterUnreachable as error:
        return waiting(str(error))  # the server may be restarting; the deadline holds
    except NotFound:
        return Progress(False, "it was deleted by somebody else meanwhile", failed=True)


def progress_of(cluster: Cluster, ref: Ref, live: Object, inputs: Object) -> Progress:
    """Return how far an object is, asking for the objects that decide it beside itself."""
    if annotation(inputs, WAIT_FOR):
        return custom_progress(annotation(inputs, WAIT_FOR), live)
    progress = readiness.progress(ref.id, live)
    core = ref.id.group == ""
    if core and ref.id.kind == "Service" and progress.ready and readiness.needs_endpoints(live):
        slices = cluster.list_in(_SLICES, ref.namespace, labelSelector=f"kubernetes.io/service-name={ref.name}")
        return READY if readiness.has_endpoint(slices) else waiting("a ready pod behind it")
    if core and ref.id.kind == "PersistentVolumeClaim" and not progress.ready and _waits_for_pod(cluster, live):
        return READY
    return progress


def _waits_for_pod(cluster: Cluster, claim: Object) -> bool:
    """Return whether a claim gets its volume only once a pod uses it."""
    name = (claim.get("spec") or {}).get("storageClassName")
    classes = cluster.list_in(_CLASSES, None)
    used = [c for c in classes if (c["metadata"]["name"] == name if name else _is_default(c))]
    return any(c.get("volumeBindingMode") == "WaitForFirstConsumer" for c in used)


def _is_default(storage_class: Object) -> bool:
    return annotation(storage_class, _DEFAULT_CLASS) == "true"


def until_gone(cluster: Cluster, ref: Ref, uid: str | None, op: Operation, inputs: Object) -> None:
    """Return once the object, or the one with that uid, is no more.

    Raises:
        NotReady: time is up, with what holds it; or the run was cancelled.
    """
    deadline = time_limit(op, inputs)
    while True:
        live = cluster.find(ref)
        if live is None or (uid and live["metadata"].get("uid") != uid):
            op.status("")
            return
        held = _held_by(live)
        op.status(f"waiting for the deletion{held}")
        if time.monotonic() > deadline:
            raise NotReady([f"{ref} was not gone within {deadline - op.started:.0f} s{held}"])
        _pause(op, ref, "being deleted")


def _held_by(live: Object) -> str:
    texts = [
        f"{condition.get('message')}"
        for condition in (live.get("status") or {}).get("conditions") or []
        if live.get("kind") == "Namespace" and condition.get("status") == "True"
    ]
    finalizers = live["metadata"].get("finalizers") or []
    if finalizers:
        texts.append(f"held by {', '.join(finalizers)}")
    return f": {'; '.join(texts)}" if texts else ""


def _pause(op: Operation, ref: Ref, doing: str) -> None:
    if op.cancelled.wait(_POLL_SECONDS):
        raise NotReady([f"{ref}: stopped on request while {doing}; the next run goes on from here"])


def troubles(cluster: Cluster, ref: Ref, live: Object) -> list[str]:
    """Return what the cluster says is wrong with an object: its pods' states, warnings about it and them."""
    try:
        pods = _pods_of(cluster, ref, live)
        found = [text for pod in pods for text in readiness.pod_troubles(pod)]
        names = [ref.name, *(pod["metadata"]["name"] for pod in pods)]
        found += [text for name in names[: _TROUBLES + 1] for text in _warnings(cluster, ref.namespace, name)]
    except (UserError, Interrupted):
        return []  # they only explain the failure that is being reported
    return list(dict.fromkeys(found))[:_TROUBLES]


def _pods_of(cluster: Cluster, ref: Ref, live: Object) -> list[Object]:
    if ref.id == _PODS:
        return [live] if live else []
    selector: Any = (live.get("spec") or {}).get("selector") or {}
    labels = selector if ref.id.kind == "Service" else selector.get("matchLabels")
    if not labels or ref.id.kind not in readiness.WORKLOADS | {"Service"}:
        return []
    return cluster.list_in(_PODS, ref.namespace, labelSelector=",".join(f"{k}={v}" for k, v in labels.items()))


def _warnings(cluster: Cluster, namespace: str | None, name: str) -> list[str]:
    events = cluster.list_in(
        _EVENTS, namespace or "default", fieldSelector=f"involvedObject.name={name},type=Warning"
    )
    latest = {str(event.get("reason")): str(event.get("message")) for event in events}
    return [f"event on {name}: {reason}: {message}" for reason, message in latest.items()]
