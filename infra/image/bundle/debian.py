"""The trees of Debian packages that container images are made with."""

from __future__ import annotations

import os
from pathlib import Path

from infra.image.bundle.parts import Tree
from infra.image.bundle.recipe import ARCHITECTURE, SUITE, tree_digest
from infra.image.bundle.sources import Draft
from infra.image.folders import publish, remove, step
from infra.image.mirror import find_apt_options, find_sources
from infra.image.recipe import DPKG_OPTIONS
from infra.image.tree import mmdebstrap, unpack


def unpacked(tree: Tree, draft: Draft) -> Path:
    """Return a tree, without what containers don't need, unpacked into the draft's work folder.

    Raises:
        ImageError: The packages can't be installed.
    """
    packed = draft.cache.tree(tree_digest(tree))
    if not packed.exists():
        with step(draft.progress, f"Debian packages, {tree.name}", ", ".join(tree.packages)):
            _install(tree, packed, draft)
    folder = draft.work / tree.name
    unpack(packed, folder, draft.run)
    for pattern in tree.removed:
        for path in folder.glob(pattern):
            remove(path)
    return folder


def _install(tree: Tree, packed: Path, draft: Draft) -> None:
    new = draft.work / f"{tree.name}.tar"
    options = [
        "--variant=essential",
        f"--architectures={ARCHITECTURE}",
        f"--include={','.join(tree.packages)}",
        *(f"--aptopt={option}" for option in find_apt_options(draft.run)),
        *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
    ]
    mmdebstrap(options, SUITE, find_sources(SUITE, os.environ, draft.run), draft.work, new, draft.run)
    publish(new, packed)
