"""Commands on a host that is only asked: each with a time limit, none beyond the host's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, Queue
from typing import Final, TypeVar

from infra.doctor.facts import Unknown
from infra.hosts.facts import Fact
from infra.model.work import Work
from infra.ssh import CommandError, CommandResult, Shell, ShellError, SshError

T = TypeVar("T")
Other = TypeVar("Other")

COMMAND_SECONDS: Final = 10.0
_NOT_FOUND: Final = 127
_OVERDUE_IN_A_ROW: Final = 2
_SHOWN: Final = 300


class Unlearned(Exception):
    """Something of a host couldn't be learned; the message says why."""


def time_for(work: Work, most: float) -> float:
    """Return how many seconds something may take, `most` at best.

    Raises:
        Unlearned: none.
    """
    if not work.remaining:
        raise Unlearned("the host wasn't asked: the time was over")
    return min(most, work.remaining)


class Commands:
    """Runs commands that change nothing; as root where the user is root or becomes it without a password."""

    def __init__(self, shell: Shell, work: Work, root_prefix: tuple[str, ...] | None) -> None:
        """Make it.

        Args:
            shell: The host's.
            work: Until when the host is asked.
            root_prefix: What a command as root begins with; None when there is no way to be root.
        """
        self.shell = shell
        self.work = work
        self.lost: str | None = None  # why the host doesn't answer any more
        self._overdue = 0
        self._root_prefix = root_prefix

    def output(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        as_root: bool = False,
        seconds: float = COMMAND_SECONDS,
        check: bool = True,
    ) -> str:
        """Return what a command printed.

        Args:
            check: Whether an exit code other than 0 is a failure; otherwise what was printed counts all the same.

        Raises:
            Unlearned: It failed, isn't installed or didn't end in time.
        """
        result = self._result(argv, input, as_root=as_root, seconds=seconds)
        if result.exit_code == _NOT_FOUND:
            raise Unlearned(f"`{argv[0]}` isn't installed there")
        if check and result.exit_code != 0:
            message = (result.stderr.strip() or result.stdout.strip())[-_SHOWN:]
            raise Unlearned(f"`{argv[0]}` ended with code {result.exit_code}: {message}")
        return result.stdout

    def learn(self, fact: Fact[T]) -> T:
        """Return a fact.

        Raises:
            Unlearned: as `output`.
            ValueError, KeyError, TypeError, IndexError: the command printed something it shouldn't.
        """
        return fact.parse(self.output(fact.argv, input=fact.input, as_root=fact.as_root, check=fact.must_succeed))

    def learn_or(self, other: Other, fact: Fact[T]) -> T | Other:
        """Return a fact, or something else where its command fails."""
        try:
            return self.learn(fact)
        except Unlearned:
            return other

    def _result(self, argv: Sequence[str], input: bytes | None, *, as_root: bool, seconds: float) -> CommandResult:
        prefix: tuple[str, ...] = ()
        if as_root:
            if self._root_prefix is None:
                raise Unlearned("only root may ask that there, and sudo wants a password")
            prefix = self._root_prefix
        try:
            result = self.shell.run(
                (*prefix, *argv), input=input, timeout=time_for(self.work, seconds), check=False
            )
        except CommandError as error:
            self._overdue += 1
            if self._overdue >= _OVERDUE_IN_A_ROW:
                self.lost = f"{self.shell.host} stopped answering: {self._overdue} commands in a row didn't end"
            raise Unlearned(f"`{argv[0]}` didn't end within {seconds:.0f} s") from error
        except SshError as error:
            self.lost = str(error)
            raise Unlearned(str(error)) from error
        except ShellError as error:
            raise Unlearned(str(error)) from error
        self._overdue = 0
        return result


def within(seconds: float, ask: Callable[[], T], what: str) -> T:
    """Return a fact from something that has no time limit of its own.

    Args:
        seconds: How long to wait; what goes on longer is left to itself, and ends with this process.
        ask: Asks.
        what: Names it in the error.

    Raises:
        Unlearned: There was no answer in time.
    """
    answers: Queue[T | Exception] = Queue()

    def run() -> None:
        try:
            answers.put(ask())
        except Exception as error:  # noqa: BLE001  raised again by who waits
            answers.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise Unlearned(f"{what} didn't answer within {seconds:.0f} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def learned(ask: Callable[[], T]) -> T | Unknown:
    """Return a fact, or why it can't be had: the command failed, or printed something it shouldn't."""
    try:
        return ask()
    except Unlearned as error:
        return Unknown(str(error))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        return Unknown(f"the host's answer can't be read ({type(error).__name__}: {error})")
