"""From a cluster as it is wanted and seen to what is done next. Pure, and without memory.

What was begun is known by what is seen, so a run that was killed anywhere goes on. The order is Cluster API's
(`kubeadmcontrolplane_controller.go`, reconcile): etcd's members are cleared of what is gone, what was begun is
ended, what is broken is replaced, then come versions and counts; workers come after a control plane that is sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from infra.lifecycle.builds import Builds
from infra.lifecycle.cluster import Cluster
from infra.lifecycle.observed import Observed
from infra.lifecycle.planes import Planes, create, wait
from infra.lifecycle.rules import Refusal, last_control_plane, quorum_lost, refusals
from infra.lifecycle.steps import (
    DeleteNode,
    DestroyMachine,
    FoundCluster,
    RenewCertificates,
    StartMachine,
    Step,
    Uncordon,
)
from infra.lifecycle.wanted import Wanted
from infra.lifecycle.workers import Workers

NO_QUORUM: Final = "etcd has no quorum"
"""Why the cluster is waited for where nothing can be decided in it."""


@dataclass(frozen=True)
class Decision:
    """What is done now; neither steps nor refusals means that nothing is left to do.

    Attributes:
        steps: What may be done at the same time. Then the cluster is looked at again.
        refusals: Why nothing is done.
    """

    steps: tuple[Step, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def is_done(self) -> bool:
        """Return whether the cluster is as it is wanted."""
        return not self.steps and not self.refusals


def decide(wanted: Wanted, observed: Observed) -> Decision:
    """Return the next steps."""
    cluster = Cluster(wanted, observed)
    if refused := refusals(cluster):
        return Decision(refusals=refused)
    if not observed.founded:
        return Decision(tuple(_begin(cluster)))
    if not cluster.decides:
        return Decision(tuple(_revive(cluster)))
    if observed.nodes is None:
        return Decision((wait(cluster, "etcd decides", "no API server answers"),))
    builds = Builds(cluster)
    planes, workers = Planes(cluster, builds), Workers(cluster, builds)
    stages: tuple[Callable[[], Iterator[Step]], ...] = (
        lambda: _start(cluster),
        planes.renew_ended,
        planes.clear_members,
        lambda: _clear_nodes(cluster),
        planes.finish_leaving,
        planes.replace_broken,
        planes.go_back,
        workers.let_in,
        lambda: workers.free_spare() if planes.needs_spare() else iter(()),
        planes.complete,
        planes.renew,
        planes.roll,
        planes.finish_upgrade,
        planes.give_up,
        lambda: planes.gated("", workers.steps()),
        lambda: _settle(cluster),
    )
    return Decision(next((steps for stage in stages if (steps := tuple(stage()))), ()))


def leave(wanted: Wanted, observed: Observed, name: str, reason: str) -> Decision:
    """Return the next step by which a node leaves its cluster; `DestroyMachine` when it has left.

    For whoever has to remove this machine now. A worker that is wanted, and so comes back, leaves while all others
    are Ready; of those that aren't wanted, several leave at the same time. A machine that is gone already leaves,
    too: what is left of it is removed.

    Args:
        wanted: The cluster as it is to be.
        observed: The cluster as it is, with the machine.
        name: The machine's.
        reason: Why it leaves, a clause.
    """
    cluster = Cluster(wanted, observed)
    if refused := (*last_control_plane(cluster), *quorum_lost(cluster)):
        return Decision(refusals=refused)
    if not cluster.decides:
        return Decision(tuple(_revive(cluster)))
    if observed.nodes is None:
        return Decision((wait(cluster, f"{name} is to leave", "no API server answers"),))
    builds = Builds(cluster)
    if observed.machines[name].role == "controlPlane":
        planes = Planes(cluster, builds)
        freed = tuple(Workers(cluster, builds).free_spare()) if planes.brings_spare(name) else ()
        return Decision(freed or tuple(planes.leave(name, reason)))
    if wanted.node(name) is not None and (first := tuple(_first_planes(cluster, builds))):
        return Decision(first)
    return Decision((Workers(cluster, builds).leave_in_turn(name, reason),))


def settle(wanted: Wanted, observed: Observed) -> Decision:
    """Return the next step by which a rolling change ends, all of whose machines were replaced.

    kube-proxy and CoreDNS come to the control planes' version; then the spare leaves.
    """
    cluster = Cluster(wanted, observed)
    if refused := refusals(cluster):
        return Decision(refusals=refused)
    if not cluster.decides or observed.nodes is None:
        return Decision((wait(cluster, NO_QUORUM, "too few of its members are known to be healthy"),))
    planes, workers = Planes(cluster, builds := Builds(cluster)), Workers(cluster, builds)
    if first := (*planes.go_back(), *_first_planes(cluster, builds)):
        return Decision(first)
    if wanted.spare in cluster.standing("worker"):
        lacks = tuple(text for node in wanted.workers for text in cluster.worker_lacks(node.name))
        first = (*workers.let_in(), *((wait(cluster, "the spare is to leave", *lacks),) if lacks else ()))
        return Decision(first[:1] or (workers.leave(wanted.spare, "the rolling change is over"),))
    return Decision()


def begin_worker(wanted: Wanted, observed: Observed) -> Decision:
    """Return the next step before a worker of the wanted version may be made; none where it may."""
    cluster = Cluster(wanted, observed)
    return Decision(tuple(_first_planes(cluster, Builds(cluster))))


def _first_planes(cluster: Cluster, builds: Builds) -> Iterator[Step]:
    """Yield what comes before any worker is replaced: all control planes, then kube-proxy and CoreDNS.

    Cluster API: `machineset_preflight.go`, controlPlaneStablePreflightCheck.
    """
    spare = cluster.wanted.spare
    has_new_version = cluster.observed.add_ons in ("", cluster.wanted.planes[0].build.version)  # they come last
    machines = {plane: cluster.machine(plane.name) for plane in cluster.wanted.planes}
    # One that is missing while no version changes may be a new one, which joins when all machines are there.
    old = [
        f"{plane.name} is still to come back from {plane.build}"
        for plane, machine in machines.items()
        if (machine is not None and (machine.marked or machine.build != plane.build))
        or (not has_new_version and (machine is None or plane.name not in cluster.voters()))
    ]
    planes = Planes(cluster, builds)
    if old:
        yield wait(cluster, "control planes come first", *old)
    elif steps := tuple(planes.finish_upgrade()):
        yield from steps
    elif spare in cluster.planes or cluster.member(spare) is not None:
        if planes.needs_spare():
            yield wait(cluster, "control planes come first", f"{spare} holds the data of one that isn't back yet")
        else:
            yield from planes.leave(spare, "all control planes are back")


def _begin(cluster: Cluster) -> Iterator[Step]:
    machines = {node.name: cluster.machine(node.name) for node in cluster.wanted.nodes}
    missing = [node for node in cluster.wanted.nodes if machines[node.name] is None]
    others = [n for n in cluster.wanted.nodes if (machine := machines[n.name]) and machine.build != n.build]
    if others:
        for node in others:
            yield DestroyMachine(
                target=node.name, reason=f"it comes back from {node.build}, before it holds anything"
            )
    elif missing:
        yield from create(cluster, missing, "the cluster is new")
    elif cluster.wanted.planes:
        yield FoundCluster(target=cluster.wanted.planes[0].name, reason="the cluster is new")


def _revive(cluster: Cluster) -> Iterator[Step]:
    """Bring back what etcd needs: machines that are off; certificates that have ended, all at once.

    Where certificates have ended, members refuse each other, and none of them comes back alone.
    """
    off = [name for name, machine in cluster.planes.items() if not machine.runs]
    ended = [name for name, machine in cluster.planes.items() if machine.certificates == "ended"]
    for name in off:
        yield StartMachine(target=name, reason="etcd has no quorum without it")
    for name in ended if not off else ():
        yield RenewCertificates(target=name, reason="they have ended, and etcd has no quorum")
    if not off and not ended:
        yield wait(cluster, NO_QUORUM, "too few of etcd's members are known to be healthy")


def _start(cluster: Cluster) -> Iterator[Step]:
    """Start what is off, unless it has left: a control plane without a member, a node that isn't wanted."""
    stays = {*(node.name for node in cluster.wanted.nodes), cluster.wanted.spare}
    for name, machine in cluster.observed.machines.items():
        has_not_left = not machine.booted or (machine.role == "worker" and name in cluster.nodes)
        is_needed = cluster.member(name) is not None or (name in stays and has_not_left)
        if machine.stands and not machine.runs and is_needed:
            yield StartMachine(target=name, reason="it is switched off")


def _clear_nodes(cluster: Cluster) -> Iterator[Step]:
    """Delete Node objects whose machines are gone; a node that somebody else joined stays."""
    ours = {*cluster.observed.machines, *(node.name for node in cluster.wanted.nodes), cluster.wanted.spare}
    for name in cluster.nodes:
        if cluster.machine(name) is None and name in ours:
            yield DeleteNode(target=name, reason="its machine is gone")


def _settle(cluster: Cluster) -> Iterator[Step]:
    """Take back cordons of ours, and wait until everything is healthy."""
    wanted = cluster.wanted.nodes
    cordoned = [node.name for node in wanted if node.name in cluster.nodes and cluster.nodes[node.name].cordoned]
    for name in cordoned:
        yield Uncordon(target=name, reason="it stays")
    lacks = [text for node in cluster.wanted.workers for text in cluster.worker_lacks(node.name)]
    if lacks and not cordoned:
        yield wait(cluster, "all workers are to be Ready", *lacks)
