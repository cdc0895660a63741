"""A cluster to try the planner on: what machines, nodes and etcd do when steps are taken, and machines are lost.

It knows nothing of the planner's reasons. It counts for itself what etcd decides, and refuses a step that a real
cluster couldn't take or wouldn't survive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import singledispatchmethod

from infra.lifecycle import steps as s
from infra.lifecycle.observed import Machine, Member, Node, Observed
from infra.lifecycle.versions import minor, order
from infra.lifecycle.wanted import Wanted


@dataclass
class NodeObject:
    pods: int
    cordoned: bool = False
    evicted: bool = False
    joining: bool = False


@dataclass
class Vote:
    machine: str
    learner: bool = True


@dataclass
class World:
    """A cluster.

    Attributes:
        sick: Machines whose etcd and kubelet don't answer.
        down: Control planes that steps took down, and that aren't back.
        log: The steps that were taken.
    """

    machines: dict[str, Machine] = field(default_factory=dict)
    nodes: dict[str, NodeObject] = field(default_factory=dict)
    votes: dict[int, Vote] = field(default_factory=dict)
    leader: int = 0
    founded: bool = False
    configured: str = ""
    add_ons: str = ""
    images: set[str] = field(default_factory=set)
    sick: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    log: list[s.Step] = field(default_factory=list)
    last_id: int = 0

    # -- what is true --------------------------------------------------------------------------------

    def answers(self, name: str) -> bool:
        machine = self.machines.get(name)
        has_ended = machine is not None and machine.certificates == "ended"
        return machine is not None and machine.stands and machine.runs and name not in self.sick and not has_ended

    def voters(self) -> list[str]:
        return [vote.machine for vote in self.votes.values() if not vote.learner]

    def has_quorum(self) -> bool:
        voters = self.voters()
        return sum(map(self.answers, voters)) * 2 > len(voters)

    def is_lost(self) -> bool:
        """Tell whether no repair of what stands brings etcd back."""
        voters = self.voters()
        return self.founded and 2 * sum(self.machines[name].stands for name in voters) <= len(voters)

    def observe(self) -> Observed:
        if self.has_quorum() and not self.answers(self.votes[self.leader].machine if self.leader else ""):
            self.leader = next(id for id, v in self.votes.items() if not v.learner and self.answers(v.machine))
        decides = self.founded and self.has_quorum()
        return Observed(
            founded=self.founded,
            machines=dict(self.machines),
            nodes={name: self._seen(name, node) for name, node in self.nodes.items()} if decides else None,
            members=tuple(
                Member(id, vote.machine, vote.learner, self.answers(vote.machine) or None, id == self.leader)
                for id, vote in self.votes.items()
            )
            if self.founded and any(map(self.answers, self.voters()))
            else None,
            agreed=decides,
            configured=self.configured if decides else "",
            add_ons=self.add_ons if decides else "",
            images=frozenset(self.images),
        )

    def _seen(self, name: str, node: NodeObject) -> Node:
        ready = self.answers(name)
        has_api = name in self.voters() if self.machines[name].role == "controlPlane" else True
        drained = node.pods == 0 or (node.evicted and not ready)
        return Node(
            ready and has_api, ready and has_api, node.cordoned, drained, node.joining, node.joining and ready
        )

    # -- what is done --------------------------------------------------------------------------------

    def lose(self, name: str) -> None:
        """Take a machine away with its disk, as a host's loss does."""
        if name in self.machines:
            self.machines[name] = replace(self.machines[name], stands=False, runs=False)
            self.sick.discard(name)

    def forget(self, wanted: Wanted) -> None:
        """Drop what an instance's state drops: lost machines that nobody wants or knows."""
        for name in [name for name, machine in self.machines.items() if not machine.stands]:
            known = {*(vote.machine for vote in self.votes.values()), *self.nodes}
            if wanted.node(name) is None and name not in known:
                del self.machines[name]

    def take(self, steps: Iterable[s.Step]) -> None:
        """Take steps, each seen to be safe."""
        for step in steps:
            had_quorum, was_founded = self.has_quorum(), self.founded
            self.log.append(step)
            self._do(step)
            assert self.has_quorum() or not had_quorum or not was_founded, f"{step} took the quorum"
            assert len(self.down) <= 1, f"{step} takes a second control plane down: {self.down}"
            self._see_versions(step)

    def _see_versions(self, step: s.Step) -> None:
        servers = [self.machines[name].build.version for name in self.voters() if self.machines[name].stands]
        kubelets = [m.build.version for n, m in self.machines.items() if m.role == "worker" and n in self.nodes]
        assert not servers or max(map(minor, servers)) - min(map(minor, servers)) <= 1, step
        for kubelet in kubelets if servers else ():
            assert order(kubelet) <= min(map(order, servers)), f"{step}: kubelet {kubelet}, servers {servers}"
            assert minor(kubelet) >= max(map(minor, servers)) - 3, f"{step}: kubelet {kubelet}, servers {servers}"

    @singledispatchmethod
    def _do(self, step: s.Step) -> None:
        raise AssertionError(f"nobody can do {step!r}")

    @_do.register
    def _(self, step: s.CreateMachine) -> None:
        old = self.machines.get(step.target)
        assert old is None or not old.stands, f"{step.target} stands"
        assert not step.node.build.image or step.node.build.image in self.images
        assert step.target not in {vote.machine for vote in self.votes.values()}, "kubeadm's check-etcd"
        assert step.target not in self.nodes, "kubeadm refuses to join under the name of a node that is there"
        self.machines[step.target] = Machine(step.node.role, step.node.build, pool=step.node.pool)

    @_do.register
    def _(self, step: s.StartMachine) -> None:
        self.machines[step.target] = replace(self.machines[step.target], runs=True)

    @_do.register
    def _(self, step: s.DestroyMachine) -> None:
        name = step.target
        assert name not in self.nodes, f"{name} is still a node, with pods on it"
        assert name not in {vote.machine for vote in self.votes.values()}, f"{name} is still a member"
        del self.machines[name]
        self.sick.discard(name)

    @_do.register
    def _(self, step: s.RenewCertificates) -> None:
        self.machines[step.target] = replace(self.machines[step.target], certificates="valid")

    @_do.register
    def _(self, step: s.DistributeImage) -> None:
        self.images.add(step.image)

    @_do.register
    def _(self, step: s.FoundCluster) -> None:
        machine = self.machines[step.target]
        assert not self.founded, "data would be lost"
        self.founded = True
        self.last_id += 1
        self.leader, self.votes[self.last_id] = self.last_id, Vote(step.target, learner=False)
        self.configured = self.add_ons = machine.build.version
        self.nodes[step.target] = NodeObject(pods=1)
        self.machines[step.target] = replace(machine, booted=True)

    @_do.register
    def _(self, step: s.Join) -> None:
        machine = self.machines[step.target]
        assert self.has_quorum()
        assert machine.role == "worker"
        assert not machine.booted
        assert minor(machine.build.version) == minor(self.configured), "kubeadm joins its own minor"
        if step.target in self.sick:
            self.sick.discard(step.target)
            return
        self.nodes[step.target] = NodeObject(pods=2, joining=True)
        self.machines[step.target] = replace(machine, booted=True)

    @_do.register
    def _(self, step: s.Cordon) -> None:
        self.nodes[step.target].cordoned = True

    @_do.register
    def _(self, step: s.LetIn) -> None:
        self.nodes[step.target].joining = False

    @_do.register
    def _(self, step: s.Uncordon) -> None:
        node = self.nodes[step.target]
        node.cordoned, node.evicted = False, False

    @_do.register
    def _(self, step: s.Drain) -> None:
        node = self.nodes[step.target]
        workers = {
            name: self.nodes[name]
            for name, m in self.machines.items()
            if m.role == "worker" and name in self.nodes
        }
        holders = [name for name, other in workers.items() if not (other.joining or other.cordoned)]
        assert holders != [step.target] or len(workers) == 1, f"{step}: services are announced from nowhere"
        node.cordoned = node.evicted = True
        if self.answers(step.target):
            node.pods = 0
        else:
            assert step.silent, "its pods never end"

    @_do.register
    def _(self, step: s.DeleteNode) -> None:
        node, is_plane = self.nodes.pop(step.target), self.machines[step.target].role == "controlPlane"
        # One that left etcd while it was silent, and then came back, is ending the pods that were evicted.
        is_drained = node.pods == 0 or (node.evicted and is_plane)
        assert is_drained or not self.answers(step.target), f"{step.target} goes undrained"

    @_do.register
    def _(self, step: s.JoinAsLearner) -> None:
        machine = self.machines[step.target]
        assert not machine.booted
        assert minor(machine.build.version) == minor(self.configured), "kubeadm joins its own minor"
        assert not [vote for vote in self.votes.values() if vote.learner], "etcd takes one learner"
        assert all(self.answers(vote.machine) for vote in self.votes.values()), "kubeadm's check-etcd"
        if step.target in self.sick:
            self.sick.discard(step.target)  # it comes later
            return
        self.last_id += 1
        self.votes[self.last_id] = Vote(step.target)

    @_do.register
    def _(self, step: s.Promote) -> None:
        (vote,) = (vote for vote in self.votes.values() if vote.machine == step.target)
        assert self.answers(step.target), "etcd doesn't promote whom it can't reach"
        vote.learner = False
        self.nodes[step.target] = NodeObject(pods=1)
        self.machines[step.target] = replace(self.machines[step.target], booted=True)
        self.down.discard(step.target)

    @_do.register
    def _(self, step: s.MoveLeader) -> None:
        assert self.votes[self.leader].machine == step.target, "etcd moves it only from its leader"
        assert self.answers(self.votes[step.to_id].machine)
        self.leader = step.to_id

    @_do.register
    def _(self, step: s.RemoveMember) -> None:
        assert self.has_quorum()
        assert step.member != self.leader, "the leader was to move first"
        vote = self.votes.pop(step.member)
        if not vote.learner and self.answers(vote.machine):
            self.down.add(vote.machine)

    @_do.register
    def _(self, step: s.PrepareUpgrade) -> None:
        assert self.has_quorum()
        self.configured = step.version

    @_do.register
    def _(self, step: s.FinishUpgrade) -> None:
        self.add_ons = step.version

    @_do.register
    def _(self, step: s.WaitForHealth) -> None:
        """What is sick recovers, as it mostly does."""
        self.sick.clear()


def settle_down(world: World, wanted: Wanted) -> None:
    """Forget which control planes were taken down that nobody wants back."""
    world.down = {name for name in world.down if wanted.node(name) is not None or name in world.machines}
