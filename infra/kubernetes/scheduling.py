"""From a cluster's objects to what the size of its pools is decided by (infra.lifecycle.scaling)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from infra.kubernetes.api import ClusterApi, NotFound, Object
from infra.kubernetes.client_library import load_client_library
from infra.kubernetes.local_volumes import LocalVolume, look_at_local_volumes
from infra.kubernetes.membership import CORDONED
from infra.kubernetes.readiness import condition
from infra.lifecycle.scaling.objects import (
    HOST,
    Node,
    Pod,
    Requirement,
    Spread,
    Taint,
    Term,
    Toleration,
    holds,
)

UNNEEDED: Final = "azlocal.io/unneeded-since"
"""The annotation of a node that no pod needs: since when."""
_EVICT: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict"
_KEEPS: Final = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
_MIRROR: Final = "kubernetes.io/config.mirror"
_RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")
_LABELS: Final = "matchLabels"


@dataclass(frozen=True)
class Scheduling:
    """What a cluster has, and how it is scheduled.

    Attributes:
        nodes: All nodes.
        pods: All pods that haven't ended.
        daemons: A pod of each DaemonSet.
        allowed: How many pods each disruption budget lets go, by NAMESPACE/NAME.
    """

    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    daemons: tuple[Pod, ...]
    allowed: Mapping[str, int]


def look_at_scheduling(api: ClusterApi) -> Scheduling:
    """Return what a cluster has.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    load_client_library()
    return scheduling_of(
        api.items("/api/v1/nodes"),
        api.items("/api/v1/pods"),
        api.items("/apis/apps/v1/daemonsets"),
        api.items("/apis/policy/v1/poddisruptionbudgets"),
        look_at_local_volumes(api),
    )


def note_unneeded(api: ClusterApi, nodes: Iterable[Node], since: Mapping[str, datetime | None]) -> None:
    """Note on nodes since when no pod needs them, so that whoever looks next goes on from there.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    for node in nodes:
        if node.name in since and since[node.name] != node.unneeded_since:
            moment = since[node.name]
            marks: Object = {"annotations": {UNNEEDED: moment.isoformat() if moment else None}}
            with suppress(NotFound):  # it left meanwhile
                api.merge(f"/api/v1/nodes/{node.name}", {"metadata": marks})


def mark_for_upstream(api: ClusterApi, ids: Mapping[str, str], last: Container[str]) -> None:
    """Have nodes carry what the upstream cluster-autoscaler goes by.

    Args:
        api: The cluster.
        ids: Machines' provider ids, by their names; a node that has one keeps it.
        last: The nodes that may go; upstream is to leave all others.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    for node in api.items("/api/v1/nodes"):
        name, spec = node["metadata"]["name"], node.get("spec") or {}
        if name not in ids:
            continue
        keeps = None if name in last else "true"
        change: Object = {}
        if (node["metadata"].get("annotations") or {}).get(_KEEPS) != keeps:
            change["metadata"] = {"annotations": {_KEEPS: keeps}}
        if not spec.get("providerID"):
            change["spec"] = {"providerID": ids[name]}
        if change:
            with suppress(NotFound):
                api.merge(f"/api/v1/nodes/{name}", change)


def scheduling_of(
    nodes: Iterable[Object],
    pods: Iterable[Object],
    daemon_sets: Iterable[Object],
    budgets: Iterable[Object],
    volumes: Iterable[LocalVolume] = (),
) -> Scheduling:
    """Return what these objects tell. Pure."""
    listed, local = [_Budget.of(budget) for budget in budgets], list(volumes)
    return Scheduling(
        tuple(_node(node, local) for node in nodes),
        tuple(
            _pod(pod, listed)
            for pod in pods
            if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        ),
        tuple(_daemon(daemon_set) for daemon_set in daemon_sets),
        {budget.name: budget.allowed for budget in listed},
    )


# -- nodes -----------------------------------------------------------------------------------------


def _node(node: Object, volumes: Iterable[LocalVolume]) -> Node:
    metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    ready = condition(node, "Ready")
    created = _moment(metadata.get("creationTimestamp"))
    unneeded = (metadata.get("annotations") or {}).get(UNNEEDED)
    taints = tuple(
        Taint(taint["key"], taint.get("value") or "", taint["effect"]) for taint in spec.get("taints") or []
    )
    return Node(
        name=metadata["name"],
        allocatable=_amounts(status.get("allocatable") or {}, (*_RESOURCES, "pods")),
        labels=metadata.get("labels") or {},
        taints=taints,
        ready=ready.get("status") == "True",
        cordoned=bool(spec.get("unschedulable")),
        leaving=bool(spec.get("unschedulable")) and CORDONED in (metadata.get("annotations") or {}),
        created=created,
        ready_since=_moment(ready.get("lastTransitionTime")) if ready else created,
        unneeded_since=_moment(unneeded) if unneeded else None,
        volumes=tuple(volume.name for volume in volumes if metadata["name"] in volume.nodes),
    )


# -- pods ------------------------------------------------------------------------------------------


def _pod(pod: Object, budgets: Iterable[_Budget]) -> Pod:
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    owners = [owner["kind"] for owner in metadata.get("ownerReferences") or [] if owner.get("controller")]
    read = Pod(
        namespace=metadata.get("namespace", ""),
        name=metadata.get("name") or metadata.get("generateName", ""),
        requests=requests_of(spec),
        labels=metadata.get("labels") or {},
        node=spec.get("nodeName") or "",
        terms=tuple(_terms(spec)),
        tolerations=tuple(_tolerations(spec)),
        apart=tuple(_apart(spec)),
        spread=tuple(_spread(spec)),
        unknown=next(_unknown(spec), ""),
        created=_moment(metadata.get("creationTimestamp")),
        unschedulable=_is_unschedulable(pod),
        owner="Node" if _MIRROR in annotations else next(iter(owners), ""),
        local_storage=next(_local_volumes(spec), ""),
        safe_to_evict={"true": True, "false": False}.get(annotations.get(_EVICT, "")),
    )
    return replace(read, budgets=tuple(budget.name for budget in budgets if budget.is_about(read)))


def _is_unschedulable(pod: Object) -> bool:
    """Tell whether the scheduler found no node; for one that it nominated, others are to leave."""
    scheduled = condition(pod, "PodScheduled")
    is_nominated = bool((pod.get("status") or {}).get("nominatedNodeName"))
    return scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable" and not is_nominated


def _daemon(daemon_set: Object) -> Pod:
    """Return a pod of a DaemonSet, as its controller makes it for each node."""
    template = daemon_set["spec"]["template"]
    metadata = {**(template.get("metadata") or {}), "namespace": daemon_set["metadata"].get("namespace", "")}
    pod = _pod({"metadata": metadata, "spec": template.get("spec") or {}}, ())
    # What the controller adds (k8s.io/kubernetes, pkg/controller/daemon/util, AddOrUpdateDaemonPodTolerations).
    added = tuple(
        Toleration(f"node.kubernetes.io/{key}", "Exists")
        for key in (
            "not-ready",
            "unreachable",
            "disk-pressure",
            "memory-pressure",
            "pid-pressure",
            "unschedulable",
        )
    )
    return replace(
        pod, name=daemon_set["metadata"]["name"], owner="DaemonSet", tolerations=(*pod.tolerations, *added)
    )


def requests_of(spec: Mapping[str, Any]) -> dict[str, int]:
    """Return what a pod asks for (k8s.io/component-helpers, resource.PodRequests); itself as one of `pods`."""
    running, most = Counter[str](), Counter[str]()
    for container in spec.get("initContainers") or []:
        own = _requests(container)
        if container.get("restartPolicy") == "Always":  # it runs beside those after it
            running.update(own)
            own = dict(running)
        else:
            own = {key: own.get(key, 0) + running[key] for key in _RESOURCES}
        most = Counter({key: max(most[key], own.get(key, 0)) for key in _RESOURCES})
    for container in spec.get("containers") or []:
        running.update(_requests(container))
    total = {key: max(running[key], most[key]) for key in _RESOURCES}
    total |= _amounts((spec.get("resources") or {}).get("requests") or {}, _RESOURCES)
    overhead = _amounts(spec.get("overhead") or {}, _RESOURCES)
    return {key: total[key] + overhead.get(key, 0) for key in _RESOURCES} | {"pods": 1000}


def _requests(container: Mapping[str, Any]) -> dict[str, int]:
    return _amounts((container.get("resources") or {}).get("requests") or {}, _RESOURCES)


def _amounts(quantities: Mapping[str, Any], names: Iterable[str]) -> dict[str, int]:
    """Return quantities as Kubernetes writes them, `250m` or `1Gi`, in thousandths."""
    from kubernetes.utils.quantity import parse_quantity

    parse: Any = parse_quantity  # has no types
    return {name: int(parse(quantities[name]) * 1000) for name in names if name in quantities}


def _terms(spec: Mapping[str, Any]) -> Iterator[Term]:
    """Yield the ways in which nodes may be labelled."""
    selector = tuple(Requirement(key, "In", (value,)) for key, value in (spec.get("nodeSelector") or {}).items())
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if affinity is None:
        if selector:
            yield selector
        return
    for term in affinity.get("nodeSelectorTerms") or []:
        names = tuple(  # of a node's fields there is only its name
            Requirement(HOST, field["operator"], tuple(field.get("values") or ()))
            for field in term.get("matchFields") or []
        )
        yield (*selector, *_expressions(term), *names)


def _expressions(selector: Mapping[str, Any]) -> Iterator[Requirement]:
    for expression in selector.get("matchExpressions") or []:
        yield Requirement(expression["key"], expression["operator"], tuple(expression.get("values") or ()))


def _selector(selector: Mapping[str, Any] | None) -> Term:
    """Return the requirements of a label selector; none selects nothing."""
    if selector is None:
        return (Requirement("", "In"),)
    labels = (Requirement(key, "In", (value,)) for key, value in (selector.get(_LABELS) or {}).items())
    return (*labels, *_expressions(selector))


def _tolerations(spec: Mapping[str, Any]) -> Iterator[Toleration]:
    for entry in spec.get("tolerations") or []:
        yield Toleration(
            entry.get("key") or "",
            entry.get("operator") or "Equal",
            entry.get("value") or "",
            entry.get("effect") or "",
        )


def _required(spec: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    affinity = (spec.get("affinity") or {}).get(kind) or {}
    terms: list[Mapping[str, Any]] = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or []
    return terms


def _is_plain(term: Mapping[str, Any]) -> bool:
    """Tell whether a term of affinity is about nodes and pods of the own namespace."""
    more = ("namespaces", "namespaceSelector", "matchLabelKeys", "mismatchLabelKeys")
    return term.get("topologyKey") == HOST and not any(term.get(key) for key in more)


def _apart(spec: Mapping[str, Any]) -> Iterator[Term]:
    for term in _required(spec, "podAntiAffinity"):
        if _is_plain(term):
            yield _selector(term.get("labelSelector"))


def _spread(spec: Mapping[str, Any]) -> Iterator[Spread]:
    for constraint in spec.get("topologySpreadConstraints") or []:
        if constraint.get("topologyKey") == HOST and constraint.get("whenUnsatisfiable") == "DoNotSchedule":
            yield Spread(_selector(constraint.get("labelSelector")), int(constraint.get("maxSkew", 1)))


def _unknown(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield what else decides where a pod can be."""
    for volume in spec.get("volumes") or []:
        if "persistentVolumeClaim" in volume or "ephemeral" in volume:
            yield f"has a volume, {volume['name']}, and those are on the disks of nodes"
    if spec.get("resourceClaims"):
        yield "has resource claims"
    if _required(spec, "podAffinity"):
        yield "has to be where certain pods are"
    if not all(_is_plain(term) for term in _required(spec, "podAntiAffinity")):
        yield "has to be apart from pods by more than nodes"
    for constraint in spec.get("topologySpreadConstraints") or []:
        if constraint.get("topologyKey") != HOST and constraint.get("whenUnsatisfiable") == "DoNotSchedule":
            yield "has to be spread by more than nodes"
    for container in (*(spec.get("containers") or []), *(spec.get("initContainers") or [])):
        for port in container.get("ports") or []:
            if port.get("hostPort"):
                yield f"has the port {port['hostPort']} of its node"


def _local_volumes(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield volumes that go with the node (cluster-autoscaler, utils/drain: HasLocalStorage)."""
    for volume in spec.get("volumes") or []:
        if "hostPath" in volume or ("emptyDir" in volume and (volume["emptyDir"] or {}).get("medium") != "Memory"):
            yield str(volume["name"])


@dataclass(frozen=True)
class _Budget:
    """A disruption budget."""

    name: str
    namespace: str
    selector: Term
    allowed: int

    @classmethod
    def of(cls, budget: Object) -> _Budget:
        metadata = budget["metadata"]
        return cls(
            f"{metadata['namespace']}/{metadata['name']}",
            metadata["namespace"],
            _selector((budget.get("spec") or {}).get("selector")),
            int((budget.get("status") or {}).get("disruptionsAllowed") or 0),
        )

    def is_about(self, pod: Pod) -> bool:
        return pod.namespace == self.namespace and holds(self.selector, pod.labels)


def _moment(text: str | None) -> datetime:
    """Return a moment as the API writes it; the first of all where it says none."""
    return datetime.fromisoformat(text) if text else datetime.min.replace(tzinfo=UTC)
