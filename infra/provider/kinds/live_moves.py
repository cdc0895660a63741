"""A VM whose host drains live comes to its new host as it runs: how it is brought."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, Literal

import libvirt

from infra.kvm.connection import HostSession
from infra.kvm.domain_xml import DomainView, drives_of
from infra.kvm.errors import HostError
from infra.kvm.machines import MACHINES
from infra.kvm.migration import migrate
from infra.kvm.ownership import Mark
from infra.kvm.vm import Vm
from infra.plugin.operation import Operation
from infra.resources.machine import MachineInputs
from infra.ssh import DIAL_SECONDS, Connection, HostKeyError, wait_for_host_key

MIGRATIONS: Final = "migrations"
"""The key in a domain's record: how often the machine has migrated."""

_TURN_SECONDS: Final = 0.5
_FIRST_BOOT_SECONDS: Final = 300.0

Session = Callable[[Operation, str], AbstractContextManager[HostSession]]


@dataclass(frozen=True)
class Standing:
    """A machine's domain on one of the two hosts.

    Attributes:
        view: its definition.
        is_active: whether it has a process there.
        is_running: whether that also runs, and isn't paused.
    """

    view: DomainView
    is_active: bool
    is_running: bool

    @property
    def migrations(self) -> int:
        """Return how often it had migrated when it was defined here: the higher number is the machine."""
        return migrations_of(self.view)


def migrations_of(view: DomainView) -> int:
    """Return how often a machine has migrated."""
    return int(view.record.get(MIGRATIONS, 0))


def may_take_over(view: DomainView, inputs: MachineInputs) -> bool:
    """Return whether a machine that stands is the one that is wanted, so that it needn't be made.

    It was born as it would be now. A node that has migrated may be of an older image, as nodes that stay are.
    """
    is_same = view.record.get("image") == inputs.image and view.record.get("seedDigest") == inputs.seed_digest
    return _has_same_hardware(view, inputs) and (
        is_same or (inputs.first_boot.node is not None and migrations_of(view) > 0)
    )


def choose_arrival(
    here: Standing | None, there: Standing, inputs: MachineInputs
) -> Literal["migrate", "take over"]:
    """Decide how a machine comes to its new host.

    Args:
        here: what the new host has of it.
        there: what the old one has of it.
        inputs: what is wanted.

    Raises:
        HostError: neither is safe; the message says what to do.
    """
    name, target = inputs.name, inputs.connection
    if here is not None and here.migrations > there.migrations:
        if there.is_active:
            raise HostError(
                f"{name} has migrated to {target}, but the old one was started again on its old host: stop that "
                f"(`virsh destroy {name}` there), and run `pulumi up` again"
            )
        return "take over"
    if here is not None and here.is_active:
        raise HostError(
            f"{name} runs on its old host and on {target}, too. Find out which of them is to stay, remove the "
            f"other one (`virsh destroy {name}`, `virsh undefine {name} --nvram`), and run `pulumi up` again"
        )
    if not there.is_running:
        state = "is paused" if there.is_active else "is shut off"
        verb = "resume" if there.is_active else "start"
        raise HostError(
            f"{name} {state} on the host that drains live, and only what runs migrates. Run `virsh {verb} {name}` "
            "there, and `pulumi up` again; or write `drain: true`: it is then re-created elsewhere, without data"
        )
    if not _has_same_hardware(there.view, inputs):
        raise HostError(
            f"{name} can't migrate to {target}: it was made with another network, MAC address, firmware or TPM "
            "than it would have there. Take the change back, or write `drain: true` to have it re-created there"
        )
    return "migrate"


def bring(op: Operation, inputs: MachineInputs, mark: Mark, session: Session, turn: threading.Lock) -> bool:
    """Bring the machine from a host that drains live, if one of those has it; return whether it has come.

    Args:
        op: the operation.
        inputs: what is wanted.
        mark: whose it is.
        session: lends hosts.
        turn: held by the one migration of this process: each has the whole link, and is done the sooner.

    Raises:
        HostError: it is there and can't be brought; it stays as it is.
        Interrupted: the run was cancelled; likewise.
    """
    machine_class = MACHINES[inputs.machine_type]
    if not issubclass(machine_class, Vm):
        return False
    for connection in inputs.migrates_from:
        if connection == inputs.connection or not _has(op, session, connection, machine_class, inputs.name, mark):
            continue
        with (
            _turn(op, turn, inputs.name),
            session(op, connection) as source,
            session(op, inputs.connection) as target,
        ):
            there = machine_class.find(source, inputs.name, mark)
            if there is None:
                return False  # somebody removed it since
            return _arrive(op, there, machine_class(target, inputs.pool, inputs.name, mark), inputs, session)
    return False


def _has(op: Operation, session: Session, connection: str, machine_class: type[Vm], name: str, mark: Mark) -> bool:
    with session(op, connection) as host:
        return machine_class.find(host, name, mark) is not None


def _arrive(op: Operation, there: Vm, here: Vm, inputs: MachineInputs, session: Session) -> bool:
    before = _standing(there)
    way = choose_arrival(_standing(here) if here.exists else None, before, inputs)
    if way == "take over":
        op.status("taking over the machine that a run which was interrupted has brought")
        here.domain.setAutostart(True)
        there.retire(here.host.connection)
        return True
    _finish_first_boot(op, there, inputs, session)
    here.remove()  # a definition here is of an earlier stay, which a later move left behind
    record = {**before.view.record, "pool": inputs.pool, MIGRATIONS: before.migrations + 1}
    migrate(there, here, record, op.work())
    op.info(f"{inputs.name} migrated from {there.host.connection} to {inputs.connection} as it ran")
    return True


def _finish_first_boot(op: Operation, there: Vm, inputs: MachineInputs, session: Session) -> None:
    """Wipe the seed of a machine that an earlier run didn't wait for, once it has read it: it holds keys."""
    if not drives_of(there.domain.XMLDesc()).seed:
        return
    with session(op, inputs.reached_through or inputs.connection) as host:
        dial_from_there = host.shell.dial

    def dial(address: str, port: int, *, timeout: float = DIAL_SECONDS) -> Connection:
        """Where only its own host reaches it, that is still the old one."""
        try:
            return dial_from_there(address, port, timeout=timeout)
        except OSError:
            return there.host.shell.dial(address, port, timeout=timeout)

    try:
        wait_for_host_key(
            inputs.first_boot.host_address,
            there.definition.record["sshHostKey"],
            op.work(_FIRST_BOOT_SECONDS),
            dial=dial,
        )
    except HostKeyError as error:
        raise HostError(
            f"{inputs.name} can't leave {there.host.connection} live before it has finished its first boot: "
            f"{error}. Once it answers, run `pulumi up` again"
        ) from error
    there.wipe_seed()


@contextmanager
def _turn(op: Operation, turn: threading.Lock, name: str) -> Iterator[None]:
    while not turn.acquire(timeout=_TURN_SECONDS):
        op.status(f"waiting until another machine has migrated before {name}")
        op.check_cancelled()
    try:
        yield
    finally:
        turn.release()


def _standing(machine: Vm) -> Standing:
    is_running = machine.domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
    return Standing(machine.definition, machine.is_active, is_running)


def _has_same_hardware(view: DomainView, inputs: MachineInputs) -> bool:
    return (
        view.machine_type == inputs.machine_type
        and view.network == inputs.network
        and view.mac_address == inputs.mac_address
        and (view.secure_boot, view.tpm) == (inputs.secure_boot, inputs.tpm)
    )
