"""A kind that is imported when something is to be done: until then its contract answers for it.

A run that changes nothing checks and compares hundreds of properties, and needs of most kinds no more than that:
not Azure's SDK, not Kubernetes, not the emulator. Importing them all is most of what a plugin takes to start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from infra.model.base import Model
from infra.plugin.operation import Operation
from infra.provider.kind import Changes, Kind, Made
from infra.provider.servicer import AnyKind
from infra.resources.contract import Contract


class Deferred(Kind[Any, Any]):
    """Stands for a kind whose check adds nothing to its contract's.

    Its refinement is of changes only, unless its contract says that something else is to be looked at.
    """

    def __init__(
        self,
        contract: Contract,
        load: Callable[[], AnyKind],
        concerned: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> None:
        """Say which kind.

        Args:
            contract: the kind's.
            load: imports and makes it; called once.
            concerned: whether what else this run knows has the kind look at an object, as state has it.
        """
        self._concerned = concerned
        self.contract = contract  # type: ignore[misc]  # of the class where the class is one kind's
        self._load = load
        self._lock = threading.Lock()
        self._kind: AnyKind | None = None

    def kind(self) -> AnyKind:
        """Return the kind itself."""
        with self._lock:
            if self._kind is None:
                self._kind = self._load()
            return self._kind

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """Let the kind adjust the changes, where there are any or its contract says that it has to look."""
        unsettled, concerned = self.contract.unsettled, self._concerned
        if (
            changes.by_path
            or (unsettled is not None and unsettled(state, news))
            or (concerned is not None and concerned(state))
        ):
            self.kind().refine(state, news, changes, op)

    def preview(self, op: Operation, inputs: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return what the kind can tell before it is done."""
        return self.kind().preview(op, inputs, old)

    def create(self, op: Operation, inputs: Model) -> Made[Any]:
        """Make the object."""
        return self.kind().create(op, inputs)

    def read(self, op: Operation, id: str, old: Model | None) -> Model | None:
        """Return what stands."""
        state: Model | None = self.kind().read(op, id, old)
        return state

    def update(self, op: Operation, id: str, old: Model, inputs: Model) -> Model:
        """Bring the object to the inputs."""
        updated: Model = self.kind().update(op, id, old, inputs)
        return updated

    def delete(self, op: Operation, id: str, old: Model) -> None:
        """Remove the object."""
        self.kind().delete(op, id, old)
