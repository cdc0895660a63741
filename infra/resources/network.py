"""A libvirt network on one host: NAT of its own, a bridge that stands, or its end of a mesh between hosts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.model.network import NetworkMode, Tunnel
from infra.resources.contract import REPLACE, UPDATE, Contract


class NetworkInputs(Model):
    """What the program says of a network."""

    instance: Annotated[str, REPLACE]
    connection: Annotated[str, REPLACE] = Field(description="libvirt URI of the host")
    name: Annotated[str, REPLACE] = Field(description="The network's name in libvirt")
    bridge: Annotated[str, REPLACE] = Field(max_length=15, description="The bridge device, at most 15 characters")
    mode: Annotated[NetworkMode, REPLACE] = Field(
        description="nat: libvirt makes the bridge and holds the gateway on it; bridge: it stands on the host; "
        "mesh: VXLAN joins it to the other hosts'"
    )
    address_prefix: Annotated[str | None, REPLACE] = Field(
        default=None, description="The subnet, where this host holds the gateway"
    )
    gateway: Annotated[str | None, REPLACE] = Field(
        default=None, description="The gateway's address, on the bridge"
    )
    mtu: Annotated[int | None, REPLACE] = Field(default=None, ge=1230, description="mesh only: bytes in a packet")
    tunnel: Annotated[Tunnel | None, UPDATE] = Field(default=None, description="mesh only")
    active: Annotated[bool, UPDATE] = Field(default=True, description="It stands, with all that a mesh needs")
    autostart: Annotated[bool, UPDATE] = Field(default=True, description="Starts with the host")


class NetworkState(NetworkInputs):
    """The network as it stands."""

    uuid: str


NETWORK = Contract(
    "azlocal:index:Network", NetworkInputs, NetworkState, "A libvirt network on one host.", "{connection}#{name}"
)
