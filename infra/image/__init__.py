"""Builds the golden images, once, and keeps them by the digest of their recipe.

What builds is in `build`, imported by who builds: most only look for an image that is there.
"""

from infra.image.cache import find_node_image
from infra.image.model import Artifact, ImageError, NodeImage, build_command

__all__ = [
    "Artifact",
    "ImageError",
    "NodeImage",
    "build_command",
    "find_node_image",
]
