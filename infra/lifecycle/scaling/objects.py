"""Pods and nodes, as far as it counts for whether a pod can be on a node. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

Amounts = Mapping[str, int]
"""How much of each resource, in thousandths: of a core, of a byte, of a pod."""

HOST: Final = "kubernetes.io/hostname"
"""The label of a node that no other node has."""

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Requirement:
    """What a label has to be: of a node selector, a node affinity, or a label selector.

    Attributes:
        key: The label.
        operator: In, NotIn, Exists, DoesNotExist, Gt or Lt.
        values: With which.
    """

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels are so (k8s.io/apimachinery, pkg/labels, Requirement.Matches)."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "Gt" | "Lt":
                return self._compares(value)
        return False

    def _compares(self, value: str | None) -> bool:
        try:
            number, bound = int(value or ""), int(self.values[0])
        except (ValueError, IndexError):
            return False
        return number > bound if self.operator == "Gt" else number < bound


Term = tuple[Requirement, ...]
"""Requirements that hold together."""


def holds(term: Term, labels: Mapping[str, str]) -> bool:
    """Tell whether all requirements hold; of none, they do."""
    return all(requirement.holds(labels) for requirement in term)


@dataclass(frozen=True)
class Taint:
    """What keeps pods off a node that don't tolerate it."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


@dataclass(frozen=True)
class Toleration:
    """Which taints a pod tolerates; an empty key or effect: all."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""

    def covers(self, taint: Taint) -> bool:
        """Tell whether it is about a taint (k8s.io/api/core/v1, Toleration.ToleratesTaint)."""
        if self.effect not in ("", taint.effect) or self.key not in ("", taint.key):
            return False
        return self.operator == "Exists" or (bool(self.key) and self.value == taint.value)


@dataclass(frozen=True)
class Spread:
    """A topology spread constraint over nodes: how many pods more a node may have than the one with the fewest."""

    selector: Term
    max_skew: int


@dataclass(frozen=True)
class Pod:
    """A pod.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        requests: What it asks for, itself as one of `pods` included.
        labels: Its labels.
        node: The node it is bound to; empty where it isn't yet.
        terms: Labels of nodes that it can be on, in one of several ways; empty: any.
        tolerations: Which taints it tolerates.
        apart: Of which pods in its namespace none may be on its node.
        spread: How evenly it has to be over nodes.
        unknown: What else decides where it can be, which nothing here knows: it counts as bound to its node.
        created: When it was made.
        unschedulable: The scheduler found no node for it.
        owner: The kind of its controller; empty where it has none.
        local_storage: A volume of its own that its node holds.
        safe_to_evict: What its annotation says of that.
        budgets: Names of the disruption budgets that it counts for.
    """

    namespace: str
    name: str
    requests: Amounts
    labels: Mapping[str, str] = field(default_factory=dict)
    node: str = ""
    terms: tuple[Term, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    apart: tuple[Term, ...] = ()
    spread: tuple[Spread, ...] = ()
    unknown: str = ""
    created: datetime = _NEVER
    unschedulable: bool = False
    owner: str = ""
    local_storage: str = ""
    safe_to_evict: bool | None = None
    budgets: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def stays_with_node(self) -> bool:
        """Tell whether it belongs to its node, and goes with it: a DaemonSet's, or one of kubelet's own."""
        return self.owner in ("DaemonSet", "Node")

    def is_selected(self, node: Mapping[str, str]) -> bool:
        """Tell whether a node has labels that it can be on."""
        return not self.terms or any(holds(term, node) for term in self.terms)

    def tolerates(self, taint: Taint) -> bool:
        """Tell whether a taint doesn't keep it off."""
        return taint.effect == "PreferNoSchedule" or any(
            toleration.covers(taint) for toleration in self.tolerations
        )


@dataclass(frozen=True)
class Node:
    """A node.

    Attributes:
        name: Its name.
        allocatable: What its pods can have together.
        labels: Its labels.
        taints: Its taints.
        ready: Its kubelet says that it is.
        cordoned: Nothing is scheduled on it.
        leaving: azlocal cordoned it, and a run that would have removed it failed.
        created: When it joined.
        ready_since: Since when it says what it says.
        unneeded_since: Since when it could be removed, as was noted on it; None where it is needed.
        volumes: Volumes on its disk, which go with it, whether a pod has them or not.
    """

    name: str
    allocatable: Amounts
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    ready: bool = True
    cordoned: bool = False
    leaving: bool = False
    created: datetime = _NEVER
    ready_since: datetime = _NEVER
    unneeded_since: datetime | None = None
    volumes: tuple[str, ...] = ()

    @property
    def takes_pods(self) -> bool:
        """Tell whether pods are scheduled on it."""
        return self.ready and not self.cordoned
