"""The bundle: every program, container image and chart that a cluster is made of, beside Debian's packages."""

from infra.image.bundle.build import build_bundle
from infra.image.bundle.model import Bundle
from infra.image.bundle.store import find_bundle

__all__ = ["Bundle", "build_bundle", "find_bundle"]
