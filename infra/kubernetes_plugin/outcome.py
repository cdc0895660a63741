"""What an operation on a resource leaves behind, for the engine's state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.plugin.values import Path


@dataclass(frozen=True)
class Outcome:
    """A resource as it stands.

    Attributes:
        id: its id in the engine, empty in a preview.
        state: its outputs.
        secret: the places in `state` that are secret.
        inputs: for a read, what a program would have to say now; else None.
        secret_inputs: the places in `inputs` that are secret.
    """

    id: str
    state: dict[str, Any]
    secret: frozenset[Path] = field(default_factory=frozenset)
    inputs: dict[str, Any] | None = None
    secret_inputs: frozenset[Path] = field(default_factory=frozenset)


class Partial(Exception):
    """The resource stands but isn't ready. It stays in state, and the next run goes on."""

    def __init__(self, outcome: Outcome, reasons: Sequence[str]) -> None:
        super().__init__(reasons[0])
        self.outcome = outcome
        self.reasons = list(reasons)


@dataclass(frozen=True)
class Checked:
    """Inputs as they go into state, and what is wrong with them (property, reason)."""

    inputs: dict[str, Any]
    secret: frozenset[Path]
    faults: Sequence[tuple[str, str]] = ()
