"""A network of an instance, as hosts carry it."""

from typing import Final, Literal

from pydantic import Field

from infra.model.base import Model

NetworkMode = Literal["nat", "bridge", "mesh"]
"""How a host carries a network: libvirt's NAT, a bridge onto the uplink's VLAN, or a VXLAN mesh between hosts."""

VXLAN_PORT: Final = 4789
"""UDP, where hosts send each other a mesh's frames (RFC 7348)."""


class Tunnel(Model):
    """A host's end of a VXLAN mesh."""

    vni: int = Field(ge=1, lt=2**24, description="VXLAN network identifier")
    local: str = Field(description="The address that the other hosts send to")
    peers: tuple[str, ...] = Field(description="Those of the other hosts, sorted")
