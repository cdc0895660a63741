"""Doing something for several at the same time, in bounded time: who hangs holds up nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar
from weakref import WeakSet

S = TypeVar("S")
T = TypeVar("T")

_STARTED: Final[WeakSet[threading.Thread]] = WeakSet()


def in_time(do: Callable[[S], T], things: Sequence[S], seconds: float) -> list[T | None]:
    """Do something for all things at the same time; None for those that don't end within so many seconds.

    Args:
        do: It; what it raises counts as not ended.
        things: What it is done for.
        seconds: What all of them have together.
    """
    answers: dict[int, T] = {}

    def run(number: int, thing: S) -> None:
        answers[number] = do(thing)

    # Daemons: a login that hangs must not keep the process from ending.
    threads = [
        threading.Thread(target=run, args=(number, thing), daemon=True) for number, thing in enumerate(things)
    ]
    _STARTED.update(threads)
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [answers.get(number) for number in range(len(things))]


def is_late() -> bool:
    """Return whether anybody still hangs: pools of theirs would keep the process from ending in order."""
    return any(thread.is_alive() for thread in _STARTED)
