"""The node image on one host: uploaded once, known by its content."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.model.host import ImageNeighbour
from infra.model.image import DiskFormat
from infra.model.machine import MachineType
from infra.resources.contract import IGNORE, REPLACE, Contract


class Artifact(Model):
    """A file on the machine that runs Pulumi."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    format: DiskFormat
    virtual_size: int = Field(gt=0, description="Bytes the guest sees")


class ImageInputs(Model):
    """What the program says of an image."""

    instance: Annotated[str, REPLACE]
    connection: Annotated[str, REPLACE] = Field(description="libvirt URI of the host")
    pool: Annotated[str, REPLACE] = Field(description="The host's storage pool")
    # Where the files lie on the client is no property of the image: only `volume` names its content.
    machine_type: Annotated[MachineType | None, IGNORE] = Field(
        default=None, description="Which of the two artefacts the host needs"
    )
    vm: Annotated[Artifact | None, IGNORE] = Field(default=None, description="The UEFI disk, for vm and emulated")
    container: Annotated[Artifact | None, IGNORE] = Field(default=None, description="The bare root file system")
    neighbours: Annotated[list[ImageNeighbour], IGNORE] = Field(
        default_factory=list, description="The other hosts; each has a pool of the same name"
    )
    volume: Annotated[str | None, REPLACE] = Field(
        default=None, description="Named after the content; filled in from the artefact's sha256"
    )


class ImageState(ImageInputs):
    """The image as it stands."""

    volume_path: str = Field(description="The volume's path on the host")
    capacity: int = Field(description="Bytes the guest sees")


IMAGE = Contract(
    "azlocal:index:Image",
    ImageInputs,
    ImageState,
    "The node image on one host, by sha256.",
    "{connection}#{pool}/{volume}",
    delete_before_replace=False,  # the new one has another name; machines move over before the old one goes
)
