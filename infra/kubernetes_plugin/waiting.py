"""Waiting for an object to be ready, or gone, and finding out why it isn't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from infra.errors import Interrupted, UserError
from infra.kubernetes import readiness
from infra.kubernetes.api import ClusterUnreachable, NotFound, Object
from infra.kubernetes.cluster import Cluster
from infra.kubernetes.kinds import KindId, Ref
from infra.kubernetes.readiness import READY, Progress, failed, waiting
from infra.kubernetes.waiting import NotReady, wait_until_ready
from infra.kubernetes_plugin.custom_wait import custom_progress
from infra.kubernetes_plugin.objects import TIMEOUT, WAIT_FOR, annotation
from infra.model.work import Work
from infra.plugin.operation import Operation

DEFAULT_SECONDS: Final = 600.0
_POLL_SECONDS: Final = 0.5
_TROUBLES: Final = 5  # more than these say the same again
_PODS: Final = KindId("v1", "Pod")
_EVENTS: Final = KindId("v1", "Event")
_SLICES: Final = KindId("discovery.k8s.io/v1", "EndpointSlice")
_CLASSES: Final = KindId("storage.k8s.io/v1", "StorageClass")
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


def work_of(op: Operation, inputs: Object) -> Work:
    """Return what waits for an object: as long as customTimeouts say, else the annotation, else ten minutes."""
    timeout = annotation(inputs, TIMEOUT)
    return op.work(float(timeout) if timeout.isdigit() else DEFAULT_SECONDS)


def until_ready(cluster: Cluster, ref: Ref, op: Operation, inputs: Object) -> Object:
    """Return the object once it is ready.

    Raises:
        NotReady: time is up, or it can't become ready any more, or the run was cancelled.
    """
    live: Object = {}

    def look() -> Progress:
        nonlocal live
        try:
            live = cluster.get(ref)
            return progress_of(cluster, ref, live, inputs)
        except ClusterUnreachable as error:
            return waiting(str(error))  # the server may be restarting; the deadline holds
        except NotFound:
            return failed("it was deleted by somebody else meanwhile")

    progress, seconds = _waited(look, op, ref, inputs)
    if progress.ready:
        return live
    late = f" was not ready within {seconds:.0f} s: still waiting for" if not progress.failed else ":"
    raise NotReady([f"{ref}{late} {progress.waiting_for}", *troubles(cluster, ref, live)])


def _waited(look: Callable[[], Progress], op: Operation, ref: Ref, inputs: Object) -> tuple[Progress, float]:
    """Wait, and return the last look and the seconds that there were.

    Raises:
        NotReady: the run was cancelled.
    """
    work = work_of(op, inputs)
    try:
        progress = wait_until_ready(look, work, _POLL_SECONDS)
    except Interrupted as error:
        raise NotReady([f"{ref}: {error}"]) from error
    if progress.ready:
        op.status("")  # what it waited for must not stand beside a resource that is ready
    return progress, work.deadline - op.started


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

    def look() -> Progress:
        live = cluster.find(ref)
        if live is None or (uid and live["metadata"].get("uid") != uid):
            return READY
        return waiting(f"the deletion{_held_by(live)}")

    progress, seconds = _waited(look, op, ref, inputs)
    if not progress.ready:
        raise NotReady([f"{ref} was not gone within {seconds:.0f} s: waiting for {progress.waiting_for}"])


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


def troubles(cluster: Cluster, ref: Ref, live: Object) -> list[str]:
    """Return what the cluster says is wrong with an object: its pods' states, warnings about it and them."""
    try:
        pods = _pods_of(cluster, ref, live)
        texts = [text for pod in pods for text in readiness.pod_troubles(pod)]
        names = [ref.name, *(pod["metadata"]["name"] for pod in pods)]
        texts += [text for name in names[: _TROUBLES + 1] for text in _warnings(cluster, ref.namespace, name)]
    except (UserError, Interrupted):
        return []  # they only explain the failure that is being reported
    return list(dict.fromkeys(texts))[:_TROUBLES]


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
