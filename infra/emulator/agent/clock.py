"""The time that the agents live in: the emulator's, which may be ahead of the machine's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

TIME_HEADER = "x-ms-azlocal-time"


class Clock:
    """Follows the time that the emulator's answers tell; until the first of them, the machine's."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self._offset)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take the time from an answer's headers (names in lower case), if they tell it."""
        told = headers.get(TIME_HEADER)
        if told:
            self._offset = float(told) - time.time()


def write(moment: datetime) -> str:
    """Return a time as the agents' Secrets have it: `2026-11-21T21:00:00.123Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(text: str) -> datetime:
    """Return the time that `write` or the service wrote."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
