"""What a host had before the first object of an instance: noted there, beside the instance's claim.

The note goes with the last of the instance. Whoever takes an instance away and wants a proof reads it before.
"""

from __future__ import annotations

from datetime import UTC, datetime

from infra.audit.ask import ask
from infra.audit.marks import Marks
from infra.audit.model import Scope
from infra.audit.view import inventory_of, inventory_path, inventory_text
from infra.ssh import Shell


def note(shell: Shell, scope: Scope) -> bool:
    """Note what a host has, unless something of the instance is there already; return whether that was done.

    Raises:
        ShellError: The host doesn't answer, or the note can't be written.
    """
    observed = ask(shell, scope.directory)
    marks = Marks(scope, observed)
    if observed.inventory is not None or any(marks.of(thing) is not None for thing in observed.objects):
        return False
    path = inventory_path(scope.directory)
    shell.make_directory(path.rpartition("/")[0] or "/")
    taken = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    shell.write_file(path, inventory_text(inventory_of(observed, taken)).encode())
    return True


def forget(shell: Shell, directory: str) -> None:
    """Take the note away.

    Raises:
        ShellError: It can't be.
    """
    shell.run(["rm", "--force", "--", inventory_path(directory)])
