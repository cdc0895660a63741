"""What a node image is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.image.bundle.model import Bundle
from infra.image.errors import ImageError
from infra.model.image import DiskFormat, NodeImageKind
from infra.model.versions import DEFAULT, KubernetesVersion

__all__ = ["Artifact", "ImageError", "NodeImage", "build_command"]


def build_command(kind: NodeImageKind, version: KubernetesVersion = DEFAULT) -> str:
    """Return the command that builds an image, as people type it."""
    if kind == "plain":
        return "azlocal image build --plain"
    return "azlocal image build" + ("" if version == DEFAULT else f" --kubernetes-version {version.version}")


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
    format: DiskFormat
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

    def places(self) -> Iterator[str]:
        """Yield a line for people about where it is, and one for its bundle."""
        yield f"{self.name} is in {self.container.path.parent}"
        if self.bundle:
            yield f"{self.bundle.name} is in {self.bundle.folder}"

    @property
    def artifacts(self) -> list[Artifact]:
        """The files that are there."""
        return [artifact for artifact in (self.container, self.vm) if artifact]
