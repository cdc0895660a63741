"""What decides a bundle's content, and the digest that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from typing import Final

from infra.image.bundle.components import components
from infra.image.bundle.images import BINARIES, CHARTS, images, made_here, trees_of
from infra.image.bundle.model import Source
from infra.image.bundle.parts import OWN_CHARTS, Chart, Image, Tree
from infra.image.recipe import read_files
from infra.model.versions import DEFAULT, KubernetesVersion

# Raise it when the code makes another bundle from the same data.
BUILDER_VERSION: Final = 2
SUITE: Final = "bookworm"
ARCHITECTURE: Final = "amd64"


@cache
def bundle_digest(source: Source, version: KubernetesVersion = DEFAULT) -> str:
    """Name the bundle of a Kubernetes version that this azlocal makes from a source, on whatever day."""
    return digest_of(
        {
            "builder": BUILDER_VERSION,
            "source": source,
            "kubernetes": version.version,
            # The charts and Helm come from these modules in either case.
            "components": {entry.name: entry.digest for entry in components(version)},
            "images": [asdict(image) for image in images(version)],
            "charts": [{**asdict(chart), "files": _own_files(chart)} for chart in CHARTS],
            "binaries": BINARIES,
            "trees": tree_digests(made_here(source, version)),
        }
    )


def _own_files(chart: Chart) -> dict[str, str]:
    files = {} if chart.component else read_files(OWN_CHARTS / chart.name)
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def tree_digest(tree: Tree) -> str:
    """Name a tree of packages as they are installed; what is removed afterwards doesn't count."""
    return digest_of({"tree": tree.name, "suite": SUITE, "packages": tree.packages, "builder": tree.version})


def tree_digests(made: Iterable[Image] | None = None) -> list[str]:
    """Name the trees of packages that images are made with, by default all of a bundle's."""
    return [tree_digest(tree) for tree in trees_of(images() if made is None else made)]


def digest_of(content: object) -> str:
    """Return the sha256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
