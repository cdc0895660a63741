"""The wait for something in a cluster: looks at it again and again, and says all the time what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from infra.errors import UserError
from infra.kubernetes.readiness import Progress
from infra.model.work import Work


class NotReady(UserError):
    """Something stands and didn't become ready; the next run goes on waiting.

    Attributes:
        reasons: What is missing or wrong, one text each, the summary first.
    """

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(self.reasons))


def wait_until_ready(
    look: Callable[[], Progress], work: Work, pause: float, doing: str = "waiting for"
) -> Progress:
    """Look until nothing is missing, until it can't come any more, or until the deadline; return the last look.

    Args:
        look: Says how far it is.
        work: Until when, and who may stop it.
        pause: Seconds between two looks, or as long as the last took: a slow server is asked less often.
        doing: What stands before what is missing, as progress is told.

    Raises:
        Interrupted: It was cancelled.
    """
    while True:
        begun = time.monotonic()
        progress = look()
        if progress.ready or progress.failed or not work.remaining:
            return progress
        text = f"{doing} {progress.waiting_for}"
        work.status(text)
        work.wait(max(pause, time.monotonic() - begun), text)
