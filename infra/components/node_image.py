"""The node image's files on this machine, as the Image resource takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from infra.image import Artifact, NodeImage


@dataclass(frozen=True)
class NodeImageFiles:
    """The two artefacts of one image, as properties."""

    vm: Any
    container: Any

    @classmethod
    def of(cls, image: NodeImage) -> NodeImageFiles:
        """Describe a built image."""
        return cls(vm=_properties(image.vm), container=_properties(image.container))

    @classmethod
    def unknown(cls) -> NodeImageFiles:
        """Describe the image that is still to be built: preview shows its properties as unknown."""
        return cls(vm=pulumi.UNKNOWN, container=pulumi.UNKNOWN)


def _properties(artifact: Artifact) -> dict[str, Any]:
    return {
        "path": str(artifact.path),
        "sha256": artifact.sha256,
        "format": artifact.format,
        "virtualSize": artifact.virtual_size,
    }
