"""What decides a bundle's content, and the digest that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from typing import Final

from infra.image.bundle.components import COMPONENTS, KUBERNETES_VERSION
from infra.image.bundle.images import BINARIES, CHARTS, IMAGES, made_here, trees_of
from infra.image.bundle.model import Source
from infra.image.bundle.parts import OWN_CHARTS, Chart, Image, Tree
from infra.image.recipe import read_files

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
            "charts": [{**asdict(chart), "files": _own_files(chart)} for chart in CHARTS],
            "binaries": BINARIES,
            "trees": tree_digests(made_here(source)),
        }
    )


def _own_files(chart: Chart) -> dict[str, str]:
    files = {} if chart.component else read_files(OWN_CHARTS / chart.name)
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def tree_digest(tree: Tree) -> str:
    """Name a tree of packages as they are installed; what is removed afterwards doesn't count."""
    return digest_of({"tree": tree.name, "suite": SUITE, "packages": tree.packages, "builder": tree.version})


def tree_digests(images: Iterable[Image] = IMAGES) -> list[str]:
    """Name the trees of packages that images are made with."""
    return [tree_digest(tree) for tree in trees_of(images)]


def digest_of(content: object) -> str:
    """Return the sha256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
