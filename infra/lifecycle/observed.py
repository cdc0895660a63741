"""What is seen of a cluster at one moment: machines, nodes, etcd. Pure; what nobody tells is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from infra.lifecycle.wanted import Build
from infra.model.node import NodeRole

Certificates = Literal["valid", "due", "ended"]
"""Of a control plane: `due` within the time in which they are renewed."""


@dataclass(frozen=True)
class Machine:
    """A machine that the cluster has, or had and nobody has forgotten.

    Attributes:
        role: Control plane or worker.
        build: What it was made from.
        stands: Whether domain and disk are on their host.
        runs: Whether it is switched on.
        booted: Whether its first boot has made it a node: it will not join by itself again.
        marked: Whether a user wants it replaced, as `pulumi up --replace` does.
        pool: A worker's pool.
        certificates: A control plane's.
    """

    role: NodeRole
    build: Build
    stands: bool = True
    runs: bool = True
    booted: bool = False
    marked: bool = False
    pool: str = ""
    certificates: Certificates = "valid"


@dataclass(frozen=True)
class Node:
    """A Node object.

    Attributes:
        ready: What its kubelet said since its machine was last started; None where it has said nothing.
        components: Of a control plane: whether API server, controller manager, scheduler and etcd pod are Ready.
        cordoned: By azlocal; what a user cordons is the user's.
        drained: No pod is left that could run elsewhere, or would stay for long on a node that says nothing.
        joining: It takes no pods since it joined, or no services are announced from it.
        may_come_in: The next of the two can be now: packets find their way there.
    """

    ready: bool | None
    components: bool | None = True
    cordoned: bool = False
    drained: bool = False
    joining: bool = False
    may_come_in: bool = False


@dataclass(frozen=True)
class Member:
    """A member of etcd, as etcd's own list has it.

    Attributes:
        id: etcd's.
        machine: Whose peer address it has; empty where no machine of the cluster has that.
        learner: Without a vote.
        healthy: Has started, answers, and has no alarm; None where that isn't known.
        leader: Of the cluster's etcd.
    """

    id: int
    machine: str
    learner: bool = False
    healthy: bool | None = True
    leader: bool = False


@dataclass(frozen=True)
class Observed:
    """A cluster at one moment.

    Attributes:
        founded: Whether it ever answered: then its data is somewhere, and nobody founds it again.
        machines: By name.
        nodes: By name; None where no API server answers.
        members: Of etcd; None where no member of it answers.
        agreed: Whether a quorum agreed to that list; else it is what a member remembers.
        configured: The version in kubeadm's ConfigMap; empty where it isn't known.
        add_ons: The version of kube-proxy and CoreDNS; empty where it isn't known.
        images: Node images that every host has.
    """

    founded: bool
    machines: Mapping[str, Machine] = field(default_factory=dict)
    nodes: Mapping[str, Node] | None = None
    members: tuple[Member, ...] | None = None
    agreed: bool = True
    configured: str = ""
    add_ons: str = ""
    images: frozenset[str] = frozenset()
