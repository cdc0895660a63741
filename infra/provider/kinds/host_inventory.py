"""The Host kind's part that notes what a host has before the instance's first object: `down` proves by it."""

from __future__ import annotations

from infra.audit import inventory
from infra.audit.model import Inventory, Scope
from infra.kvm.connection import HostSession
from infra.plugin.operation import Operation
from infra.resources.host import HostInputs
from infra.ssh import ShellError


def take(op: Operation, session: HostSession, inputs: HostInputs) -> Inventory | None:
    """Return what the host has; None where something of the instance stands already, or it can't be told."""
    op.status("noting what stands there")
    scope = Scope(
        inputs.instance,
        op.stack,
        inputs.name,
        inputs.connection,
        inputs.storage_directory,
        machine_names=frozenset(inputs.machines),
    )
    try:
        return inventory.take(session.shell, scope)
    except ShellError as error:
        op.info(f"what {inputs.name} has couldn't be noted, so an audit goes by marks alone there: {error}")
        return None


def note(session: HostSession, inputs: HostInputs, before: Inventory | None) -> None:
    """Write it on the host, once the instance is claimed there."""
    if before is not None:
        inventory.note(session.shell, inputs.storage_directory, before)


def forget(session: HostSession, inputs: HostInputs) -> None:
    """Take the note away with the last of the instance."""
    inventory.forget(session.shell, inputs.storage_directory)
