"""Builds the golden images, once, and keeps them by the digest of their recipe."""

from infra.image.build import build_node_image
from infra.image.cache import find_node_image
from infra.image.model import Artifact, ImageError, ImageKind, NodeImage, build_command

__all__ = [
    "Artifact",
    "ImageError",
    "ImageKind",
    "NodeImage",
    "build_command",
    "build_node_image",
    "find_node_image",
]
