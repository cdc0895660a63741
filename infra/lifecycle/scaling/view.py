"""What the size of pools is decided by, and what comes of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from infra.lifecycle.scaling.objects import Node, Pod

Expander = Literal["least-waste", "most-pods"]


@dataclass(frozen=True)
class Profile:
    """How eagerly pools grow and shrink: AKS's `autoScalerProfile`, as far as it is acted on.

    Attributes:
        expander: Of several pools that could grow, the one that leaves the least of its nodes unused, or the one
            that takes the most pods.
        new_pod_delay: A pod that is younger doesn't count yet.
        delay_after_add: As long after a node came, none is removed.
        unneeded_time: How long a node has to be needed by no pod before it is removed.
        utilization_threshold: A node whose pods ask for this part of it, or more, stays.
        skips_local_storage: A pod with a volume of its own on the node keeps the node.
        skips_system_pods: A pod in kube-system keeps the node, unless a disruption budget is about it.
        ignores_daemonsets: Pods of DaemonSets don't count as use.
        loses_volumes: Volumes on its disk don't keep a node.
    """

    expander: Expander = "least-waste"
    new_pod_delay: timedelta = timedelta(0)
    delay_after_add: timedelta = timedelta(minutes=10)
    unneeded_time: timedelta = timedelta(minutes=10)
    utilization_threshold: float = 0.5
    skips_local_storage: bool = True
    skips_system_pods: bool = True
    ignores_daemonsets: bool = False
    loses_volumes: bool = False


@dataclass(frozen=True)
class Pool:
    """A pool that scales.

    Attributes:
        name: Its name.
        machines: Its machines' names, by their numbers, as many as it may have.
        size: How many it has, or is about to have.
        least: The fewest nodes.
        most: The most nodes.
        template: A node of it, as its machines' size promises; what stands says it better.
    """

    name: str
    machines: tuple[str, ...]
    size: int
    least: int
    most: int
    template: Node


@dataclass(frozen=True)
class View:
    """A cluster at one time.

    Attributes:
        now: When.
        pools: Those that scale.
        nodes: All nodes.
        pods: All pods that haven't ended.
        daemons: A pod of each DaemonSet, as a new node would get it where it can be there.
        allowed: How many pods each disruption budget lets go, by its name.
    """

    now: datetime
    pools: tuple[Pool, ...]
    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...] = ()
    daemons: tuple[Pod, ...] = ()
    allowed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """Another size for a pool, or the same one again, where a node of it isn't there.

    Attributes:
        pool: The pool.
        before: Its size.
        size: The size to come.
        reason: Why.
    """

    pool: str
    before: int
    size: int
    reason: str
