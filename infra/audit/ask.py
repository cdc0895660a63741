"""Ask hosts what stands there: one command each, all hosts at the same time, in bounded time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Final

from infra.audit.judge import judge
from infra.audit.model import Inventory, Observed, Place, Scope
from infra.audit.view import facts, inventory_path, observe, read_inventory
from infra.hosts.asking import answers_of
from infra.in_time import in_time
from infra.ssh import Shell, ShellError, SshError, read_if_there, root_shell

HOST_SECONDS: Final = 20.0
"""What a host may take in all; one that answers takes less than a second."""
_COMMAND_SECONDS: Final = 8
_NOTE_SECONDS: Final = 5.0


def ask(shell: Shell, directory: str, seconds: float = HOST_SECONDS) -> Observed:
    """Return what stands on a host; `unseen` has what its commands didn't tell.

    Raises:
        ShellError: It can't be asked at all.
    """
    answers = answers_of(shell, facts(directory), seconds=seconds, command_seconds=_COMMAND_SECONDS)
    return observe(directory, answers)


def look(
    scopes: Sequence[Scope],
    *,
    inventories: Sequence[Inventory | None] = (),
    strict: bool = False,
    seconds: float = HOST_SECONDS,
) -> tuple[Place, ...]:
    """Return what an audit says of hosts, in their order; one that doesn't answer is said not to be looked at.

    Args:
        scopes: What of the instance is to stand on each.
        inventories: What they had before, where that was read before the host's own note went.
        strict: See `judge`.
        seconds: What a host may take.
    """
    noted = {scope.host: before for scope, before in zip(scopes, inventories, strict=False)}

    def place(scope: Scope) -> Place:
        if scope.is_lost:
            return Place(scope.host, given_up="the hosts file gives it up (lost: true)")
        try:
            with closing(root_shell(scope.connection)) as shell:
                observed = ask(shell, scope.directory, seconds)
        except ShellError as error:
            return Place(scope.host, unseen={"": str(error)})
        except Exception as error:  # noqa: BLE001 - the thread's edge: the audit says that it wasn't looked at
            return Place(scope.host, unseen={"": f"azlocal itself failed ({type(error).__name__}: {error})"})
        inventory = observed.inventory or noted.get(scope.host)
        return judge(scope, replace(observed, inventory=inventory), strict=strict)

    silent = f"it said nothing within {seconds:.0f} s"
    return tuple(
        answer if answer is not None else Place(scope.host, unseen={"": silent})
        for scope, answer in zip(scopes, in_time(place, scopes, seconds + 1), strict=True)
    )


def read_inventories(scopes: Sequence[Scope]) -> list[Inventory | None]:
    """Return what hosts had before the instance, as they note it; None where they don't, or don't answer."""

    def read(scope: Scope) -> Inventory | None:
        if scope.is_lost:
            return None
        try:
            with closing(root_shell(scope.connection)) as shell:
                content = read_if_there(shell, inventory_path(scope.directory))
        except (SshError, ShellError):
            return None
        return read_inventory(content.decode(errors="replace")) if content else None

    return in_time(read, scopes, _NOTE_SECONDS + 1)
