"""What a node image is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.image.bundle.model import Bundle
from infra.image.errors import ImageError

__all__ = ["Artifact", "Format", "ImageError", "ImageKind", "NodeImage", "build_command"]

Format = Literal["raw", "qcow2"]
ImageKind = Literal["kubernetes", "plain"]
"""What an image is for: nodes of a cluster, or machines that stay machines."""


def build_command(kind: ImageKind) -> str:
    """Return the command that builds an image, as people type it."""
    return "azlocal image build" + (" --plain" if kind == "plain" else "")


@dataclass(frozen=True)
class Artifact:
    """One file of a node image.

    Attributes:
        path: Where the file is in the cache.
        sha256: Of the file's content, holes read as zeros, so that `sha256sum` agrees.
        format: `raw` or `qcow2`.
        virtual_size: The size a machine sees, in bytes.
        file_size: The file's apparent size in bytes; a raw file is sparse and takes far less.
    """

    path: Path
    sha256: str
    format: Format
    virtual_size: int
    file_size: int


@dataclass(frozen=True)
class NodeImage:
    """A golden image: the same tree once as a container's root and once as a VM's disk.

    Attributes:
        name: What people call it.
        digest: Of its recipe and its bundle.
        container: A container's root file system.
        vm: A VM's disk; None: it wasn't asked for yet.
        bundle: The bundle it was built from, whose images are in its container store; None: the plain image.
    """

    name: str
    digest: str
    container: Artifact
    vm: Artifact | None
    bundle: Bundle | None

    @property
    def artifacts(self) -> list[Artifact]:
        """The files that are there."""
        return [artifact for artifact in (self.container, self.vm) if artifact]
