"""A libvirt network on one host: a NAT network of its own, or a bridge that stands already."""

from __future__ import annotations

from typing import Annotated, Literal

import pulumi
from pydantic import Field

from infra.resources.contract import REPLACE, UPDATE, Contract, Model, Resource


class NetworkInputs(Model):
    """What the program says of a network."""

    instance: Annotated[str, REPLACE]
    connection: Annotated[str, REPLACE] = Field(description="libvirt URI of the host")
    name: Annotated[str, REPLACE] = Field(description="The network's name in libvirt")
    bridge: Annotated[str, REPLACE] = Field(max_length=15, description="The bridge device, at most 15 characters")
    mode: Annotated[Literal["nat", "bridge"], REPLACE] = Field(
        description="nat: libvirt makes the bridge and holds the gateway on it; bridge: it stands on the host"
    )
    address_prefix: Annotated[str | None, REPLACE] = Field(default=None, description="nat only: the subnet")
    gateway: Annotated[str | None, REPLACE] = Field(default=None, description="nat only: the bridge's address")
    active: Annotated[bool, UPDATE] = True
    autostart: Annotated[bool, UPDATE] = Field(default=True, description="Starts with the host")


class NetworkState(NetworkInputs):
    """The network as it stands."""

    uuid: str


NETWORK = Contract(
    "azlocal:index:Network", NetworkInputs, NetworkState, "A libvirt network on one host.", "{connection}#{name}"
)


class Network(Resource):
    """A network of the instance on one host."""

    contract = NETWORK
    name: pulumi.Output[str]
