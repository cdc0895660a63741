"""How long somebody waits, who may stop it, and where progress is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypedDict

from infra.arc.errors import NotInTime
from infra.errors import Interrupted

Status = Callable[[str], None]

_FOREVER: Final = float("inf")


class Bounds(TypedDict):
    """What a caller bounds a wait by.

    Attributes:
        deadline: On the monotonic clock.
        cancelled: Ends the wait soon; what was made stands.
        status: Takes what is waited for.
    """

    deadline: float
    cancelled: threading.Event
    status: Status


def _say_nothing(text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Patience:
    """One wait's bounds, as `Bounds` has them."""

    deadline: float = _FOREVER
    cancelled: threading.Event = field(default_factory=threading.Event)
    status: Status = _say_nothing

    @property
    def bounds(self) -> Bounds:
        """Return the same for a callee."""
        return {"deadline": self.deadline, "cancelled": self.cancelled, "status": self.status}

    @property
    def left(self) -> float:
        """Return the seconds that are left, none when it is over."""
        return max(0.0, self.deadline - time.monotonic())

    def within(self, seconds: float) -> Patience:
        """Return the same for a step that may take so long at most."""
        return replace(self, deadline=min(self.deadline, time.monotonic() + seconds))

    def check(self, doing: str) -> None:
        """Go on only while there is time and nobody wants to stop.

        Raises:
            Interrupted: It was cancelled.
            NotInTime: The time is over.
        """
        if self.cancelled.is_set():
            raise Interrupted(f"stopped on request: {doing}; the next run goes on from here")
        if time.monotonic() >= self.deadline:
            raise NotInTime("timeout", f"{doing}: the time for it is over", "the next run goes on from here")

    def pause(self, seconds: float, doing: str) -> None:
        """Wait a moment.

        Raises:
            Interrupted: It was cancelled.
            NotInTime: The time is over.
        """
        self.check(doing)
        if self.cancelled.wait(min(seconds, self.left)):
            self.check(doing)
