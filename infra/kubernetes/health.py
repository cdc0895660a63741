"""What a cluster still lacks, and why, from its objects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from infra.kubernetes.kinds import KindId
from infra.kubernetes.membership import is_withheld, takes_pods
from infra.kubernetes.readiness import Object, condition, is_true, pod_troubles, progress, status

WORKLOADS: Final = {"deployments": "Deployment", "daemonsets": "DaemonSet", "statefulsets": "StatefulSet"}
"""Kinds whose controllers say how many of their pods are available, by their plural."""
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


@dataclass(frozen=True)
class Lack:
    """Something that a cluster lacks.

    Attributes:
        text: What, and why, in a clause.
        node: The node that it is about; empty where it is about something that runs on nodes.
        nodes: Those on which its pods are that aren't ready; one that isn't scheduled is on none.
        is_chosen: Whether somebody has probably wanted it so.
    """

    text: str
    node: str = ""
    nodes: frozenset[str] = frozenset()
    is_chosen: bool = False


def lacks(snapshot: Snapshot, expected_nodes: Mapping[str, float]) -> list[str]:
    """Return what is missing in a clause each; see `lacking`."""
    return [lack.text for lack in lacking(snapshot, expected_nodes)]


def lacking(snapshot: Snapshot, expected_nodes: Mapping[str, float]) -> list[Lack]:
    """Return what is missing, the cause before what only follows from it; empty when the cluster is whole.

    Args:
        snapshot: The cluster.
        expected_nodes: The nodes that count, with when each one's machine was started, in seconds since 1970; 0
            where that isn't known. For almost a minute after a machine has gone, its node still counts as Ready.
    """
    return [
        *_missing_nodes(snapshot.nodes, expected_nodes),
        *_silent_nodes(snapshot, expected_nodes),
        *_node_problems(node for node in snapshot.nodes if _name(node) in expected_nodes),
        *_workload_problems(snapshot),
        *_stray_pods(snapshot),
        *(Lack(f"webhook {name} can't be called: {why}") for name, why in sorted(snapshot.webhooks.items())),
    ]


def _missing_nodes(nodes: Iterable[Object], expected: Iterable[str]) -> Iterator[Lack]:
    joined = {_name(node) for node in nodes}
    for name in expected:
        if name not in joined:
            yield Lack(f"node {name} has not joined", name)


def _silent_nodes(snapshot: Snapshot, expected: Mapping[str, float]) -> Iterator[Lack]:
    """Say whose kubelet hasn't reported since its machine was started."""
    reported = {_name(lease): _seconds(lease.get("spec", {}).get("renewTime", "")) for lease in snapshot.leases}
    for node in snapshot.nodes:
        name = _name(node)
        started = expected.get(name, 0)
        if started and reported.get(name, 0) <= started:
            yield Lack(f"node {name} has not reported since its machine was started", name)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp() if time else 0


def _node_problems(nodes: Iterable[Object]) -> Iterator[Lack]:
    for node in nodes:
        name = _name(node)
        for pressure in _PRESSURES:
            if is_true(node, pressure):
                yield Lack(_described(f"node {name} has {pressure}", condition(node, pressure)), name)
        ready = condition(node, "Ready") or {"reason": "NoStatusYet"}
        if ready.get("status") != "True":
            yield Lack(_described(f"node {name} is not Ready", ready), name)
        if not takes_pods(node) or is_withheld(node):
            yield Lack(f"node {name} has joined, and takes pods and services once it forwards packets", name)
        if node.get("spec", {}).get("unschedulable"):
            yield Lack(f"node {name} is cordoned (kubectl uncordon {name})", name, is_chosen=True)


def _described(what: str, condition: Object) -> str:
    detail = ": ".join(part for part in (condition.get("reason"), condition.get("message")) if part)
    return _short(f"{what}: {detail}" if detail else what)


def _workload_problems(snapshot: Snapshot) -> Iterator[Lack]:
    for workload in snapshot.workloads:
        state = progress(KindId("apps/v1", workload["kind"]), workload)
        if state.ready:
            continue
        what = f"{workload['kind'].lower()} {_path(workload)} waits for {state.waiting_for}"
        pods = [pod for pod in snapshot.pods if _belongs(pod, workload)]
        reasons = {_reason(pod, snapshot.events) for pod in pods} - {""}
        if not reasons:
            reasons = {_newest_warning(workload, snapshot.events)} - {""}
        text = _short(f"{what}: {'; '.join(sorted(reasons))}" if reasons else what)
        yield Lack(text, nodes=frozenset(_node_of(pod) for pod in pods if not _is_ready(pod)) - {""})


def _belongs(pod: Object, workload: Object) -> bool:
    if pod["metadata"].get("namespace") != workload["metadata"].get("namespace"):
        return False
    wanted = workload.get("spec", {}).get("selector", {}).get("matchLabels", {})
    labels = pod["metadata"].get("labels", {})
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def _stray_pods(snapshot: Snapshot) -> Iterator[Lack]:
    """Say which pods don't run that no workload speaks for: the control plane's own, for one."""
    for pod in snapshot.pods:
        if any(_belongs(pod, workload) for workload in snapshot.workloads):
            continue
        reason = _reason(pod, snapshot.events)
        if reason:
            yield Lack(_short(reason), nodes=frozenset({_node_of(pod)}) - {""})


def _reason(pod: Object, events: Iterable[Object]) -> str:
    """Return why a pod isn't ready; while it is being made, that is only in its events."""
    problem = pod_problem(pod)
    if problem.endswith(_NOT_READY):
        warning = _newest_warning(pod, events)
        return f"{problem}: {warning}" if warning else problem
    return problem


def pod_problem(pod: Object) -> str:
    """Return why a pod isn't running and ready; empty if it is, or has done its work."""
    phase = status(pod).get("phase", "Pending")
    if phase == "Succeeded":
        return ""
    troubles = pod_troubles(pod)
    if troubles:
        return troubles[0]
    return "" if is_true(pod, "Ready") else f"pod {_name(pod)} is {phase}{_NOT_READY}"


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
    has_sandbox = is_true(pod, "PodReadyToStartContainers")
    return metadata.get("uid") in failed and _node_of(pod) not in networkless and not has_sandbox


def _is_sandbox_failure(event: Object) -> bool:
    return event.get("reason") == _NO_SANDBOX


def _node_of(pod: Object) -> str:
    return str(pod.get("spec", {}).get("nodeName") or "")


def _is_ready(pod: Object) -> bool:
    return status(pod).get("phase") == "Succeeded" or is_true(pod, "Ready")


def _newest_warning(thing: Object, events: Iterable[Object]) -> str:
    """Return the newest warning about an object."""
    warnings = [
        event
        for event in events
        if event.get("involvedObject", {}).get("uid") == thing["metadata"].get("uid", "-")
    ]
    return str(max(warnings, key=_time).get("message", "")) if warnings else ""


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
