"""The StackIdentity kind: drawn once, kept in state; an import says whose place a state takes."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from infra.plugin.operation import Operation
from infra.provider.kind import Kind, Made
from infra.resources.stack_identity import STACK_IDENTITY, StackIdentityInputs, StackIdentityState

if TYPE_CHECKING:
    from infra.provider.standing import Standing


class StackIdentityKind(Kind[StackIdentityInputs, StackIdentityState]):
    """The id by which hosts know a state."""

    contract = STACK_IDENTITY

    def __init__(self, standing: Standing | None = None) -> None:
        """Make the kind; `standing` is what stands of an instance that is adopted."""
        self._standing = standing

    def create(self, op: Operation, inputs: StackIdentityInputs) -> Made[StackIdentityState]:
        """Draw a new one, unless the hosts of an adopted instance know it.

        Nothing is made on a host before the engine has it in its state.
        """
        uid = self._standing.owner if self._standing else str(uuid.uuid4())
        state = StackIdentityState(**inputs.model_dump(), uid=uid)
        return self.made(state)

    def read(self, op: Operation, id: str, old: StackIdentityState | None) -> StackIdentityState | None:
        """Return what the state has; an import names, as the id, the one that hosts know."""
        if old is not None:
            return old
        try:
            return StackIdentityState(instance=op.stack, uid=str(uuid.UUID(id)))
        except ValueError:
            return None  # a killed run's, which was never told to a host

    def update(
        self, op: Operation, id: str, old: StackIdentityState, inputs: StackIdentityInputs
    ) -> StackIdentityState:
        """Keep it: a change of the instance makes another one."""
        return old

    def delete(self, op: Operation, id: str, old: StackIdentityState) -> None:
        """Forget it with the state."""
