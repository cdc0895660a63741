"""What a file under `kinds/` provides: the life of one resource kind, in plain Python."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from infra.model.base import Model
from infra.plugin.operation import Operation
from infra.resources.changes import Changes as Changes
from infra.resources.contract import Contract, Fault

InputsT = TypeVar("InputsT", bound=Model)
StateT = TypeVar("StateT", bound=Model)


@dataclass(frozen=True)
class Made(Generic[StateT]):
    """An object that stands: its id and its state as read back from the host."""

    id: str
    state: StateT


class InitFailed(Exception, Generic[StateT]):
    """The object was made but isn't ready. It stays in state; the next `up` calls update on it."""

    def __init__(self, made: Made[StateT], reason: str) -> None:
        super().__init__(reason)
        self.made = made
        self.reason = reason


class Kind(ABC, Generic[InputsT, StateT]):
    """One resource kind. The dispatch has already validated inputs and handles secrets and unknowns.

    Methods block; each runs in a thread of its own. They raise `HostError` for what a user can
    remedy, `InitFailed` for what was made but isn't ready, anything else is a bug.
    """

    contract: ClassVar[Contract]

    def made(self, state: StateT) -> Made[StateT]:
        """Return what stands under the id that its contract gives it."""
        return Made(self.contract.id_of(state.to_wire()), state)

    def check(self, inputs: dict[str, Any], unknown: frozenset[str]) -> list[Fault]:
        """Check what needs more than one property, and fill in derived inputs in place."""
        return []

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """Adjust what a change does where that depends on values, and tell the user what preview can't show."""
        return

    def preview(self, op: Operation, inputs: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the outputs that preview can tell, or that an update unsettles; say what they don't show.

        What isn't returned is unknown before a create, and as it was before an update.

        Args:
            inputs: those that are known, by wire name.
            old: the state before an update; None for a create.
        """
        return {}

    @abstractmethod
    def create(self, op: Operation, inputs: InputsT) -> Made[StateT]:
        """Make the object, or adopt what an interrupted run left under the same mark."""

    @abstractmethod
    def read(self, op: Operation, id: str, old: StateT | None) -> StateT | None:
        """Return what stands on the host now, None only when the host says that it isn't there.

        Args:
            old: the last known state; None for an import, when all there is is the id.
        """

    @abstractmethod
    def update(self, op: Operation, id: str, old: StateT, inputs: InputsT) -> StateT:
        """Bring the object to `inputs`, or go on waiting where an earlier run gave up."""

    @abstractmethod
    def delete(self, op: Operation, id: str, old: StateT) -> None:
        """Remove the object and wait until it is gone; success when it already is."""
