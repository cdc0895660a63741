"""One running operation on one resource: its deadline, its cancellation, its progress."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from infra.errors import Interrupted
from infra.model.work import Work
from infra.plugin.engine import EngineLog

_NEW_SECONDS: Final = 0.2
_SAME_SECONDS: Final = 10.0


@dataclass
class Operation:
    """What a kind needs while it works, and nothing of the protocol.

    Attributes:
        urn: the resource's name in the engine; also its ownership mark.
        timeout: seconds the user allows (customTimeouts), 0 when unset.
        cancelled: set when the engine wants everything to stop.
    """

    urn: str
    log: EngineLog
    cancelled: threading.Event
    timeout: float = 0
    started: float = field(default_factory=time.monotonic)
    _last_status: tuple[str, float] = ("", 0.0)

    @property
    def stack(self) -> str:
        """Return the stack's name, the first part of `urn:pulumi:<stack>::<project>::…`."""
        return self.urn.split("::")[0].removeprefix("urn:pulumi:")

    def deadline(self, default: float) -> float:
        """Return the monotonic time at which to give up, `default` seconds where the user set none."""
        return self.started + (self.timeout or default)

    def work(self, default: float = float("inf")) -> Work:
        """Return what an effect may know of this: it has `default` seconds where the user set no limit."""
        return Work(self.deadline(default), self.cancelled, self.status, self.info)

    def status(self, text: str) -> None:
        """Show progress in the resource's row.

        A new text at most five times a second; the same one again, as a sign of life, after ten: a log has a line
        for each.
        """
        now = time.monotonic()
        last, at = self._last_status
        if now - at >= (_SAME_SECONDS if text == last else _NEW_SECONDS):
            self._last_status = (text, now)
            self.log.status(self.urn, text)

    def info(self, text: str) -> None:
        """Say something that must be read."""
        self.log.info(self.urn, text)

    def warning(self, text: str) -> None:
        """Say something that must be read and may have to be acted on."""
        self.log.warning(self.urn, text)

    def check_cancelled(self) -> None:
        """Stop here when the engine asked to.

        Raises:
            Interrupted: the run was cancelled.
        """
        if self.cancelled.is_set():
            raise Interrupted("stopped on request; the next `pulumi up` goes on from here")
