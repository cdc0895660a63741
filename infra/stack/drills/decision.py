"""What a drill breaks, and whether it may: decided from what stands. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from infra.counting import counted
from infra.errors import UserError
from infra.lifecycle.cluster import has_quorum
from infra.lifecycle.observed import Member
from infra.model.backup import Backup
from infra.model.node import NodeRole

Drill = Literal[
    "lose-control-plane", "lose-quorum", "lose-host", "cut-cable", "expire-certificates", "kill-api-server"
]
Rule = Literal[
    "which-cluster",
    "no-such-machine",
    "no-control-plane",
    "not-healthy",
    "no-lab",
    "others-on-host",
    "quorum-lost",
    "no-backup",
]

_OF_HOSTS: Final = frozenset({"lose-host", "cut-cable"})
_OF_PLANES: Final = frozenset({"lose-control-plane", "lose-quorum", "kill-api-server"})
_SURVIVES_A_LOSS: Final = 3
"""So many control planes at least: etcd needs more than half of its members."""
_LOSES: Final = frozenset({"lose-control-plane", "lose-host"})
_HEALED_ALONE: Final = frozenset({"expire-certificates", "lose-quorum"})
RESTORES: Final = frozenset({"lose-quorum"})
"""Drills that heal from a snapshot of etcd."""


class DrillRefused(UserError):
    """A drill isn't run; nothing was touched.

    Attributes:
        rule: Why not.
    """

    exit_code = 2

    def __init__(self, rule: Rule, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy} ({rule}). Nothing was touched")
        self.rule = rule


@dataclass(frozen=True)
class Node:
    """A machine of a cluster, as it was found by the mark of its stack.

    Attributes:
        name: The machine's, and its node's.
        cluster: The cluster's name.
        role: What it is in it.
        host: The host's name.
    """

    name: str
    cluster: str
    role: NodeRole
    host: str


@dataclass(frozen=True)
class Situation:
    """What stands before a drill.

    Attributes:
        stack: The stack's name.
        cluster: The name of the cluster that clients will use.
        nodes: The machines of all of the instance's clusters.
        holder: The control plane of that cluster that has its address.
        lacks: What that cluster lacks, a clause each; none where it is healthy.
        lab_hosts: The names of hosts that are a lab's.
        strangers: By host, machines there that this stack hasn't made.
        backup: The newest snapshot that the cluster can be restored from; None where there is none, or where the
            drill needs none.
    """

    stack: str
    cluster: str
    nodes: tuple[Node, ...]
    holder: str
    lacks: tuple[str, ...] = ()
    lab_hosts: frozenset[str] = frozenset()
    strangers: Mapping[str, tuple[str, ...]] | None = None
    backup: Backup | None = None

    @property
    def planes(self) -> list[Node]:
        """Return the control planes of the cluster."""
        return [node for node in self.nodes if node.cluster == self.cluster and node.role == "controlPlane"]

    def on(self, host: str) -> list[Node]:
        """Return the nodes on a host, of whichever cluster."""
        return [node for node in self.nodes if node.host == host]


@dataclass(frozen=True)
class Break:
    """What a drill breaks.

    Attributes:
        drill: Which drill.
        cluster: The cluster that clients use meanwhile.
        machines: Those that it is done to, or that are on the host that it is done to.
        host: The host that it is done to; empty where it is done to machines.
        does: What happens to them, a sentence without its full stop.
        heals: What brings them back, likewise.
        snapshot: What etcd is restored from, since `up` alone doesn't bring it back; empty where that does.
    """

    drill: Drill
    cluster: str
    machines: tuple[str, ...]
    host: str
    does: str
    heals: str
    snapshot: str = ""

    @property
    def silences(self) -> bool:
        """Return whether nodes can't report meanwhile: they count as Ready again once they have, afterwards."""
        return self.drill != "kill-api-server"

    @property
    def waits_for_up(self) -> bool:
        """Return whether the API comes back by what heals it alone, and never by itself."""
        return self.drill in _HEALED_ALONE


def choose_cluster(clusters: Iterable[str], wanted: str | None) -> str:
    """Return the cluster that clients will use.

    Args:
        clusters: The names of those that Kubernetes runs on.
        wanted: The name that the user gave, if any.

    Raises:
        DrillRefused: There is none of that name, or several and no name.
    """
    names = sorted(clusters)
    listed = ", ".join(names) or "none"
    if wanted is not None and wanted not in names:
        reason = f"Kubernetes runs on no cluster {wanted!r} of this stack"
        raise DrillRefused("which-cluster", reason, f"its clusters are: {listed}")
    if wanted is None and len(names) != 1:
        reason = f"the stack has {counted(len(names), 'cluster')} with Kubernetes ({listed})"
        raise DrillRefused("which-cluster", reason, "name one by --cluster" if names else "a drill needs one")
    return wanted or names[0]


def decide(drill: Drill, situation: Situation, machine: str | None = None) -> Break:
    """Return what a drill breaks.

    Args:
        drill: Which drill.
        situation: What stands.
        machine: The machine that the user named: for drills of hosts, the host that it is on is meant. None: the
            control plane that has the cluster's address, whose loss clients notice most.

    Raises:
        DrillRefused: It can't heal, or isn't to be done to that.
    """
    target = _target(drill, situation, machine)
    chosen = _break(drill, situation, target)
    for rule in _RULES:
        for refusal in rule(chosen, situation):
            raise refusal
    return chosen


def _target(drill: Drill, situation: Situation, machine: str | None) -> Node:
    name = machine or situation.holder
    of_cluster = [node for node in situation.nodes if node.cluster == situation.cluster]
    target = next((node for node in of_cluster if node.name == name), None)
    if target is None:
        names = ", ".join(node.name for node in of_cluster)
        reason = f"cluster {situation.cluster} has no machine {name} that this stack made and that stands"
        raise DrillRefused("no-such-machine", reason, f"its machines are: {names}")
    if drill in _OF_PLANES and target.role != "controlPlane":
        names = ", ".join(node.name for node in situation.planes)
        reason = f"{name} is a worker, and {drill} is done to a control plane"
        raise DrillRefused("no-control-plane", reason, f"name one of {names}")
    return target


def _break(drill: Drill, situation: Situation, target: Node) -> Break:
    machines: tuple[str, ...] = (target.name,)
    host = target.host if drill in _OF_HOSTS else ""
    if drill in _OF_HOSTS:
        machines = tuple(node.name for node in situation.on(host))
    elif drill == "expire-certificates":
        machines = tuple(node.name for node in situation.planes)
    elif drill == "lose-quorum":
        machines = _most(situation.planes, target)
    snapshot = situation.backup.name if drill in RESTORES and situation.backup else ""
    listed = ", ".join(machines)
    up = f"`azlocal up {situation.stack}`"
    does, heals = {
        "lose-control-plane": (
            f"{listed} is destroyed with its disk, as when its host's disk dies",
            f"{up} removes what it left in etcd and among the nodes, and has it join again",
        ),
        "lose-quorum": (
            f"of {counted(len(situation.planes), 'control plane')}, {listed} and the disks are destroyed: etcd "
            "has no quorum then",
            f"{up} names the restore; `azlocal restore {situation.stack} {situation.cluster} {snapshot}` brings "
            f"etcd back as it was then, and what was written since is gone from it; {up} makes the machines again",
        ),
        "kill-api-server": (
            f"the API server on {listed} is killed",
            f"another control plane takes the cluster's address, where there is one, and kubelet starts the API "
            f"server again; {up} finds nothing to do",
        ),
        "expire-certificates": (
            f"{listed} serve certificates that have ended: etcd's members refuse each other, and no API server "
            "comes back alone",
            f"{up} renews them",
        ),
        "lose-host": (
            f"the power of {host} is cut, with {listed} on it",
            f"{up} switches {host} on again, and brings back what of it doesn't come by itself",
        ),
        "cut-cable": (
            f"the network cable of {host} is pulled, with {listed} on it",
            f"{up} plugs the cable in again, and brings back what of it doesn't come by itself",
        ),
    }[drill]
    return Break(drill, situation.cluster, machines, host, does, heals, snapshot)


def _most(planes: Sequence[Node], first: Node) -> tuple[str, ...]:
    """Return so many control planes as etcd can't do without, that one first."""
    names = [first.name, *(plane.name for plane in planes if plane != first)]
    return tuple(names[: len(names) // 2 + 1])


# -- rules ----------------------------------------------------------------------------------------


def _is_healthy(chosen: Break, situation: Situation) -> Iterator[DrillRefused]:
    """Two troubles at once may be more than a cluster survives, and what is measured would be of both."""
    if situation.lacks:
        more = f" (and {len(situation.lacks) - 1} more)" if len(situation.lacks) > 1 else ""
        reason = f"cluster {chosen.cluster} isn't healthy before the drill: {situation.lacks[0]}{more}"
        remedy = f"`azlocal refresh {situation.stack}`, then `azlocal up {situation.stack}`"
        yield DrillRefused("not-healthy", reason, remedy)


def _is_of_a_lab(chosen: Break, situation: Situation) -> Iterator[DrillRefused]:
    """Only of a lab's hosts azlocal made power and cable."""
    if chosen.host and chosen.host not in situation.lab_hosts:
        yield DrillRefused(
            "no-lab",
            f"{chosen.host} is no host of a lab on this machine, and power and cable of others aren't azlocal's",
            "`make lab N=4` makes one; on real hosts, pull the plug yourself and see `azlocal up` heal it",
        )


def _is_ours_alone(chosen: Break, situation: Situation) -> Iterator[DrillRefused]:
    """What azlocal, or this stack of it, hasn't made isn't broken."""
    others = (situation.strangers or {}).get(chosen.host, ())
    if others:
        yield DrillRefused(
            "others-on-host",
            f"on {chosen.host} run machines that stack {situation.stack} hasn't made: {', '.join(others)}",
            "move or stop them, or name a machine on another host",
        )


def _keeps_quorum(chosen: Break, situation: Situation) -> Iterator[DrillRefused]:
    """Where most of etcd's members are lost, `up` changes nothing (rule quorum-lost of a cluster's life)."""
    if chosen.drill not in _LOSES:
        return
    for cluster in sorted({node.cluster for node in situation.nodes}):
        planes = [node for node in situation.nodes if node.cluster == cluster and node.role == "controlPlane"]
        lost = [node.name for node in planes if node.name in chosen.machines]
        if lost and not has_quorum(_members(planes, lost)):
            yield DrillRefused(
                "quorum-lost",
                f"cluster {cluster} has {counted(len(planes), 'control plane')}, and etcd would have no quorum "
                f"without {', '.join(lost)}: nothing that `up` does would bring it back",
                _remedy(chosen, len(planes)),
            )


def _can_be_restored(chosen: Break, situation: Situation) -> Iterator[DrillRefused]:
    """What no `up` brings back has to come from a snapshot."""
    if chosen.drill in RESTORES and situation.backup is None:
        yield DrillRefused(
            "no-backup",
            f"no snapshot of cluster {chosen.cluster} is kept that fits it, and this drill restores one",
            f"`azlocal backup {situation.stack}` takes one",
        )


def _members(planes: Sequence[Node], lost: Sequence[str]) -> list[Member]:
    return [Member(number, plane.name, healthy=plane.name not in lost) for number, plane in enumerate(planes)]


def _remedy(chosen: Break, planes: int) -> str:
    if planes < _SURVIVES_A_LOSS:
        more = " on as many hosts" if chosen.host else ""
        return f"write controlPlane.count: {_SURVIVES_A_LOSS}{more}, `azlocal up`, and drill that"
    return "name a machine on another host, or spread the control planes by azlocal:placement"


_RULES: Final[tuple[Callable[[Break, Situation], Iterator[DrillRefused]], ...]] = (
    _is_of_a_lab,
    _is_ours_alone,
    _keeps_quorum,
    _can_be_restored,
    _is_healthy,
)
