"""The node image's files on this machine, as the Image resource takes them; and the bundle it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pulumi

from infra.image import Artifact, NodeImage
from infra.image.bundle import Bundle


@dataclass(frozen=True)
class BundleFiles:
    """The charts and the container images that came with a node image; unknown while there is none."""

    bundle: Bundle | None

    def chart(self, name: str) -> Any:
        """Return a chart's folder."""
        return str(self.bundle.charts[name]) if self.bundle else pulumi.UNKNOWN

    def image(self, name: str) -> Any:
        """Return the full name of an image that is in every node's store."""
        return self.bundle.images[name] if self.bundle else pulumi.UNKNOWN

    @property
    def references(self) -> Any:
        """The full names of all images that are in every node's store."""
        return sorted(self.bundle.images.values()) if self.bundle else pulumi.UNKNOWN

    @property
    def archives(self) -> Any:
        """Their OCI archives on this machine, by their full names."""
        bundle = self.bundle
        if bundle is None:
            return pulumi.UNKNOWN
        return {reference: str(bundle.archive(name)) for name, reference in bundle.images.items()}

    def tag(self, name: str) -> Any:
        """Return such an image's tag."""
        return self.bundle.images[name].rpartition(":")[2] if self.bundle else pulumi.UNKNOWN


@dataclass(frozen=True)
class NodeImageFiles:
    """The two artefacts of one image, as properties."""

    vm: Any
    container: Any
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
        return cls(vm=pulumi.UNKNOWN, container=pulumi.UNKNOWN)


def _properties(artifact: Artifact) -> dict[str, Any]:
    return {
        "path": str(artifact.path),
        "sha256": artifact.sha256,
        "format": artifact.format,
        "virtualSize": artifact.virtual_size,
    }
