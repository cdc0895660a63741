"""The Host kind: reach it, learn what it can run, keep azlocal's folder and pool on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra.kvm import clone_store, host_folders, probe
from infra.kvm.boot import boot_id
from infra.kvm.capacity import read_capacity
from infra.kvm.connection import HostSession
from infra.kvm.errors import HostError
from infra.kvm.limits import raise_shared_limits
from infra.kvm.machines import MACHINES, owned_machines
from infra.kvm.networks import remove_network
from infra.kvm.ownership import Mark
from infra.kvm.storage import ensure_pool, find_pool, remove_pool
from infra.model.machine import MachineType
from infra.model.machine_traits import TRAITS, candidates
from infra.plugin.operation import Operation
from infra.plugin.values import UNKNOWN
from infra.provider.kind import Changes, Made
from infra.provider.kinds.base import HostedKind, mark_for, parse_id
from infra.provider.kinds.host_owner import (
    VOLUMES,
    check_may_remove,
    check_owner,
    check_still_ours,
    give_up_possession,
    imported_owner,
    pool_name,
    standing_directory,
    take_possession,
)
from infra.resources.contract import Fault
from infra.resources.host import HOST, HostInputs, HostState
from infra.ssh import CommandError, ShellError

_SEEDS: Final = f"/{host_folders.SEEDS}"


class HostKind(HostedKind[HostInputs, HostState]):
    """A KVM host. Everything else of the instance depends on it, so it is made first and removed last.

    What looks at a host and prepares it is imported by what does so: a run that changes nothing doesn't.
    """

    contract = HOST

    def check(self, inputs: dict[str, Any], unknown: frozenset[str]) -> list[Fault]:
        """Learn which host is lost: every run that could remove something from it checks it before that."""
        if inputs["lost"] is True and "connection" not in unknown:
            self._hosts.give_up(inputs["connection"])
        return []

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """Say what a host's loss or return means, which no property shows."""
        if changes.touches("lost") and not changes.replaces():
            if news["lost"]:
                op.info(f"{news['name']} is given up: what it has is forgotten, and nothing there is removed")
            else:
                op.info(f"{news['name']} is taken back: machines on it that belong elsewhere by now are removed")

    def preview(self, op: Operation, inputs: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
        """Tell how machines will run where the program says it, and what the host lacks where it answers."""
        if inputs.get("lost"):
            return {}
        known = {"owner": None, **inputs}  # of a state that is only begun, the id isn't drawn yet
        if HostInputs.model_fields.keys() <= {HOST.python_names.get(name, name) for name in known}:
            from infra.provider.kinds.host_preparation import foresee

            foresee(op, HostInputs.model_validate(known), mark_for(op, inputs["instance"]))
        requested = inputs.get("requestedMachineType", "auto")
        outputs: dict[str, Any] = {"pool": pool_name(inputs["instance"])} if "instance" in inputs else {}
        if requested != "auto":
            outputs["machineType"] = requested
        elif old and old["requestedMachineType"] != "auto":
            outputs |= {"machineType": UNKNOWN, "machineTypeReason": UNKNOWN}
        return outputs

    def create(self, op: Operation, inputs: HostInputs) -> Made[HostState]:
        """Make what the host lacks, its storage directory and pool, and find out what it runs."""
        if inputs.lost:
            return self.made(_unasked(inputs))
        from infra.provider.kinds import host_inventory
        from infra.provider.kinds.host_preparation import make_ready

        mark = mark_for(op, inputs.instance)
        with self.session(op, inputs.connection) as session:
            check_owner(session.shell, inputs)
            before = host_inventory.take(op, session, inputs)
            make_ready(op, session, inputs, mark)
            possession = take_possession(op, session, inputs, mark, is_unknown=True)
            try:
                host_inventory.note(session, inputs, before)
                _make_storage(op, session, inputs, mark)
            except (HostError, ShellError):
                if possession.is_new:
                    give_up_possession(session, inputs)  # there is nothing that it could stand for
                    host_inventory.forget(session, inputs)
                raise
            if possession.has_others:
                _sweep(op, session, inputs, mark, "which another state made")
            _remove_strays(op, session, inputs, mark)
            op.status("finding out how machines can run here")
            chosen = _choose(session, inputs)
            _allow_containers(op, session, chosen)
            if TRAITS[chosen[0]].shares_kernel:
                op.info(f"machines on {inputs.name} are containers; {probe.SHARED_WITH_HOST}")
            return self.made(_state(session, inputs, chosen, prepared=True))

    def read(self, op: Operation, id: str, old: HostState | None) -> HostState | None:
        """Return the host's facts; None when the instance's pool isn't on it."""
        if old and old.lost:
            return old
        from infra.provider.kinds.host_preparation import is_prepared

        connection, instance = parse_id(id, "local")
        mark = mark_for(op, instance)
        with self.session(op, connection) as session:
            directory = standing_directory(session, mark)
            if directory is None:
                return None
            if old:
                known = HostInputs(**old.model_dump(include=set(HostInputs.model_fields)))
                inputs = known.model_copy(update={"owner": check_still_ours(session.shell, known)})
                chosen = (old.machine_type, old.machine_type_reason)
            else:
                inputs = HostInputs(
                    instance=instance,
                    name=op.urn.rsplit("::", 1)[-1],
                    connection=connection,
                    storage_directory=directory,
                    owner=imported_owner(session.shell, directory),
                )
                chosen = _choose(session, inputs)
            prepared = is_prepared(session, inputs, mark)
            return _state(session, inputs, chosen, prepared=prepared)

    def update(self, op: Operation, id: str, old: HostState, inputs: HostInputs) -> HostState:
        """Make what the host lacks; mount and start again what a reboot or a hand has stopped."""
        if inputs.lost:
            return HostState(**(old.model_dump() | inputs.model_dump()))
        from infra.provider.kinds.host_preparation import make_ready

        mark = mark_for(op, inputs.instance)
        with self.session(op, inputs.connection) as session:
            check_owner(session.shell, inputs)
            make_ready(op, session, inputs, mark)
            possession = take_possession(op, session, inputs, mark, is_unknown=False)
            _make_storage(op, session, inputs, mark)
            if possession.has_others:
                _sweep(op, session, inputs, mark, "which another state made")
            if old.lost:
                _remove_strays(op, session, inputs, mark)
            chosen = _choose(session, inputs)
            _allow_containers(op, session, chosen)
            return _state(session, inputs, chosen, prepared=True)

    def delete(self, op: Operation, id: str, old: HostState) -> None:
        """Remove it, or forget it if it is lost: that, state says itself."""
        if old.lost:
            self._hosts.give_up(old.connection)
        super().delete(op, id, old)

    def remove(self, op: Operation, old: HostState) -> None:
        """Remove what carries the instance's mark, the pool and storage directory, our part of the network."""
        from infra.provider.kinds import host_inventory
        from infra.provider.kinds.host_preparation import withdraw_from

        mark = mark_for(op, old.instance)
        with self.session(op, old.connection) as session:
            check_may_remove(session.shell, old)
            # A reboot may have unmounted it or stopped the pool: what it holds is seen before it is removed.
            _make_storage(op, session, old, mark)
            _sweep(op, session, old, mark, "left by an interrupted run")
            # Of machines that somebody removed by hand, and a refresh then from state.
            MACHINES[old.machine_type].remove_traces(session, old.machines, mark)
            host_folders.refuse_foreign(session.shell, old.storage_directory, old.instance)
            remove_pool(session.qemu, pool_name(old.instance), mark)
            host_folders.remove(session.shell, old.storage_directory, old.instance)
            clone_store.remove(session.shell, old.storage_directory)
            give_up_possession(session, old)
            host_inventory.forget(session, old)
            withdraw_from(op, session, old, mark)


def _make_storage(op: Operation, session: HostSession, inputs: HostInputs, mark: Mark) -> None:
    op.status(f"preparing {inputs.storage_directory}")
    clone_store.ensure(session.shell, inputs.storage_directory)
    session.shell.make_directory(inputs.storage_directory + VOLUMES, mode=0o711)
    session.shell.make_directory(inputs.storage_directory + _SEEDS, mode=0o700)
    ensure_pool(session.qemu, pool_name(inputs.instance), inputs.storage_directory + VOLUMES, mark)


def _choose(session: HostSession, inputs: HostInputs) -> tuple[MachineType, str]:
    return probe.choose_machine_type(
        inputs.requested_machine_type,
        session.qemu,
        lambda: session.lxc,
        pool_name(inputs.instance),
        session.shell,
    )


def _allow_containers(op: Operation, session: HostSession, chosen: tuple[MachineType, str]) -> None:
    """Raise the limits that containers share; where that can't be, a few machines may work all the same."""
    if not TRAITS[chosen[0]].shares_kernel:
        return
    try:
        changed = raise_shared_limits(session.shell)
    except CommandError as error:
        op.warning(f"a limit that all containers share can't be raised, so many may not start: {error}")
    else:
        if changed:
            op.info(f"raised for containers, until the host's next boot: {', '.join(changed)}")


def _state(
    session: HostSession, inputs: HostInputs, chosen: tuple[MachineType, str], *, prepared: bool
) -> HostState:
    facts = read_capacity(session.qemu)
    store = clone_store.inspect(session.shell, inputs.storage_directory)
    pool = find_pool(session.qemu, pool_name(inputs.instance))
    machine_type, reason = chosen
    return HostState(
        **inputs.model_dump(exclude={"available", "prepared"}),
        prepared=prepared,
        available=store is not None and pool is not None and bool(pool.isActive()),
        pool=pool_name(inputs.instance),
        machine_type=machine_type,
        machine_type_reason=reason,
        clone_store=store.kind if store else "unmounted",
        architecture=facts.architecture,
        cpus=facts.cpus,
        memory_mib=facts.memory_mib,
        secure_boot=facts.secure_boot,
        tpm=facts.tpm,
        boot_id=boot_id(session.shell),
    )


def _unasked(inputs: HostInputs) -> HostState:
    """Return the state of a host that was lost before anything was made on it."""
    requested = inputs.requested_machine_type
    return HostState(
        **inputs.model_dump(),
        pool=pool_name(inputs.instance),
        machine_type=candidates(requested)[0],
        machine_type_reason="the host is lost, and wasn't asked",
        clone_store="unmounted",
        architecture="",
        cpus=0,
        memory_mib=0,
        secure_boot=False,
        tpm=False,
    )


def _remove_strays(op: Operation, session: HostSession, inputs: HostInputs, mark: Mark) -> None:
    """Remove machines of ours that were re-created elsewhere while the host was away, with the same addresses."""
    _remove_machines(op, session, inputs.instance, mark, frozenset(inputs.machines), "which belongs elsewhere")


def _sweep(op: Operation, session: HostSession, inputs: HostInputs, mark: Mark, why: str) -> None:
    """Remove marked objects that state doesn't know: a run was killed, and then nothing wanted them."""
    _remove_machines(op, session, inputs.instance, mark, frozenset(), why)
    for network in session.qemu.listAllNetworks():
        if mark.owns("network", network.name(), network.UUIDString()):
            op.info(f"removing network {network.name()}, {why}")
            remove_network(session, network.name(), mark)


def _remove_machines(
    op: Operation, session: HostSession, instance: str, mark: Mark, staying: frozenset[str], why: str
) -> None:
    for machine in owned_machines(session, pool_name(instance), mark):
        if machine.name not in staying:
            op.info(f"removing {machine.name}, {why}")
            machine.remove()
