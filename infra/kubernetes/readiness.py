"""When an object counts as ready, and what is wrong with it until then. Pure.

Each kind has a condition, as in pulumi-kubernetes' `await/condition`; for what controllers roll out, it is that of
`kubectl rollout status` (kubectl, pkg/polymorphichelpers/rollout_status.go).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.kubernetes.kinds import KindId

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Progress:
    """How far something is.

    Attributes:
        missing: what is still to come, the cause before what only follows from it.
        failed: it can't become ready any more.
    """

    missing: tuple[str, ...] = ()
    failed: bool = False

    @property
    def ready(self) -> bool:
        """Return whether nothing is left to wait for."""
        return not self.missing

    @property
    def waiting_for(self) -> str:
        """Return what is still to come, in a few words."""
        more = f" (and {len(self.missing) - 1} more)" if len(self.missing) > 1 else ""
        return f"{self.missing[0]}{more}" if self.missing else ""


READY: Final = Progress()


def waiting(text: str) -> Progress:
    """Return that something is still to come."""
    return Progress((text,))


def failed(text: str) -> Progress:
    """Return that it can't become ready any more."""
    return Progress((text,), failed=True)


def condition(obj: Object, type: str) -> Object:
    """Return an object's condition of that type, empty where it has none."""
    for entry in status(obj).get("conditions") or []:
        if entry.get("type") == type:
            return dict(entry)
    return {}


def is_true(obj: Object, type: str) -> bool:
    """Return whether an object's condition of that type is True."""
    return condition(obj, type).get("status") == "True"


def status(obj: Object) -> Object:
    """Return an object's status, empty where it has none."""
    return obj.get("status") or {}


def _spec(obj: Object) -> Object:
    return obj.get("spec") or {}


def _observed(obj: Object) -> bool:
    return int(status(obj).get("observedGeneration", 0)) >= int(obj.get("metadata", {}).get("generation", 0))


def _replicas(number: int, wanted: int) -> str:
    return f"its replicas: {number} of {wanted}"


def _deployment(obj: Object) -> Progress:
    if not _observed(obj):
        return waiting("its controller to see the change")
    wanted, now = int(_spec(obj).get("replicas", 1)), status(obj)
    updated, available = int(now.get("updatedReplicas", 0)), int(now.get("availableReplicas", 0))
    progressing = condition(obj, "Progressing")
    if progressing.get("status") == "False":
        return waiting(f"{_replicas(available, wanted)} available; {progressing.get('message', 'no progress')}")
    if updated < wanted:
        return waiting(f"{_replicas(updated, wanted)} updated")
    if int(now.get("replicas", 0)) > updated:
        return waiting(f"its old replicas to end ({int(now.get('replicas', 0)) - updated} left)")
    if available < wanted or (wanted and not is_true(obj, "Available")):
        return waiting(f"{_replicas(available, wanted)} available")
    return READY


def _stateful_set(obj: Object) -> Progress:
    if not _observed(obj):
        return waiting("its controller to see the change")
    wanted, now = int(_spec(obj).get("replicas", 1)), status(obj)
    ready, updated = int(now.get("readyReplicas", 0)), int(now.get("updatedReplicas", 0))
    strategy = _spec(obj).get("updateStrategy") or {}
    partition = int((strategy.get("rollingUpdate") or {}).get("partition", 0))
    if strategy.get("type") != "OnDelete" and updated < wanted - partition:
        return waiting(f"{_replicas(updated, wanted - partition)} updated")
    if ready < wanted:
        return waiting(f"{_replicas(ready, wanted)} ready")
    return READY


def _daemon_set(obj: Object) -> Progress:
    if not _observed(obj):
        return waiting("its controller to see the change")
    now = status(obj)
    wanted = int(now.get("desiredNumberScheduled", 0))
    updated, available = int(now.get("updatedNumberScheduled", 0)), int(now.get("numberAvailable", 0))
    if (_spec(obj).get("updateStrategy") or {}).get("type") != "OnDelete" and updated < wanted:
        return waiting(f"its pods: {updated} of {wanted} updated")
    if available < wanted:
        return waiting(f"its pods: {available} of {wanted} available")
    return READY


def _job(obj: Object) -> Progress:
    if is_true(obj, "Complete"):
        return READY
    failure = condition(obj, "Failed")
    if failure.get("status") == "True":
        return failed(f"it failed: {failure.get('reason')}: {failure.get('message')}")
    if _spec(obj).get("suspend"):
        return READY
    return waiting(f"completions: {status(obj).get('succeeded', 0)}/{_spec(obj).get('completions', 1)}")


def _pod(obj: Object) -> Progress:
    phase = status(obj).get("phase")
    if phase == "Succeeded" or is_true(obj, "Ready"):
        return READY
    if phase == "Failed" and _spec(obj).get("restartPolicy") == "Never":
        return failed(f"it failed: {status(obj).get('message') or status(obj).get('reason')}")
    return waiting(f"the pod to be Ready (now {phase or 'unknown'})")


def _service(obj: Object) -> Progress:
    if _spec(obj).get("type") == "LoadBalancer" and not (status(obj).get("loadBalancer") or {}).get("ingress"):
        return waiting("a load balancer to give it an address")
    return READY


def _ingress(obj: Object) -> Progress:
    if not (status(obj).get("loadBalancer") or {}).get("ingress"):
        return waiting("a controller to give it an address")
    return READY


def _claim(obj: Object) -> Progress:
    phase = status(obj).get("phase")
    return READY if phase == "Bound" else waiting(f"a volume (now {phase or 'unknown'})")


def _volume(obj: Object) -> Progress:
    phase = status(obj).get("phase")
    return READY if phase in ("Available", "Bound") else waiting(f"the volume (now {phase or 'unknown'})")


def _definition(obj: Object) -> Progress:
    refused = condition(obj, "NamesAccepted")
    if refused.get("status") == "False":
        return failed(f"its names are refused: {refused.get('message')}")
    return READY if is_true(obj, "Established") else waiting("the API server to serve the new kind")


def _replication_controller(obj: Object) -> Progress:
    wanted, available = int(_spec(obj).get("replicas", 1)), int(status(obj).get("availableReplicas", 0))
    return READY if available >= wanted else waiting(f"{_replicas(available, wanted)} available")


def _quota(obj: Object) -> Progress:
    return READY if status(obj).get("hard") == _spec(obj).get("hard") else waiting("the quota to take effect")


def _token_secret(obj: Object) -> Progress:
    if obj.get("type") != "kubernetes.io/service-account-token" or (obj.get("data") or {}).get("token"):
        return READY
    return waiting("a controller to fill in the token")


_BY_KIND: Final[Mapping[tuple[str, str], Callable[[Object], Progress]]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("networking.k8s.io", "Ingress"): _ingress,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "PersistentVolume"): _volume,
    ("", "ReplicationController"): _replication_controller,
    ("", "ResourceQuota"): _quota,
    ("", "Secret"): _token_secret,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
}
WORKLOADS: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicationController"})


def progress(id: KindId, obj: Object) -> Progress:
    """Return how far an object is; one of a kind that has nothing to wait for is ready."""
    judge = _BY_KIND.get((id.group, id.kind))
    return judge(obj) if judge else READY


def needs_endpoints(service: Object) -> bool:
    """Return whether a Service counts as ready only once a pod stands behind it."""
    spec = _spec(service)
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None"


def has_endpoint(slices: Sequence[Object]) -> bool:
    """Return whether any of a Service's endpoint slices has an address that takes traffic."""
    return any(
        endpoint.get("addresses") and (endpoint.get("conditions") or {}).get("ready") is not False
        for part in slices
        for endpoint in part.get("endpoints") or []
    )


# A container that only hasn't started yet is no trouble.
_STARTING: Final = frozenset({"ContainerCreating", "PodInitializing"})


def pod_troubles(pod: Object) -> list[str]:
    """Return what keeps a pod from being Ready: scheduling, images, crashes, in the cluster's own words."""
    name, now = pod["metadata"]["name"], status(pod)
    containers = [*(now.get("initContainerStatuses") or []), *(now.get("containerStatuses") or [])]
    troubles = [
        f"pod {name}, container {container.get('name')}: {text}"
        for container in containers
        if (text := _container_trouble(container))
    ]
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        troubles.append(f"pod {name} is not scheduled: {scheduled.get('message') or scheduled.get('reason')}")
    if now.get("phase") == "Failed":
        troubles.append(f"pod {name} failed: {_words(now.get('reason'), now.get('message'))}")
    return troubles


def _container_trouble(container: Object) -> str:
    state = container.get("state") or {}
    paused, ended = state.get("waiting") or {}, state.get("terminated") or {}
    last = (container.get("lastState") or {}).get("terminated") or {}
    if paused and paused.get("reason") not in _STARTING:
        text = _words(paused.get("reason"), paused.get("message"))
        return f"{text} (last exit code {last['exitCode']})" if last.get("exitCode") else text
    if ended.get("exitCode"):
        return _words(f"exit code {ended['exitCode']}", ended.get("reason"), ended.get("message"))
    return ""


def _words(*parts: str | None) -> str:
    return ": ".join(part for part in parts if part)
