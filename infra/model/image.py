"""The node image."""

from typing import Literal

DiskFormat = Literal["raw", "qcow2"]

NodeImageKind = Literal["kubernetes", "plain"]
"""What an image is for: nodes of a cluster, or machines that stay machines."""
