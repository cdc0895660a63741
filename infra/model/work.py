"""What an effect may know of who waits for it: until when, whether it is to stop, and where progress is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from infra.errors import DeadlineExceeded, Interrupted


def _silently(text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Work:
    """One piece of work that somebody waits for.

    Attributes:
        deadline: on the monotonic clock.
        cancelled: ends it soon; what was made stands.
        status: takes what is done, or waited for, at the moment.
        info: takes what must be read afterwards, too.
    """

    deadline: float = float("inf")
    cancelled: threading.Event = field(default_factory=threading.Event)
    status: Callable[[str], None] = _silently
    info: Callable[[str], None] = _silently

    @property
    def remaining(self) -> float:
        """Return the seconds until the deadline, none when it is over."""
        return max(0.0, self.deadline - time.monotonic())

    def within(self, seconds: float) -> Work:
        """Return the same for a step that may take so long at most."""
        return replace(self, deadline=min(self.deadline, time.monotonic() + seconds))

    def with_own_limit(self, seconds: float) -> Work:
        """Return the same for a step that has so long, whatever is left: cut short, it would cost more."""
        return replace(self, deadline=time.monotonic() + seconds)

    def check(self, doing: str) -> None:
        """Go on only while there is time and nobody wants to stop.

        Raises:
            Interrupted: it was cancelled.
            DeadlineExceeded: the time is over.
        """
        if self.cancelled.is_set():
            raise Interrupted(f"stopped on request: {doing}; the next run goes on from here")
        if not self.remaining:
            raise DeadlineExceeded(f"{doing}: the time for it is over; the next run goes on from here")

    def wait(self, seconds: float, doing: str) -> None:
        """Wait a moment, to the deadline at most, which is the caller's to notice: it knows what is missing then.

        Raises:
            Interrupted: it was cancelled.
        """
        if self.cancelled.wait(min(seconds, self.remaining)):
            self.check(doing)
