"""How an agent works: again and again, until it is told to end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from .errors import AgentError, Stopping
from .health import Health

log = logging.getLogger("agent")

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 15.0

Step = Callable[[], float]


def repeat(step: Step, health: Health, stopping: threading.Event) -> None:
    """Do one step after another: each returns the seconds until the next. A failed one is tried again, ever later.

    Raises:
        FatalError: a step says that no later try would help.
    """
    pause = _FIRST_PAUSE
    said = ""
    while not stopping.is_set():
        try:
            wait = step()
        except AgentError as error:
            if str(error) != said:  # once, not each time
                log.warning("%s", error)
                said = str(error)
            health.failed(said)
            wait, pause = pause, min(pause * 2, _LONGEST_PAUSE)
        except Stopping:
            return
        else:
            if said:
                log.info("works again")
            said, pause = "", _FIRST_PAUSE
            health.succeeded()
        stopping.wait(wait)


def idle(health: Health, stopping: threading.Event) -> None:
    """Stand there: for the agents whose work has no meaning without Azure."""
    health.succeeded()
    stopping.wait()
