"""A cluster as its machines come and go: it is looked at, the planner says the next step, and that is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from infra.kubernetes.api import ClusterApi, ClusterError, ClusterUnreachable
from infra.kubernetes.etcd import EtcdUnavailable
from infra.kubernetes.local_volumes import LocalVolume, look_at_local_volumes
from infra.kubernetes.nodes import count_pods
from infra.kubernetes.waiting import NotReady
from infra.kubernetes.watch import wait_until_healthy
from infra.kvm.errors import HostError
from infra.lifecycle.observed import Observed
from infra.lifecycle.planner import NO_QUORUM, Decision, begin_worker, leave, settle
from infra.lifecycle.steps import DestroyMachine, PrepareUpgrade, WaitForHealth
from infra.model.work import Work
from infra.plugin.operation import Operation
from infra.provider.cluster_view import ClusterView
from infra.provider.executor import Executor
from infra.provider.lives import ClusterRun, Leaver
from infra.provider.spare import Spare, joining_workers
from infra.resources.machine import MachineInputs
from infra.resources.node_placement import NodePlacementInputs
from infra.ssh import ShellError

_HEALTH_SECONDS: Final = 600.0
"""How long a change waits until the others are sound: a control plane that is re-created joins within that."""
_PAUSE: Final = 2.0
_FIRST_BOOT: Final = "/etc/azlocal/node"


class ClusterLife:
    """Acts on one cluster that stays."""

    def __init__(self, run: ClusterRun) -> None:
        """Take what is known of it in this run."""
        self._run = run
        self._spare = Spare(run)
        self._view = ClusterView(run, self._spare)
        self._executor = Executor(run, self._view, self._spare)

    @property
    def _placement(self) -> NodePlacementInputs:
        return self._run.placement

    # -- what is decided ----------------------------------------------------------------------------

    def next_of(self, leaver: Leaver, reason: str) -> Decision:
        """Return by which step a machine leaves, as everything stands now."""
        observed = self._view.observe(leaver)
        return leave(self._view.wanted(observed), observed, leaver.name, reason)

    def objections(self, op: Operation, leaver: Leaver, reason: str) -> str:
        """Return why a machine can't leave now, in a sentence; nothing where it can."""
        decision = self.next_of(leaver, reason)
        old = next((step for step in decision.steps if isinstance(step, PrepareUpgrade)), None)
        if old is not None and (against := self._executor.upgrade.objections(op, self._view.servers())):
            return "; ".join(against)
        if decision.refusals:
            return "; ".join(map(str, decision.refusals))
        # What lacks may come in this run, with another machine: its leaving waits for that.
        waits = [step for step in decision.steps if isinstance(step, WaitForHealth) and step.reason == NO_QUORUM]
        # That machines are gone is learnt one after the other: nobody knows yet whether most of them are.
        restore = f"azlocal restore {self._placement.instance} {self._placement.cluster}"
        return "; ".join(
            f"{step.reason}, and {', '.join(step.lacks)}. Start those that are off; where most are gone for good, "
            f"restore the cluster from what stands or from a snapshot (`{restore}`), and run `pulumi up` again"
            for step in waits
        )

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
            with self._executor.login(leaver.member) as shell:
                return shell.run(["sudo", "test", "-e", _FIRST_BOOT], check=False).exit_code != 0
        except ShellError:
            return True

    def pods_on(self, name: str) -> int | None:
        """Return how many pods of a node haven't ended; None where no API server answers."""
        try:
            return count_pods(self._view.answering(), name)
        except ClusterError:
            return None

    def local_volumes(self, name: str) -> list[LocalVolume] | None:
        """Return the volumes on the disk of a node; None where no API server answers."""
        try:
            listed = look_at_local_volumes(self._view.answering())
            return [volume for volume in listed if name in volume.nodes]
        except ClusterError:
            return None

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
        if leaver.name not in self._executor.staying:
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
                    self._executor.tell_others(op, leaver)
                    self._run.absent.add(leaver.name)
                    self._run.replaced.add(leaver.name)
                    self._run.changes += 1
                    return
                if not isinstance(step, WaitForHealth):
                    op.info(str(step))
                    try:
                        self._executor.do(op, step, leaver)
                    except (ClusterUnreachable, EtcdUnavailable) as error:
                        # They are starting, or busy: what was done of the step, the next look shows.
                        step = WaitForHealth(target=step.target, reason=str(step), lacks=(str(error),))
                    else:
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

    def _wait_for_what_ran_there(self, op: Operation, leaver: Leaver) -> None:
        """Wait until the add-ons run without a node that doesn't come back: nobody looks at the cluster after it.

        Raises:
            HostError: They don't in time; says what is missing. The next run goes on here.
        """
        nodes = dict.fromkeys(self._executor.staying - self._run.absent, 0.0)
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
        elif comer.role == "controlPlane" and observed.members is not None:
            self._executor.back_up(op, f"{comer.name} comes")
        elif comer.role == "worker" and observed.nodes is not None and not self._may_begin(observed).is_done:
            self._follow(op, comer, lambda: self._may_begin(self._view.observe(comer)))

    def _may_begin(self, observed: Observed) -> Decision:
        return begin_worker(self._view.wanted(observed), observed)

    def beside(self, inputs: MachineInputs) -> MachineInputs:
        """Return a machine that is to be made as it has to be beside what stands."""
        node = inputs.first_boot.node
        if node is None or node.role == "controlPlane":
            return self._spare.beside(inputs)
        takes_pods = any(
            name != inputs.name and other.ready and not other.joining
            for name, other in (self._view.observe(Leaver.of(inputs, lost=True)).nodes or {}).items()
            if name not in self._placement.control_planes
        )
        settings = joining_workers(inputs.node_settings) if takes_pods else inputs.node_settings
        return inputs.model_copy(update={"node_settings": settings})

    def arrived(self, op: Operation, name: str) -> None:
        """Take a machine that was made, and answers, as one that stands; let one that comes back in."""
        self._run.absent.discard(name)
        self._run.replacing.discard(name)
        self._run.changes += 1
        if (name in self._run.replaced or self._spare.stands) and self._placement.token:
            self._executor.admit(op, name)

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
