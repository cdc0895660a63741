"""Whether a cluster can carry agents, from its objects. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from infra.arc.charts import minor_of
from infra.arc.model import Onboarding, Problem
from infra.counting import counted
from infra.kubernetes.client_library import load_client_library

Object = Mapping[str, Any]

NEEDED_BYTES: Final = 850 * 1000**2  # for all agents (system-requirements.md)
_MB: Final = 1000**2
_SUPPORTED: Final = ("amd64", "arm64")
_NEWEST_KUBERNETES: Final = (1, 36)  # in August 2026; Azure supports the two minor versions before, too
_SUPPORTED_BACK: Final = 2
_SKEW: Final = datetime.timedelta(minutes=5)  # what tokens are forgiven


@dataclass(frozen=True)
class ClusterFacts:
    """What a cluster shows.

    Attributes:
        version: Of Kubernetes.
        is_admin: Whether the kubeconfig's user may make cluster role bindings, as the agents' chart does.
        nodes, pods: All of them.
        leases: Of the nodes' heartbeats, whose time is the node's own.
        now: By the clock that counts: Azure's.
    """

    version: str
    is_admin: bool
    nodes: Sequence[Object]
    pods: Sequence[Object] = ()
    leases: Sequence[Object] = ()
    now: datetime.datetime | None = None
    user: str = field(default="this kubeconfig's user")


def cluster_problems(facts: ClusterFacts, wanted: Onboarding) -> list[Problem]:
    """Return what keeps agents from running there."""
    return [*_rights(facts), *_nodes(facts, wanted), *_memory(facts), *_version(facts), *_clocks(facts)]


def _rights(facts: ClusterFacts) -> Iterator[Problem]:
    if not facts.is_admin:
        yield Problem(
            "cluster-admin",
            f"{facts.user} may not create clusterrolebindings",
            "use a kubeconfig of an administrator (cluster-admin)",
        )


def _nodes(facts: ClusterFacts, wanted: Onboarding) -> Iterator[Problem]:
    architectures = {_label(node, "kubernetes.io/arch") for node in _linux(facts)}
    if not architectures & set(_SUPPORTED):
        kinds = {
            f"{_label(node, 'kubernetes.io/os')}/{_label(node, 'kubernetes.io/arch')}" for node in facts.nodes
        }
        present = ", ".join(sorted(kinds)) or "none"
        yield Problem(
            "no-node",
            f"agents need a node of linux/amd64 or linux/arm64; the cluster's nodes: {present}",
            "add such a node",
        )
    elif architectures == {"arm64"} and wanted.features.azure_rbac.enabled:
        yield Problem(
            "rbac-arm64",
            "Azure RBAC isn't there for arm64, and all nodes are",
            "switch Azure RBAC off, or add a node",
        )


def _memory(facts: ClusterFacts) -> Iterator[Problem]:
    """Say that agents will stay Pending; the scheduler counts requests, so that is what counts here."""
    free = [_free(node, facts.pods) for node in _linux(facts) if not node.get("spec", {}).get("unschedulable")]
    total = sum(amount for amount in free if amount > 0)
    if free and total < NEEDED_BYTES:
        yield Problem(
            "memory",
            f"pods may ask for {total // _MB} MB more on this cluster; all agents together need about "
            f"{NEEDED_BYTES // _MB} MB",
            "free memory or add a node, else agents stay Pending",
            "warning",
        )


def _version(facts: ClusterFacts) -> Iterator[Problem]:
    version = minor_of(facts.version)
    oldest = (_NEWEST_KUBERNETES[0], _NEWEST_KUBERNETES[1] - _SUPPORTED_BACK)
    if version is not None and version < oldest:
        yield Problem(
            "kubernetes-version",
            f"Kubernetes {facts.version} is older than Azure Arc supports ({oldest[0]}.{oldest[1]} and newer)",
            "upgrade the cluster",
            "warning",
        )


def _clocks(facts: ClusterFacts) -> Iterator[Problem]:
    for lease in facts.leases:
        renewed = lease.get("spec", {}).get("renewTime")
        if not renewed or facts.now is None or not _is_ready(facts, lease["metadata"]["name"]):
            continue
        ahead = datetime.datetime.fromisoformat(str(renewed)) - facts.now
        if abs(ahead) > _SKEW:
            name, minutes = lease["metadata"]["name"], round(ahead.total_seconds() / 60)
            yield Problem(
                "node-clock",
                f"the clock of node {name} is {counted(abs(minutes), 'minute')} "
                f"{'ahead' if minutes > 0 else 'behind'}: Azure will give its agents no identity",
                "let the node keep time (NTP)",
            )


def _linux(facts: ClusterFacts) -> list[Object]:
    return [
        node
        for node in facts.nodes
        if _label(node, "kubernetes.io/os") == "linux" and _label(node, "kubernetes.io/arch") in _SUPPORTED
    ]


def _label(node: Object, name: str) -> str:
    return str(node["metadata"].get("labels", {}).get(name, "?"))


def _free(node: Object, pods: Sequence[Object]) -> int:
    requested = sum(
        _bytes((container.get("resources") or {}).get("requests", {}).get("memory", "0"))
        for pod in pods
        if pod.get("spec", {}).get("nodeName") == node["metadata"]["name"]
        and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        for container in pod["spec"].get("containers", [])
    )
    return _bytes(node.get("status", {}).get("allocatable", {}).get("memory", "0")) - requested


def _bytes(quantity: str) -> int:
    load_client_library()
    from kubernetes.utils.quantity import parse_quantity

    parse: Any = parse_quantity  # has no types
    size: Decimal = parse(quantity)
    return int(size)


def _is_ready(facts: ClusterFacts, name: str) -> bool:
    conditions = [
        condition
        for node in facts.nodes
        if node["metadata"]["name"] == name
        for condition in node.get("status", {}).get("conditions", [])
    ]
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
