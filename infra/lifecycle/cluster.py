"""What follows from a cluster as it is seen: who is healthy, what has quorum, what may go. Pure.

The conditions are Cluster API's (`controlplane/kubeadm/reconcilers/kubeadmcontrolplane/preflight.go`,
`controlplane/kubeadm/pkg/workload_cluster_conditions.go`): what isn't known counts as not healthy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from infra.lifecycle.observed import Machine, Member, Node, Observed
from infra.lifecycle.wanted import Wanted


def has_quorum(members: Iterable[Member]) -> bool:
    """Return whether these members decide: more than half of those with a vote are healthy."""
    votes = [member.healthy is True for member in members if not member.learner]
    return sum(votes) >= len(votes) // 2 + 1


@dataclass(frozen=True)
class Cluster:
    """A cluster as it is wanted, and as it is seen."""

    wanted: Wanted
    observed: Observed

    @property
    def members(self) -> tuple[Member, ...]:
        """Return etcd's members, none where nobody tells."""
        return self.observed.members or ()

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Return the Node objects, none where nobody tells."""
        return self.observed.nodes or {}

    def machine(self, name: str) -> Machine | None:
        """Return a machine that stands, None where none of that name does."""
        machine = self.observed.machines.get(name)
        return machine if machine is not None and machine.stands else None

    def standing(self, role: str) -> dict[str, Machine]:
        """Return the machines of a role that stand, by name."""
        machines = self.observed.machines.items()
        return {name: machine for name, machine in machines if machine.stands and machine.role == role}

    @property
    def planes(self) -> dict[str, Machine]:
        """Return the control planes that stand, by name."""
        return self.standing("controlPlane")

    def member(self, name: str) -> Member | None:
        """Return a machine's member of etcd."""
        return next((member for member in self.members if member.machine == name), None)

    def voters(self) -> list[str]:
        """Return the machines whose members have a vote."""
        return [member.machine for member in self.members if not member.learner]

    @property
    def decides(self) -> bool:
        """Return whether etcd has a quorum, and has said so by answering for its list.

        Cluster API: `controlplane/kubeadm/pkg/etcd/etcd.go`, Members: the list goes through consensus.
        """
        return self.observed.members is not None and self.observed.agreed and has_quorum(self.members)

    # -- health -------------------------------------------------------------------------------------

    def plane_lacks(self, name: str) -> Iterator[str]:
        """Say what a control plane lacks.

        Cluster API: `preflight.go`, checkHealthiness: a node, its API server, controller manager, scheduler and
        etcd pod, and an etcd member that has a vote, answers and has no alarm.
        """
        machine, node, member = self.machine(name), self.nodes.get(name), self.member(name)
        if machine is None:
            yield f"{name} has no machine"
            return
        if not machine.runs:
            yield f"{name} is switched off"
        if node is None:
            yield f"{name} has no Node object" if self.observed.nodes is not None else "no API server answers"
        else:
            yield from _not_ready(name, node)
            if node.components is not True:
                yield f"not every component of the control plane on {name} is known to be Ready"
        if member is None:
            yield f"{name} is no member of etcd"
        elif member.learner:
            yield f"{name} has no vote in etcd yet"
        elif member.healthy is not True:
            yield f"etcd's member on {name} isn't known to be healthy"

    def worker_lacks(self, name: str) -> Iterator[str]:
        """Say what a worker lacks."""
        machine, node = self.machine(name), self.nodes.get(name)
        if machine is None:
            yield f"{name} has no machine"
        elif node is None:
            yield f"{name} has not joined"
        elif node.cordoned:
            yield f"{name} is being drained"
        else:
            yield from _not_ready(name, node)
            if node.joining:
                yield f"{name} has joined, and doesn't take pods and services yet"

    def is_sound(self, name: str) -> bool:
        """Return whether a control plane lacks nothing."""
        return not any(self.plane_lacks(name))

    def others_lack(self, name: str) -> tuple[str, ...]:
        """Say what control planes but this one lack: those that stand, and those that are wanted.

        Cluster API: `preflight.go`, preflightChecks: one operation at a time, and nothing is changed while
        another control plane is being made, goes, or isn't healthy.
        """
        names = {*self.planes, *(plane.name for plane in self.wanted.planes)} - {name}
        return tuple(text for other in sorted(names) for text in self.plane_lacks(other))

    # -- etcd ---------------------------------------------------------------------------------------

    def may_lose(self, member: Member) -> bool:
        """Return whether etcd decides without a member, in the worst case.

        Cluster API: `remediation.go`, targetEtcdClusterHealthy: a learner that would be left makes it unsafe, and
        the last member is never removed (`pkg/workload_cluster_etcd.go`, RemoveEtcdMember).
        """
        rest = [other for other in self.members if other.id != member.id]
        if not any(not other.learner for other in rest):
            return False
        if not member.learner and any(other.learner for other in rest):
            return False
        return has_quorum(rest)

    def next_leader(self, leaving: str) -> Member | None:
        """Return the member that leads best after the one that goes; None where no other can.

        Cluster API: `kubeadmcontrolplane_controller.go`, selectMachineForEtcdLeadership… : healthy, not to be
        replaced, up to date, and never one that goes.
        """

        def rank(member: Member) -> tuple[bool, bool, str]:
            wanted, machine = self.wanted.node(member.machine), self.machine(member.machine)
            is_current = wanted is not None and machine is not None and machine.build == wanted.build
            return (wanted is None, not is_current, member.machine)

        able = [
            member
            for member in self.members
            if member.machine != leaving and not member.learner and member.healthy is True
        ]
        return min(able, key=rank, default=None)


def _not_ready(name: str, node: Node) -> Iterator[str]:
    if node.ready is None:
        yield f"{name} has not reported since its machine was started"
    elif not node.ready:
        yield f"{name} is not Ready"
