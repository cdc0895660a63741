"""A cluster as its machines come and go: it is looked at, the planner says the next step, and that is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final

from infra.errors import UserError
from infra.kubernetes.api import ClusterApi, ClusterError
from infra.kubernetes.membership import admit_nodes, announce_from, drain, forget, uncordon
from infra.kubernetes.waiting import NotReady
from infra.kubernetes.watch import wait_until_healthy
from infra.kvm.errors import HostError, NoRoom
from infra.lifecycle.observed import Observed
from infra.lifecycle.planner import NO_QUORUM, Decision, begin_worker, leave, settle
from infra.lifecycle.steps import (
    Announce,
    CreateMachine,
    DeleteNode,
    DestroyMachine,
    Drain,
    FinishUpgrade,
    Join,
    JoinAsLearner,
    MoveLeader,
    PrepareUpgrade,
    RemoveMember,
    Step,
    WaitForHealth,
)
from infra.lifecycle.wanted import WantedNode
from infra.model.work import Work
from infra.plugin.operation import Operation
from infra.provider.cluster_view import ClusterView
from infra.provider.kinds import address_holders
from infra.provider.kinds.address_protocol import change_protocol
from infra.provider.kinds.cluster_base import logged_in
from infra.provider.lives import ClusterRun, Leaver
from infra.provider.spare import Spare
from infra.provider.upgrade import Upgrade
from infra.resources.control_plane import Member
from infra.resources.machine import MachineInputs
from infra.resources.node_placement import NodePlacementInputs
from infra.ssh import Shell, ShellError

_HEALTH_SECONDS: Final = 600.0
"""How long a change waits until the others are sound: a control plane that is re-created joins within that."""
_DRAIN_SECONDS: Final = 300.0
_PAUSE: Final = 2.0
_FIRST_BOOT: Final = "/etc/azlocal/node"


class ClusterLife:
    """Acts on one cluster that stays."""

    def __init__(self, run: ClusterRun) -> None:
        """Take what is known of it in this run."""
        self._run = run
        self._spare = Spare(run)
        self._view = ClusterView(run, self._spare)
        self._upgrade = Upgrade(run, self._login)
        self._admitted: set[str] = set()

    @property
    def _placement(self) -> NodePlacementInputs:
        return self._run.placement

    # -- what is decided ----------------------------------------------------------------------------

    def next_of(self, leaver: Leaver, reason: str) -> Decision:
        """Return by which step a machine leaves, as everything stands now."""
        observed = self._view.observe(leaver)
        return leave(self._view.wanted(observed), observed, leaver.name, reason)

    def objections(self, leaver: Leaver, reason: str) -> str:
        """Return why a machine can't leave now, in a sentence; nothing where it can."""
        decision = self.next_of(leaver, reason)
        old = next((step for step in decision.steps if isinstance(step, PrepareUpgrade)), None)
        if old is not None and (against := self._upgrade.objections(self._view.servers())):
            return "; ".join(against)
        if decision.refusals:
            return "; ".join(map(str, decision.refusals))
        # What lacks may come in this run, with another machine: its leaving waits for that.
        waits = [step for step in decision.steps if isinstance(step, WaitForHealth) and step.reason == NO_QUORUM]
        return "; ".join(f"{step.reason}, and {', '.join(step.lacks)}" for step in waits)

    def knows(self, leaver: Leaver) -> bool:
        """Return whether there is a cluster for a machine to leave: one that was never founded knows nobody.

        A machine whose first boot is still under way, while no etcd and no API server answers, is no node. A lost
        worker stays listed in a cluster that nobody hears of, until it comes back.
        """
        observed = self._view.observe(leaver)
        if observed.members is not None or observed.nodes is not None:
            return True
        if leaver.lost and leaver.role == "worker":
            return False
        try:
            with self._login(leaver.member) as shell:
                return shell.run(["sudo", "test", "-e", _FIRST_BOOT], check=False).exit_code != 0
        except ShellError:
            return True

    # -- what is done -------------------------------------------------------------------------------

    def leave(self, op: Operation, leaver: Leaver, reason: str) -> None:
        """Have a machine leave the cluster, so that it may be removed; one control plane at a time.

        Raises:
            HostError: The others don't allow it: quorum would be lost, or they don't become sound in time. Or what
                ran there doesn't run elsewhere.
            Blocked: It can't be drained.
            Interrupted: The run was cancelled. The next one goes on.
        """
        self._spare.look(op)
        self._follow(op, leaver, lambda: self.next_of(leaver, reason))
        if leaver.name not in self._staying():
            self._wait_for_what_ran_there(op, leaver)

    def has_spare(self, op: Operation) -> bool:
        """Return whether another machine stands in for one of the cluster's, be it since an earlier run."""
        self._spare.look(op)
        return self._spare.stands

    def settle(self, op: Operation) -> None:
        """End a rolling change, once all machines were replaced: kube-proxy and CoreDNS; the spare goes.

        Raises:
            HostError: The cluster doesn't become sound in time. The next run goes on.
        """
        self._spare.look(op)

        def decision() -> Decision:
            observed = self._view.observe()
            return settle(self._view.wanted(observed), observed)

        self._follow(op, Leaver(self._placement.cluster, "controlPlane", ""), decision)

    def _follow(self, op: Operation, leaver: Leaver, decide: Callable[[], Decision]) -> None:
        """Do what is decided, step by step, until nothing is left but to destroy the machine that leaves."""
        work, changes = op.work().within(_HEALTH_SECONDS), self._run.changes
        while True:
            if changes != self._run.changes:  # others are on their way; the wait is for each of them
                work, changes = op.work().within(_HEALTH_SECONDS), self._run.changes
            with self._in_turn(work, leaver):
                decision = decide()
                if decision.refusals:
                    raise HostError("; ".join(map(str, decision.refusals)))
                if decision.is_done:
                    return
                step = decision.steps[0]
                if isinstance(step, DestroyMachine) and step.target == leaver.name:
                    self._tell_others(op, leaver)
                    self._run.absent.add(leaver.name)
                    self._run.replaced.add(leaver.name)
                    self._run.changes += 1
                    return
                if not isinstance(step, WaitForHealth):
                    op.info(str(step))
                    self._do(op, step, leaver)
                    self._run.changes += 1
                    continue
            if not work.remaining:
                raise HostError(
                    f"{leaver.name} can't be changed in cluster {self._placement.cluster} while "
                    f"{', '.join(step.lacks)} (unhealthy-control-plane). Repair that first, or replace what is "
                    "broken; the next `pulumi up` goes on"
                )
            waiting = f"{leaver.name} waits: {step} ({', '.join(step.lacks)})"
            work.wait(_PAUSE, waiting)
            work.status(waiting)

    def _staying(self) -> set[str]:
        return {*self._placement.control_planes, *self._placement.hosts}

    def _wait_for_what_ran_there(self, op: Operation, leaver: Leaver) -> None:
        """Wait until the add-ons run without a node that doesn't come back: nobody looks at the cluster after it.

        Raises:
            HostError: They don't in time; says what is missing. The next run goes on here.
        """
        nodes = dict.fromkeys(self._staying() - self._run.absent, 0.0)
        api, work = ClusterApi(self._placement.kubeconfig), op.work().within(_HEALTH_SECONDS)
        try:
            wait_until_healthy(api, nodes, self._placement.namespaces, work)
        except NotReady as failure:
            raise HostError(
                f"{leaver.name} has left cluster {self._placement.cluster}, which isn't healthy yet: {failure}"
            ) from failure

    def arrive(self, op: Operation, comer: Leaver) -> None:
        """Make room for a machine that is to be made: what one of its name left in the cluster goes first.

        A cluster that nobody hears of is being founded, or resumed: there is nothing to do then.
        """
        if self._run.is_new:
            return
        self._run.absent.add(comer.name)
        if comer.name in self._run.machines:  # it has stood: an earlier run may have removed it
            self._run.replaced.add(comer.name)
        self._spare.look(op)
        observed = self._view.observe(comer)
        is_known = comer.name in (observed.nodes or {}) or any(
            member.machine == comer.name for member in observed.members or ()
        )
        if is_known:
            self.leave(op, comer, "its machine is gone")
        elif comer.role == "worker" and observed.nodes is not None and not self._may_begin(observed).is_done:
            self._follow(op, comer, lambda: self._may_begin(self._view.observe(comer)))

    def _may_begin(self, observed: Observed) -> Decision:
        return begin_worker(self._view.wanted(observed), observed)

    def beside(self, inputs: MachineInputs) -> MachineInputs:
        """Return a machine that is to be made as it has to be beside what stands only meanwhile."""
        node = inputs.first_boot.node
        return self._spare.beside(inputs) if node and node.role == "controlPlane" else inputs

    def arrived(self, op: Operation, name: str) -> None:
        """Take a machine that was made, and answers, as one that stands; let one that comes back in."""
        self._run.absent.discard(name)
        self._run.replacing.discard(name)
        self._run.changes += 1
        if (name in self._run.replaced or self._spare.stands) and self._placement.token:
            if name in self._placement.control_planes:  # it speaks VRRPv3 as soon as it has joined
                planes = [_plane(other, address, "") for other, address in self._placement.control_planes.items()]
                change_protocol(op, self._long_standing_planes(), planes, self._login)
                self._equip(op, name)
            admit_nodes(ClusterApi(self._placement.kubeconfig), self._placement.token)

    def _equip(self, op: Operation, name: str) -> None:
        """Bring a new control plane what the cluster runs of its old version."""
        if self._placement.version:
            self._upgrade.equip(op, self._view.answering(name), self._members([name]))

    @contextmanager
    def _in_turn(self, work: Work, leaver: Leaver) -> Iterator[None]:
        """Let one machine be changed at a time; workers that don't come back leave beside each other."""
        if leaver.role == "worker" and leaver.name not in self._placement.hosts:
            yield
            return
        while not self._run.turn.acquire(timeout=_PAUSE):
            # Each has a limit of its own, from when its turn comes.
            work.with_own_limit(1).check(f"{leaver.name} waits until another machine has been changed")
        try:
            yield
        finally:
            self._run.turn.release()

    def _do(self, op: Operation, step: Step, leaver: Leaver) -> None:
        spare = self._spare.leaver
        if spare is not None and step.target == spare.name:
            leaver = spare
        api = self._view.answering(leaver.name)
        planes = [other for other in (spare, leaver) if other and other.role == "controlPlane" and not other.lost]
        etcd = self._view.etcd(
            self._placement.control_planes | {other.name: other.address for other in planes if other.address}
        )
        match step:
            case Drain(silent=silent):
                try:
                    drain(api, step.target, op.work().within(_DRAIN_SECONDS), silent=silent)
                except UserError:
                    if step.target in self._staying():  # whoever takes the change back has it as it was
                        with suppress(ClusterError):
                            uncordon(api, [step.target])
                    raise
            case MoveLeader(to_id=id):
                etcd.move_leader(step.target, id)
            case RemoveMember(member=id):
                if not leaver.lost:
                    self._give_up_address(op, leaver)
                etcd.remove(id)
            case DeleteNode():
                forget(api, step.target)
                self._run.replaced.add(step.target)  # its machine stands still: the next one waits for what comes
            case DestroyMachine():
                self._tell_others(op, leaver)
                self._spare.remove(op)
            case Announce():
                announce_from(api, step.target)
            case PrepareUpgrade(version=version):
                self._upgrade.prepare(api, version)
            case FinishUpgrade():
                self._upgrade.finish(op, api, self._members(self._staying() | self._spare_names()))
            case CreateMachine(node=node):
                self._make_spare(op, node)
            case Join() | JoinAsLearner():
                self._admit_spare(op, step.target)

    def _make_spare(self, op: Operation, node: WantedNode) -> None:
        """Make the spare; where its host has no room for a worker more, workers are replaced without one."""
        self._admitted.discard(node.name)
        try:
            self._spare.make(op, node)
        except NoRoom as error:
            if node.role == "controlPlane":
                raise
            self._run.surges = False
            op.warning(f"no other machine takes the pods of workers that are replaced: {error}")

    def _admit_spare(self, op: Operation, name: str) -> None:
        """Let the spare join, and wait for it a little: then the cluster is looked at again."""
        if name not in self._admitted and (spare := self._spare.leaver) is not None:
            if spare.role == "controlPlane":
                standing = self._standing_planes()
                change_protocol(op, standing, [*standing, spare.member], self._login)
                peers = {plane.name: [spare.address] for plane in standing}
                address_holders.tell(op, standing, peers, self._login)
            self._upgrade.equip(op, self._view.answering(), [spare.member])
            admit_nodes(ClusterApi(self._placement.kubeconfig), self._placement.token or "")
            self._admitted.add(name)
        op.work().wait(_PAUSE, f"{name} joins")

    def _give_up_address(self, op: Operation, leaver: Leaver) -> None:
        try:
            address_holders.give_up(op, leaver.member, self._login)
        except HostError as error:
            op.warning(str(error))

    def _tell_others(self, op: Operation, leaver: Leaver) -> None:
        """Tell the others that they hold the cluster's address without one that doesn't come back."""
        if leaver.role == "worker" or leaver.name in self._placement.control_planes:
            return
        planes = {member.name: member for member in self._standing_planes()}
        # Others that are still to go hold it with them until their own turn.
        membership = self._view.etcd(self._placement.control_planes).membership()
        holders = {*self._placement.control_planes.values()}
        holders |= {member.address for member in membership.members} if membership else set()
        peers = {
            name: sorted(holders - {leaver.address, address})
            for name, address in self._placement.control_planes.items()
            if name in planes
        }
        address_holders.tell(op, planes.values(), peers, self._login)

    def _standing_planes(self) -> list[Member]:
        return self._members(self._placement.control_planes)

    def _long_standing_planes(self) -> list[Member]:
        """Return the control planes that stood before this run: others speak VRRPv3 from their first boot."""
        return [plane for plane in self._standing_planes() if plane.name not in self._run.replaced]

    def _members(self, names: Iterable[str]) -> list[Member]:
        """Return machines that stand as those know them who log in there."""
        spare = self._spare.leaver
        planes = {*self._placement.control_planes}
        planes |= {spare.name} if spare and spare.role == "controlPlane" else set()
        return [
            Member(
                name=name,
                role="controlPlane" if name in planes else "worker",
                address=self._placement.control_planes.get(name) or machine.address,
                ssh_host_key=machine.host_key,
            )
            for name in names
            if (machine := self._run.machines.get(name)) is not None
            and not machine.lost
            and name not in self._run.absent
        ]

    def _spare_names(self) -> set[str]:
        return {spare.name} if (spare := self._spare.leaver) else set()

    def _login(self, member: Member) -> AbstractContextManager[Shell]:
        return logged_in(member, self._placement.identity_files)


def _plane(name: str, address: str, host_key: str) -> Member:
    return Member(name=name, role="controlPlane", address=address, ssh_host_key=host_key)
