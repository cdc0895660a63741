"""A look at a network before machines are made on it: nobody may have their addresses."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.resources.contract import REPLACE, UPDATE, Contract


class AddressProbeInputs(Model):
    """What the program says of a probe."""

    instance: Annotated[str, REPLACE]
    connection: Annotated[str, REPLACE] = Field(description="libvirt URI of a host on the network")
    network: Annotated[str, REPLACE] = Field(description="The network's name in libvirt")
    bridge: Annotated[str, REPLACE] = Field(description="The network's bridge on that host")
    addresses: Annotated[dict[str, str], UPDATE] = Field(
        description="Addresses that must be free, and what each is planned for; only new ones are probed"
    )
    own_macs: Annotated[list[str], UPDATE] = Field(
        description="Our machines' hardware addresses, which may answer"
    )


class AddressProbeState(AddressProbeInputs):
    """What was probed."""


ADDRESS_PROBE = Contract(
    "azlocal:index:AddressProbe",
    AddressProbeInputs,
    AddressProbeState,
    "Proof that nobody had the planned addresses of a network when its machines were made.",
    "{connection}#{network}",
)
