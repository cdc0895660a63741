"""The Machine kind: disk, seed and domain as one; ready when SSH answers with the machine's own key."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from infra.guest import NO_SECRETS, Seed, generate_host_key
from infra.kvm.connection import Hosts, HostSession, libvirt_uri
from infra.kvm.container import Container
from infra.kvm.errors import HostError
from infra.kvm.machine import Machine
from infra.kvm.machines import MACHINES
from infra.kvm.vm import Vm
from infra.model.first_boot import FirstBoot
from infra.model.machine_traits import TRAITS, traits_of
from infra.plugin.operation import Operation
from infra.plugin.values import UNKNOWN
from infra.provider.kind import Changes, InitFailed, Made
from infra.provider.kinds.base import HostedKind, answering_host, mark_for, parse_id
from infra.provider.kinds.kubernetes_nodes import (
    holds_cluster,
    lost_control_plane,
    refuse_other_cluster,
)
from infra.provider.kinds.live_moves import bring, may_take_over, migrations_of
from infra.provider.kinds.machine_patches import is_as_it_was_made, patch_machine, see_that_pods_fit
from infra.provider.kinds.machine_state import definition_of, history_of, read_state, state_of
from infra.provider.lives import ClusterRun, Leaver, Lives
from infra.provider.local_volumes import name_lost, see_that_none_is_lost, see_that_volumes_stay
from infra.resources.changes import Refused
from infra.resources.changes.machine import ALONE, decide, restarting
from infra.resources.changes.volumes import takes_its_place
from infra.resources.contract import Fault, OnChange
from infra.resources.machine import MACHINE, MachineInputs, MachineState
from infra.ssh import HostKeyError, wait_for_host_key

if TYPE_CHECKING:
    from infra.provider.standing import Standing


class MachineKind(HostedKind[MachineInputs, MachineState]):
    """A VM or a system container."""

    contract = MACHINE

    def __init__(self, hosts: Hosts, standing: Standing | None = None, lives: Lives | None = None) -> None:
        """Make the kind.

        Args:
            hosts: The hosts.
            standing: What stands of an instance that is adopted.
            lives: The clusters whose nodes machines are.
        """
        super().__init__(hosts)
        self._lives = lives or Lives()
        self._has_program = False
        self._adopts = standing is not None
        self._migrating = threading.Lock()
        self._made: set[tuple[str, str]] = set()
        self._returning: set[tuple[str, str]] = set()

    def check(self, inputs: dict[str, Any], unknown: frozenset[str]) -> list[Fault]:
        """Fill in the digest of the seed, so that preview shows when a change reaches the machine through it."""
        self._has_program = True
        if unknown & {"firstBoot", "name", "machineType"}:
            inputs["seedDigest"] = UNKNOWN
        else:
            first_boot = FirstBoot.model_validate(inputs["firstBoot"])
            inputs["seedDigest"] = Seed(inputs["name"], first_boot, TRAITS[inputs["machineType"]]).digest()
        if traits_of(inputs["machineType"]).shares_kernel:
            inputs["secureBoot"] = inputs["tpm"] = False  # it has no firmware
        if not unknown:
            self._plan(MachineInputs.model_validate(inputs))
        return []

    def _plan(self, wanted: MachineInputs) -> None:
        """Remember what a machine of a cluster is to be: its spare is made by that."""
        cluster = self._lives.of_machine(wanted)
        if cluster is not None:
            cluster.keeper = self
            cluster.planned[wanted.name] = wanted

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """A disk can't shrink, a node holds data; say which changes restart the machine, which no diff shows.

        What would cost a cluster its quorum is refused, here and so in preview.
        """
        node = (state.get("firstBoot") or {}).get("node") or {}
        cluster = self._lives.of(node["cluster"]) if node else None
        if cluster is not None:
            cluster.note(state)
        if state.get("lost"):
            # `refresh` compares, too, where no program has named a cluster: it only shows what it sees.
            if cluster is None and self._has_program:
                raise Refused(lost_control_plane(MachineState.model_validate(state)))
            changes.by_path["lost"] = OnChange.REPLACE
            if not self._has_program:
                return
        if self._has_program and takes_its_place(state, news):
            self._returning.add((state.get("connection", ""), state["name"]))
        if changes.touches("seedDigest") and is_as_it_was_made(state, news):
            changes.by_path["seedDigest"] = OnChange.UPDATE
        for text in decide(state, news, changes, cluster.neighbours(state["name"]) if cluster else ALONE):
            op.info(text)
        is_replaced = bool(changes.replaces()) and not changes.create_first
        if cluster is not None and is_replaced:
            cluster.replacing.add(state["name"])
        if cluster is not None and not is_replaced and changes.touches("firstBoot.node.maxPods"):
            see_that_pods_fit(op, state, news, cluster)
        if cluster is not None and is_replaced and not (cluster.is_new or state.get("lost")):
            if self._hosts.is_lost(state["connection"]):
                name_lost(op, state["name"], cluster)
            else:
                see_that_volumes_stay(op, state, news, cluster)
        is_plane = node.get("role") == "controlPlane"
        if cluster is not None and is_replaced and is_plane and not (cluster.absent or cluster.is_new):
            self._see_that_it_may_leave(op, MachineState.model_validate(state), cluster)

    def _see_that_it_may_leave(self, op: Operation, machine: MachineState, cluster: ClusterRun) -> None:
        """See that the others of its cluster allow that a control plane is replaced.

        Raises:
            Refused: They don't.
        """
        leaver = Leaver.of(machine, lost=machine.lost or self._hosts.is_lost(machine.connection))
        op.status("looking at its cluster")
        if leaver is not None and (objections := cluster.life.objections(op, leaver, "it is replaced")):
            raise Refused(f"{machine.name} can't be replaced: {objections}")

    def preview(self, op: Operation, inputs: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
        """A machine that is started again reports again: what depends on that changes, too."""
        if old is None:
            return {}
        starts = inputs.get("running", True) and not old.get("running")
        restarts = any(name in inputs and inputs[name] != old.get(name) for name in restarting(old))
        return {"started": UNKNOWN} if starts or restarts else {}

    def create(self, op: Operation, inputs: MachineInputs) -> Made[MachineState]:
        """Make the machine and wait for it; take over what an interrupted run left, if it is the same machine.

        From a host that drains live it comes as it runs.
        """
        has_come = bring(op, inputs, mark_for(op, inputs.instance), self.session, self._migrating)
        op = replace(op, started=time.monotonic())  # copying a disk takes its time, and then the wait begins
        cluster, comer = self._lives.of_machine(inputs), Leaver.of(inputs, lost=True)
        is_late = cluster is not None and not cluster.is_new
        if cluster and comer and is_late and not has_come and not self._stands(op, inputs):
            # Without a session, which others of this host may need for what is waited for.
            cluster.life.arrive(op, comer)
            inputs = cluster.life.beside(inputs)
            op = replace(op, started=time.monotonic())
        with self.session(op, inputs.connection) as session:
            machine = _machine(op, session, inputs)
            if not _stands(machine, inputs, whatever=self._adopts):
                is_node = inputs.first_boot.node is not None
                _build(op, machine, inputs, has_data=is_node and TRAITS[inputs.machine_type].has_data_volume)
            elif not has_come:
                op.status("taking over the machine that stands")
            state = _settle(op, machine, inputs)
        made = self.made(state)
        self._made.add((state.connection, state.name))
        self._wait(op, made)
        if cluster and (is_late or self._adopts):
            cluster.note(state.to_wire())
        if cluster and is_late:
            cluster.life.arrived(op, inputs.name)
        return made

    def make(self, op: Operation, inputs: MachineInputs) -> MachineState:
        """Make a machine that no resource declares, or take over what stands; return it when it answers."""
        op.status(f"making {inputs.name}")
        with self.session(op, inputs.connection) as session:
            machine = _machine(op, session, inputs)
            if not _stands(machine, inputs, whatever=False):
                machine.require_room(inputs.memory_mib)
                _build(op, machine, inputs, has_data=False)
            state = _settle(op, machine, inputs)
        self._wait(op, self.made(state))
        return state

    def find(self, op: Operation, inputs: MachineInputs) -> MachineState | None:
        """Return a machine that no resource declares as it stands; None where it doesn't."""
        with self.session(op, inputs.connection) as session:
            machine = _machine(op, session, inputs)
            return state_of(machine, inputs) if machine.exists and not machine.is_disk_gone() else None

    def read(self, op: Operation, id: str, old: MachineState | None) -> MachineState | None:
        """Return the machine as it stands.

        A control plane that is gone stays in state, as one that is lost: forgotten, it could found its cluster
        again. So the next `up` knows that it joins the others, and says so where they don't allow it.
        """
        connection, name = parse_id(id, "local-a-cp-0")
        mark = mark_for(op, old.instance if old else op.stack)
        classes = (MACHINES[old.machine_type],) if old else (Container, Vm)
        with self.session(op, connection) as session:
            for machine_class in classes:
                machine = machine_class.find(session, name, mark)
                state = read_state(machine, old) if machine is not None else None
                if state is not None:
                    return state
                if old is not None:
                    # Whoever removed it by hand left them, and from now on nobody knows its name.
                    machine_class.remove_traces(session, [name], mark)
        if old is not None and holds_cluster(old):
            op.warning(lost_control_plane(old))
            return old.model_copy(update={"running": False, "started": 0, "lost": True})
        return None

    def update(self, op: Operation, id: str, old: MachineState, inputs: MachineInputs) -> MachineState:
        """Bring processors, memory, disk and power to what is wanted, restarting only where that needs it.

        What its first boot told it, and can be changed as it runs, is changed then.
        """
        with self.session(op, inputs.connection) as session:
            machine = _machine(op, session, inputs)
            if holds_cluster(old) and (not machine.exists or machine.is_disk_gone()):
                raise HostError(lost_control_plane(old))
            made = Made(id, _settle(op, machine, inputs))
        self._wait(op, made)
        stands = made.state
        is_patched = stands.first_boot.patched_as(inputs.first_boot) != stands.first_boot
        return self._patch(op, stands, old, inputs) if is_patched else stands

    def _patch(
        self, op: Operation, stands: MachineState, old: MachineState, inputs: MachineInputs
    ) -> MachineState:
        """Change what a machine was told at its first boot, in it and then in its record."""
        with self.session(op, inputs.reached_through or inputs.connection) as session:
            dial = session.shell.dial
        patched = patch_machine(op, stands, old, inputs, self._lives.of_machine(inputs), dial)
        with self.session(op, inputs.connection) as session:
            machine = _machine(op, session, inputs)
            machine.define(definition_of(inputs, machine.mark, history_of(machine) | patched))
            return state_of(machine, inputs)

    def delete(self, op: Operation, id: str, old: MachineState) -> None:
        """Have a node leave its cluster, if that stays; then remove the machine."""
        cluster = self._lives.of_machine(old)
        has_replacement = (old.connection, old.name) in self._made
        if cluster is not None and not (cluster.is_new or has_replacement or cluster.has_moved_away(old)):
            with answering_host():
                leaver = Leaver.of(old, lost=self._is_lost(op, old))
            if leaver is not None and cluster.life.knows(leaver):
                if not leaver.lost:
                    keeps = old.keeps_volumes and self._returns(old)
                    see_that_none_is_lost(op, old.name, "would go", cluster, keeps=keeps)
                cluster.life.leave(op, leaver, "its machine goes")
        super().delete(op, id, old)

    def _returns(self, old: MachineState) -> bool:
        """Return whether a machine of this name comes to this host again, and takes its data volume over."""
        return (old.connection, old.name) in self._returning

    def _is_lost(self, op: Operation, old: MachineState) -> bool:
        """Return whether a machine is gone from its host, or with it."""
        if old.lost or self._hosts.is_lost(old.connection):
            return True
        with self.session(op, old.connection) as session:
            machine = _machine(op, session, old)
            return not machine.exists or machine.is_disk_gone()

    def _stands(self, op: Operation, inputs: MachineInputs) -> bool:
        with self.session(op, inputs.connection) as session:
            return _stands(_machine(op, session, inputs), inputs, whatever=self._adopts)

    def remove(self, op: Operation, old: MachineState) -> None:
        """Remove domain, disk, seed, NVRAM and TPM state.

        What is to be removed may be what a migration left behind, and the machine itself have come back since. Or
        a machine that may migrate was replaced by hand: the engine then makes the replacement first.
        """
        if (old.connection, old.name) in self._made:
            op.info(f"{old.name} has its replacement in its place, which stays")
            return
        with self.session(op, old.connection) as session:
            machine = _machine(op, session, old)
            if machine.exists and migrations_of(machine.definition) > old.migrations:
                op.info(f"{old.name} came back to {old.connection} meanwhile, and stays")
                return
            op.status("removing")
            machine.remove(keeps_data=self._returns(old))

    def _wait(self, op: Operation, made: Made[MachineState]) -> None:
        """Wait until SSH answers at the planned address with the machine's own key, then wipe the seed.

        By then the machine has taken what it needs from it (image/files: take-seed).

        Raises:
            InitFailed: it didn't; the machine stands, and the next `up` goes on waiting.
        """
        state, machine_class = made.state, MACHINES[made.state.machine_type]
        if not state.running:
            return
        address = state.first_boot.host_address
        with self.session(op, state.reached_through or state.connection) as session:
            dial = session.shell.dial
        try:
            wait_for_host_key(
                address,
                state.ssh_host_key,
                op.work(machine_class.boot_seconds),
                dial=dial,
            )
        except HostKeyError as error:
            console = f"virsh -c '{libvirt_uri(state.connection, machine_class.driver)}' console {state.name}"
            raise InitFailed(
                made,
                f"{state.name} was started but isn't ready: {error}. See what it does with `{console}`. "
                "The next `pulumi up` goes on waiting for it.",
            ) from error
        with self.session(op, state.connection) as session:
            machine = _machine(op, session, state)
            if machine.exists:
                machine.wipe_seed()


def _machine(op: Operation, session: HostSession, inputs: MachineInputs) -> Machine:
    """Return the machine that inputs, or a state, are about."""
    return MACHINES[inputs.machine_type](session, inputs.pool, inputs.name, mark_for(op, inputs.instance))


def _stands(machine: Machine, inputs: MachineInputs, *, whatever: bool) -> bool:
    """Return whether the wanted machine stands; where it doesn't, it is to be made.

    Args:
        machine: The machine.
        inputs: What is wanted.
        whatever: An instance is adopted: what differs is in the state then, and the next `up` says what of it.

    Raises:
        NotOurs: A domain of that name isn't ours.
        HostError: It holds the data of another cluster, which replacing it would cost.
    """
    if not machine.exists or machine.is_disk_gone():
        return False
    view = machine.definition
    if whatever or may_take_over(view, inputs):
        return True
    node = inputs.first_boot.node
    refuse_other_cluster(view.record.get("firstBoot") or {}, inputs.name, node.to_wire() if node else None)
    return False


def _build(op: Operation, machine: Machine, inputs: MachineInputs, *, has_data: bool) -> None:
    """Make the machine, with a host key of its own; with a data volume, of which a container knows nothing."""
    host_key, traits = generate_host_key(), TRAITS[inputs.machine_type]
    mounts_data = has_data and not traits.shares_kernel
    seed = Seed(inputs.name, inputs.first_boot, traits, inputs.node_settings, mounts_data)
    wanted = definition_of(inputs, machine.mark, {"sshHostKey": host_key.public_openssh})
    files = seed.render(host_key, inputs.node_secrets or NO_SECRETS)
    machine.create(wanted, inputs.image, inputs.disk_gib, files, op.work(), has_data=has_data)


def _settle(op: Operation, machine: Machine, inputs: MachineInputs) -> MachineState:
    """Bring a machine that stands to its inputs; return its state then."""
    wanted = definition_of(inputs, machine.mark, history_of(machine))
    machine.settle(wanted, inputs.disk_gib, running=inputs.running, work=op.work())
    return state_of(machine, inputs)
