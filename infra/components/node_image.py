"""The node image's files on this machine, as the Image resource takes them; and the bundle it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

import pulumi

from infra.image import Artifact, NodeImage
from infra.image.bundle import Bundle
from infra.resources.arguments import ArtifactArgs

T = TypeVar("T")


def _unknown() -> pulumi.Input[T]:
    """Return what preview shows as unknown, in any input's place."""
    return cast("pulumi.Input[T]", pulumi.UNKNOWN)


@dataclass(frozen=True)
class BundleFiles:
    """The charts and the container images that came with a node image; unknown while there is none."""

    bundle: Bundle | None

    def chart(self, name: str) -> pulumi.Input[str]:
        """Return a chart's folder."""
        return str(self.bundle.charts[name]) if self.bundle else _unknown()

    def image(self, name: str) -> pulumi.Input[str]:
        """Return the full name of an image that is in every node's store."""
        return self.bundle.images[name] if self.bundle else _unknown()

    @property
    def references(self) -> pulumi.Input[Sequence[pulumi.Input[str]]]:
        """The full names of all images that are in every node's store."""
        return sorted(self.bundle.images.values()) if self.bundle else _unknown()

    @property
    def archives(self) -> pulumi.Input[Mapping[str, pulumi.Input[str]]]:
        """Their OCI archives on this machine, by their full names."""
        return self.bundle.archives if self.bundle else _unknown()

    def tag(self, name: str) -> pulumi.Input[str]:
        """Return such an image's tag."""
        return self.bundle.images[name].rpartition(":")[2] if self.bundle else _unknown()


@dataclass(frozen=True)
class NodeImageFiles:
    """The two artefacts of one image, as properties."""

    vm: pulumi.Input[ArtifactArgs | None]
    container: pulumi.Input[ArtifactArgs | None]
    bundle: BundleFiles = field(default_factory=lambda: BundleFiles(None))

    @classmethod
    def of(cls, image: NodeImage) -> NodeImageFiles:
        """Describe a built image."""
        return cls(
            vm=_properties(image.vm) if image.vm else None,
            container=_properties(image.container),
            bundle=BundleFiles(image.bundle),
        )

    @classmethod
    def unknown(cls) -> NodeImageFiles:
        """Describe the image that is still to be built: preview shows its properties as unknown."""
        return cls(vm=_unknown(), container=_unknown())


def _properties(artifact: Artifact) -> ArtifactArgs:
    return {
        "path": str(artifact.path),
        "sha256": artifact.sha256,
        "format": artifact.format,
        "virtualSize": artifact.virtual_size,
    }
