"""What decides a bundle's content, and the digest that names it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from typing import Final

from infra.image.bundle.components import COMPONENTS, KUBERNETES_VERSION
from infra.image.bundle.images import BASE_PACKAGES, BINARIES, CHARTS, EXTRA_PACKAGES, IMAGES
from infra.image.bundle.model import Source

# Raise it when the code makes another bundle from the same data.
BUILDER_VERSION: Final = 2
SUITE: Final = "bookworm"
ARCHITECTURE: Final = "amd64"


@cache
def bundle_digest(source: Source) -> str:
    """Name the bundle that this version of azlocal makes from a source. Which day's Debian doesn't count."""
    return digest_of(
        {
            "builder": BUILDER_VERSION,
            "source": source,
            "kubernetes": KUBERNETES_VERSION,
            # The charts and Helm come from these modules in either case.
            "components": {entry.name: entry.digest for entry in COMPONENTS},
            "images": [asdict(image) for image in IMAGES],
            "charts": [asdict(chart) for chart in CHARTS],
            "binaries": BINARIES,
            "trees": [base_tree_digest(), extras_tree_digest()] if source == "modules" else [],
        }
    )


def base_tree_digest() -> str:
    """Name the tree of packages under kube-proxy and calico-node."""
    return digest_of({"tree": "base", "suite": SUITE, "packages": BASE_PACKAGES, "builder": 1})


def extras_tree_digest() -> str:
    """Name the tree of packages that single files are taken from."""
    return digest_of({"tree": "extras", "suite": SUITE, "packages": EXTRA_PACKAGES, "builder": 2})


def digest_of(content: object) -> str:
    """Return the sha256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
