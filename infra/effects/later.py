"""Stand-ins for the values that only `up` learns, in what the program would declare."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

T = TypeVar("T", covariant=True)

LATER: Final = "later"
"""The key of a stand-in in a record: whose value it is."""
ASKED: Final = "asked"
"""The key of a stand-in in a record: what was asked for, where that says less than what comes of it."""


@dataclass(frozen=True)
class Later(Awaitable[T]):
    """A value that `up` learns: to the functions that build inputs what the program's outputs are to them.

    Attributes:
        owner: Whose value it is.
        asked: What was asked for, where that says less than what comes of it.
    """

    owner: str
    asked: str | None = None

    def __await__(self) -> Generator[Any, None, T]:
        """Refuse: a plan waits for nothing.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"only `up` learns what is of {self.owner}")

    def to_json(self) -> dict[str, str]:
        """Return the stand-in as a record has it."""
        return {LATER: self.owner} if self.asked is None else {LATER: self.owner, ASKED: self.asked}


def to_plain(value: object) -> Any:
    """Return inputs as plain data, with stand-ins as a record has them."""
    match value:
        case Later():
            return value.to_json()
        case Mapping():
            return {key: to_plain(entry) for key, entry in value.items()}
        case list():
            return [to_plain(entry) for entry in value]
    return value
