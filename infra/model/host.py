"""A host: what it has, and how others reach it."""

from pydantic import Field

from infra.model.base import Model


class Bridge(Model):
    """A bridge on the host's uplink."""

    name: str = Field(max_length=15, description="The interface")
    vlan: int = Field(ge=0, le=4094, description="802.1Q id, 0 for untagged")


class ImageNeighbour(Model):
    """Another host of the instance, from which the image may come once it is there."""

    name: str
    connection: str = Field(description="libvirt URI of that host")
    address: str | None = Field(
        default=None, description="Where other hosts reach it; absent: the address at which it is logged in to"
    )
