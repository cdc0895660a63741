"""Ask hosts what stands there: one command each, all hosts at the same time, in bounded time."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Final, TypeVar

from infra.audit.judge import judge
from infra.audit.model import Inventory, Observed, Place, Scope
from infra.audit.view import facts, inventory_path, observe, read_inventory
from infra.hosts.facts import batch
from infra.ssh import CommandError, Shell, ShellError, SshError, read_if_there, root_shell

T = TypeVar("T")

HOST_SECONDS: Final = 20.0
"""What a host may take in all; one that answers takes less than a second."""
_COMMAND_SECONDS: Final = 8
_NOTE_SECONDS: Final = 5.0


def ask(shell: Shell, directory: str, seconds: float = HOST_SECONDS) -> Observed:
    """Return what stands on a host; `unseen` has what its commands didn't tell.

    Raises:
        ShellError: It can't be asked at all.
    """
    boundary = f"=azlocal-{secrets.token_hex(8)}="
    script = batch.script(facts(directory), boundary, _COMMAND_SECONDS)
    try:
        text = shell.run(["sh"], input=script, timeout=seconds, check=False).stdout
    except CommandError as error:
        text = error.stdout  # what came before it hung
        if boundary not in text:
            raise
    return observe(directory, batch.answers(text, boundary))


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
        for scope, answer in zip(scopes, _at_once(place, scopes, seconds), strict=True)
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

    return _at_once(read, scopes, _NOTE_SECONDS)


def _at_once(do: Callable[[Scope], T], scopes: Sequence[Scope], seconds: float) -> list[T | None]:
    """Do something for all hosts at the same time; None for those that don't end within so many seconds."""
    answers: dict[int, T] = {}

    def run(number: int, scope: Scope) -> None:
        answers[number] = do(scope)

    # Daemons: a login that hangs must not keep the process from ending.
    threads = [
        threading.Thread(target=run, args=(number, scope), name=f"audit {scope.host}", daemon=True)
        for number, scope in enumerate(scopes)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds + 1
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [answers.get(number) for number in range(len(scopes))]
