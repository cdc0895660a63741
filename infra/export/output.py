"""What an export writes: files, and how they are used, in order."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

MADE_BY: Final = (
    "azlocal export made this; what it says comes from the stack's files. Export again instead of editing."
)


@dataclass(frozen=True, slots=True)
class Export:
    """What an export writes.

    Attributes:
        files: Texts by file name.
        steps: Commands that use them, in order, run where the files are.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()


def command(words: Iterable[str]) -> str:
    """Return a command as a shell takes it, every word quoted that needs it."""
    return shlex.join(words)
