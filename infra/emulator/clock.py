"""The emulator's time: the machine's, plus what it was advanced by. A restart doesn't set it back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

_OFFSET: Final = "clock.offsetSeconds"
_NUMBER: Final = r"([0-9]{1,9})"
_DURATION: Final = re.compile(rf"P(?:{_NUMBER}D)?(?:T(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?")
_NO_DURATION_SECONDS: Final = 1800


class Settings(Protocol):
    """Where the offset is kept."""

    def setting(self, name: str) -> str | None:
        """Return what was kept under a name."""

    def set_setting(self, name: str, value: str) -> None:
        """Keep a value under a name."""


class Clock:
    """Tells the emulator's time; connectivity, certificates and time limits of operations follow it.

    Tokens don't: clients keep them by the machine's time, and would go on sending one that has expired here.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def now(self) -> datetime:
        """Return the emulator's time, in UTC."""
        return datetime.now(UTC) + self.offset()

    def offset(self) -> timedelta:
        """Return by how much it is ahead of the machine's time."""
        return timedelta(seconds=float(self._settings.setting(_OFFSET) or 0))

    def advance(self, by: timedelta) -> datetime:
        """Set it ahead; time never goes back.

        Raises:
            ValueError: the duration is negative.
        """
        if by < timedelta():
            raise ValueError(f"the emulator's time can't go back: {by}")
        self._settings.set_setting(_OFFSET, repr((self.offset() + by).total_seconds()))
        return self.now()


def text(moment: datetime) -> str:
    """Return a time as ARM writes it: `2026-11-21T21:00:00.123456Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse(value: str) -> datetime:
    """Return the time that `text` wrote."""
    return datetime.fromisoformat(value.replace("Z", "+00:00"))


def is_duration(value: str) -> bool:
    """Return whether a text is an ISO 8601 duration of days, hours, minutes and seconds, of nine digits each."""
    match = _DURATION.fullmatch(value)
    return match is not None and any(match.groups())


def seconds_of(duration: str) -> int:
    """Return the seconds of a duration that `is_duration` knows; half an hour where it is none."""
    match = _DURATION.fullmatch(duration)
    if match is None or not any(match.groups()):
        return _NO_DURATION_SECONDS
    days, hours, minutes, seconds = (int(digits or 0) for digits in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
