"""The bundle: every program, container image and chart that a cluster is made of, beside Debian's packages.

What builds it is in `build`, imported by who builds.
"""

from infra.image.bundle.model import Bundle
from infra.image.bundle.store import find_bundle

__all__ = ["Bundle", "find_bundle"]
