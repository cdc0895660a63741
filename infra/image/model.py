"""What a node image is, and how a failed build says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Format = Literal["raw", "qcow2"]


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
    """A golden image: the same tree once as a container's root and once as a VM's disk."""

    name: str
    digest: str
    container: Artifact
    vm: Artifact


class ImageError(Exception):
    """A node image can't be built or read.

    Attributes:
        message: What failed, and the value found.
        remedy: What to do about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}\n{remedy}")
        self.message = message
        self.remedy = remedy
