"""Builds the golden node image, once, and keeps it by the digest of its recipe."""

from infra.image.build import build_node_image
from infra.image.cache import find_node_image
from infra.image.model import Artifact, ImageError, NodeImage

__all__ = ["Artifact", "ImageError", "NodeImage", "build_node_image", "find_node_image"]
