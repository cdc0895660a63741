"""Waiting for what comes in its own time, and telling slow code from a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Answer = TypeVar("Answer")


def eventually(ask: Callable[[], Answer], what: str, seconds: float = 90, *, every: float = 0.1) -> Answer:
    """Ask until the answer is true-ish, and return it.

    Args:
        ask: what is asked; it may raise once the answer can't come any more.
        what: what is waited for, told where it doesn't come.
        seconds: how long.
        every: the pause between two questions.
    """
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(every)
    return answer


@contextmanager
def waits_less_than(seconds: float, why: str = "") -> Iterator[None]:
    """Require that the block doesn't sit through a wait of known length; how fast it is, `make bench` says.

    Args:
        seconds: the wait that is to be spared: a time limit, a pause, the other side's sleep. A busy machine may
            take all of it.
        why: what it means where it happens after all.
    """
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    assert took < seconds, f"it took {took:.0f} s, and a wait of {seconds:.0f} s was to be spared. {why}".rstrip()


def has_ended(pid: int) -> bool:
    """Return whether a process is gone, or waits only for its parent to take its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def takes_less_than(seconds: float, act: Callable[[], object], attempts: int = 5) -> bool:
    """Return whether an action takes less than this in one of a few attempts.

    On a busy machine everything takes long now and then; what waits too long by itself does so each time.
    """
    return any(_seconds_of(act) < seconds for _ in range(attempts))


def _seconds_of(act: Callable[[], object]) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started
