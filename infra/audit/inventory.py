"""What a host had before the first object of an instance: noted there, beside the instance's claim.

The note goes with the last of the instance. Whoever takes an instance away and wants a proof reads it before.
"""

from __future__ import annotations

from datetime import UTC, datetime

from infra.audit.ask import ask
from infra.audit.marks import Marks
from infra.audit.model import Inventory, Scope
from infra.audit.view import inventory_of, inventory_path, inventory_text
from infra.kvm.claim import claim_file
from infra.ssh import Shell


def take(shell: Shell, scope: Scope) -> Inventory | None:
    """Return what a host has; None where something of the instance is there already, or a note was made before.

    Raises:
        ShellError: The host doesn't answer.
    """
    observed = ask(shell, scope.directory)
    marks, claim = Marks(scope, observed), claim_file(scope.directory)
    ours = (thing for thing in observed.objects if thing.name != claim and marks.of(thing) is not None)
    if observed.inventory is not None or any(ours):
        return None
    return inventory_of(observed, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))


def note(shell: Shell, directory: str, inventory: Inventory) -> None:
    """Write it beside the claim, once that is made: what a killed run leaves is known by the claim.

    Raises:
        ShellError: It can't be written.
    """
    shell.write_file(inventory_path(directory), inventory_text(inventory).encode())


def forget(shell: Shell, directory: str) -> None:
    """Take the note away.

    Raises:
        ShellError: It can't be.
    """
    shell.run(["rm", "--force", "--", inventory_path(directory)])
