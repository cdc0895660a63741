"""A question to a host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Fact(Generic[T_co]):
    """A question to a host.

    Attributes:
        argv: The command; it changes nothing there.
        parse: Reads what it prints; raises ValueError, KeyError, TypeError or IndexError on text that it wasn't
            made for.
        as_root: Whether only root may ask.
        must_succeed: Whether nothing can be learned from a command that fails; otherwise what it printed counts.
        input: What the command reads.
    """

    argv: tuple[str, ...]
    parse: Callable[[str], T_co]
    as_root: bool = False
    must_succeed: bool = True
    input: bytes | None = None
