"""What a cluster still lacks, and why, from its objects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

Object = Mapping[str, Any]

# Kinds whose controllers say how many of their pods are available.
WORKLOADS: Final = ("deployments", "daemonsets", "statefulsets")
_PRESSURES: Final = ("DiskPressure", "MemoryPressure", "PIDPressure", "NetworkUnavailable")
_LONGEST_REASON: Final = 300
_FAILED_TO_START: Final = frozenset({"CreateContainerConfigError", "CreateContainerError"})
_NO_SANDBOX: Final = "FailedCreatePodSandBox"
_SYSTEM: Final = "kube-system"
_MIRROR: Final = "kubernetes.io/config.mirror"  # of a static pod, which kubelet reads from a file
_NOT_READY: Final = ", not ready yet"


@dataclass(frozen=True)
class Snapshot:
    """The objects of one look at a cluster.

    Attributes:
        nodes: All nodes.
        workloads: Deployments, daemon sets and stateful sets of the watched namespaces.
        pods: The watched namespaces' pods.
        webhooks: Why an admission webhook can't be called yet, by its name.
        events: Warnings of the watched namespaces.
        leases: The leases by which kubelets say, every ten seconds, that they are there.
    """

    nodes: Sequence[Object]
    workloads: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    webhooks: Mapping[str, str] = field(default_factory=dict)
    events: Sequence[Object] = ()
    leases: Sequence[Object] = ()


def lacks(snapshot: Snapshot, expected_nodes: Mapping[str, float]) -> list[str]:
    """Return what is missing, the cause before what only follows from it; empty when the cluster is whole.

    Args:
        snapshot: The cluster.
        expected_nodes: When each node's machine was started, in seconds since 1970; 0 where that isn't known. For
            almost a minute after a machine has gone, its node still counts as Ready.
    """
    return [
        *_missing_nodes(snapshot.nodes, expected_nodes),
        *_silent_nodes(snapshot, expected_nodes),
        *_node_problems(snapshot.nodes),
        *_workload_problems(snapshot),
        *_stray_pods(snapshot),
        *(f"webhook {name} can't be called: {why}" for name, why in sorted(snapshot.webhooks.items())),
    ]


def _missing_nodes(nodes: Iterable[Object], expected: Iterable[str]) -> Iterator[str]:
    joined = {_name(node) for node in nodes}
    for name in expected:
        if name not in joined:
            yield f"node {name} has not joined"


def _silent_nodes(snapshot: Snapshot, expected: Mapping[str, float]) -> Iterator[str]:
    """Say whose kubelet hasn't reported since its machine was started."""
    reported = {_name(lease): _seconds(lease.get("spec", {}).get("renewTime", "")) for lease in snapshot.leases}
    for node in snapshot.nodes:
        started = expected.get(_name(node), 0)
        if started and reported.get(_name(node), 0) <= started:
            yield f"node {_name(node)} has not reported since its machine was started"


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp() if time else 0


def _node_problems(nodes: Iterable[Object]) -> Iterator[str]:
    for node in nodes:
        conditions = {one["type"]: one for one in node.get("status", {}).get("conditions", [])}
        ready = conditions.get("Ready", {"status": "Unknown", "reason": "NoStatusYet"})
        for pressure in _PRESSURES:
            found = conditions.get(pressure)
            if found and found["status"] == "True":
                yield _said(f"node {_name(node)} has {pressure}", found)
        if ready["status"] != "True":
            yield _said(f"node {_name(node)} is not Ready", ready)
        if node.get("spec", {}).get("unschedulable"):
            yield f"node {_name(node)} is cordoned (kubectl uncordon {_name(node)})"


def _said(what: str, condition: Object) -> str:
    detail = ": ".join(part for part in (condition.get("reason"), condition.get("message")) if part)
    return _short(f"{what}: {detail}" if detail else what)


def _workload_problems(snapshot: Snapshot) -> Iterator[str]:
    for workload in snapshot.workloads:
        wanted, available = _counts(workload)
        if available >= wanted and _is_observed(workload):
            continue
        what = f"{workload['kind'].lower()} {_path(workload)}: {available} of {wanted} available"
        pods = [pod for pod in snapshot.pods if _belongs(pod, workload)]
        reasons = {_reason(pod, snapshot.events) for pod in pods} - {""}
        if not reasons:
            reasons = {_newest_warning(workload, snapshot.events)} - {""}
        yield _short(f"{what}: {'; '.join(sorted(reasons))}" if reasons else what)


def _counts(workload: Object) -> tuple[int, int]:
    spec, status = workload.get("spec", {}), workload.get("status", {})
    if workload["kind"] == "DaemonSet":
        updated = min(status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0))
        return status.get("desiredNumberScheduled", 0), updated
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    # While a new version doesn't come up, a deployment keeps pods of the old one, which are available, too.
    old = max(0, status.get("replicas", 0) - updated)
    return spec.get("replicas", 1), max(0, min(updated, available - old))


def _is_observed(workload: Object) -> bool:
    """Return whether the controller has seen the newest version; before, its counts are the old one's."""
    observed, newest = (
        workload.get("status", {}).get("observedGeneration", 0),
        workload["metadata"].get("generation", 0),
    )
    return int(observed) >= int(newest)


def _belongs(pod: Object, workload: Object) -> bool:
    if pod["metadata"].get("namespace") != workload["metadata"].get("namespace"):
        return False
    wanted = workload.get("spec", {}).get("selector", {}).get("matchLabels", {})
    labels = pod["metadata"].get("labels", {})
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def _stray_pods(snapshot: Snapshot) -> Iterator[str]:
    """Say which pods don't run that no workload speaks for: the control plane's own, for one."""
    for pod in snapshot.pods:
        if any(_belongs(pod, workload) for workload in snapshot.workloads):
            continue
        reason = _reason(pod, snapshot.events)
        if reason:
            yield _short(reason)


def _reason(pod: Object, events: Iterable[Object]) -> str:
    """Return why a pod isn't ready; while it is being made, that is only in its events."""
    problem = pod_problem(pod)
    if problem.endswith(_NOT_READY):
        warning = _newest_warning(pod, events)
        return f"{problem}: {warning}" if warning else problem
    return problem


def pod_problem(pod: Object) -> str:
    """Return why a pod isn't running and ready; empty if it is, or has done its work."""
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    phase = status.get("phase", "Pending")
    if phase == "Succeeded":
        return ""
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        reason = _container_problem(container)
        if reason:
            return f"pod {name}, container {container['name']}: {reason}"
    if phase == "Failed":
        return f"pod {name} failed: {status.get('reason', '')} {status.get('message', '')}".rstrip()
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return f"pod {name} is not scheduled: {scheduled.get('message', scheduled.get('reason', ''))}"
    if conditions.get("Ready", {}).get("status") == "True":
        return ""
    return f"pod {name} is {phase}{_NOT_READY}"


def stalled(snapshot: Snapshot) -> list[Object]:
    """Return the pods that nothing happens to until kubelet's own next look at them.

    Kubelet tries what failed again after ten to fifteen seconds: a container whose Secret isn't there, a pod
    without a network. A container that wasn't ready when it was asked is asked again a whole period later. A pod
    that got no network is only worth another try once those are ready that give its node one.
    """
    networkless = {_node_of(pod) for pod in snapshot.pods if _gives_network(pod) and not _is_ready(pod)}
    failed = {
        event.get("involvedObject", {}).get("uid") for event in snapshot.events if _is_sandbox_failure(event)
    }
    return [pod for pod in snapshot.pods if _is_stalled(pod, networkless, failed)]


def _gives_network(pod: Object) -> bool:
    """Return whether a pod may be what makes its node's network: one of the system's own on the host's network."""
    on_host = bool(pod.get("spec", {}).get("hostNetwork"))
    return on_host and pod["metadata"].get("namespace") == _SYSTEM and not _is_static(pod)


def _is_static(pod: Object) -> bool:
    return _MIRROR in pod["metadata"].get("annotations", {})


def _is_stalled(pod: Object, networkless: set[str], failed: set[str]) -> bool:
    metadata, status = pod["metadata"], pod.get("status", {})
    is_elsewhere = not _node_of(pod) or _is_static(pod) or bool(metadata.get("deletionTimestamp"))
    if is_elsewhere or status.get("phase") not in ("Pending", "Running"):
        return False
    containers = [container.get("state", {}) for container in status.get("containerStatuses", [])]
    if any(state.get("waiting", {}).get("reason") in _FAILED_TO_START for state in containers):
        return True
    if any("running" in state for state in containers):
        return not _is_ready(pod)
    return metadata.get("uid") in failed and _node_of(pod) not in networkless and not _has_sandbox(pod)


def _is_sandbox_failure(event: Object) -> bool:
    return event.get("reason") == _NO_SANDBOX


def _node_of(pod: Object) -> str:
    return str(pod.get("spec", {}).get("nodeName", ""))


def _is_ready(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") == "Succeeded" or _condition(pod, "Ready") == "True"


def _has_sandbox(pod: Object) -> bool:
    return _condition(pod, "PodReadyToStartContainers") == "True"


def _condition(thing: Object, name: str) -> str:
    found = [one for one in thing.get("status", {}).get("conditions", []) if one["type"] == name]
    return str(found[0]["status"]) if found else "Unknown"


def _container_problem(container: Object) -> str:
    state = container.get("state", {})
    waiting, terminated = state.get("waiting"), state.get("terminated")
    last = container.get("lastState", {}).get("terminated")
    if waiting:
        reason = waiting.get("reason", "waiting")
        if reason in ("PodInitializing", "ContainerCreating"):
            return ""
        said = f"{reason}: {waiting['message']}" if waiting.get("message") else reason
        return f"{said} (last exit code {last.get('exitCode')})" if last else said
    if terminated and terminated.get("exitCode", 0) != 0:
        message = terminated.get("message") or terminated.get("reason", "")
        return f"exit code {terminated['exitCode']}: {message}".rstrip(": ")
    return ""


def _newest_warning(thing: Object, events: Iterable[Object]) -> str:
    """Return the newest warning about an object."""
    found = [
        one for one in events if one.get("involvedObject", {}).get("uid") == thing["metadata"].get("uid", "-")
    ]
    return str(max(found, key=_time).get("message", "")) if found else ""


def _time(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _name(thing: Object) -> str:
    name: str = thing["metadata"]["name"]
    return name


def _path(thing: Object) -> str:
    return f"{thing['metadata'].get('namespace', '')}/{_name(thing)}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"
