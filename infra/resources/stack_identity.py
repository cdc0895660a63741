"""A state's identity: who an instance belongs to, on every host."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.resources.contract import REPLACE, Contract


class StackIdentityInputs(Model):
    """What the program says of an identity."""

    instance: Annotated[str, REPLACE] = Field(description="The Azure Local instance")


class StackIdentityState(StackIdentityInputs):
    """The identity. Another state has another one, whatever its stack is called."""

    uid: str = Field(description="Drawn at random when the state was begun (RFC 9562, version 4)")


STACK_IDENTITY = Contract(
    "azlocal:index:StackIdentity",
    StackIdentityInputs,
    StackIdentityState,
    "Who an instance belongs to: hosts refuse any other state that would change what this one made.",
    "{instance}",
)
