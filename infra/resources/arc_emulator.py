"""The emulator that stands in for Azure: a process on the machine that runs Pulumi."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.resources.contract import REPLACE, UPDATE, Contract


class ArcEmulatorInputs(Model):
    """What the program says of the emulator."""

    instance: Annotated[str, REPLACE] = Field(description="The Azure Local instance it belongs to")
    agent_address: Annotated[str, UPDATE] = Field(description="This machine's address as the clusters reach it")


class ArcEmulatorState(ArcEmulatorInputs):
    """The emulator as it stands."""

    folder: str = Field(description="Where it keeps its state")
    url: str = Field(description="Where it answers on this machine")
    agent_url: str = Field(description="Where it answers to clusters")
    subscription_id: str = Field(description="The subscription it has")
    tenant_id: str = Field(description="The tenant it has")


ARC_EMULATOR = Contract(
    "azlocal:index:ArcEmulator",
    ArcEmulatorInputs,
    ArcEmulatorState,
    "A stand-in for Azure on this machine, for labs without a subscription.",
    "{instance}",
)
