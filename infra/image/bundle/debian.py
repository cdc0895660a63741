"""The trees of Debian packages that container images are made with."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from infra.image.bundle.images import trees_of
from infra.image.bundle.parts import Image, Tree
from infra.image.bundle.recipe import ARCHITECTURE, SUITE, tree_digest
from infra.image.bundle.sources import Draft
from infra.image.folders import publish, remove, step
from infra.image.mirror import find_apt_options, find_sources
from infra.image.recipe import DPKG_OPTIONS
from infra.image.tree import mmdebstrap, unpack


def install(images: Iterable[Image], draft: Draft) -> None:
    """Install the trees that images are made with, where the cache doesn't have them: mostly network, on one core.

    Raises:
        ImageError: The packages can't be installed.
    """
    for tree in trees_of(images):
        _packed(tree, draft)


def unpacked(tree: Tree, draft: Draft) -> Path:
    """Return a tree, without what containers don't need, unpacked into the draft's work folder.

    Raises:
        ImageError: The packages can't be installed.
    """
    folder = draft.work / tree.name
    unpack(_packed(tree, draft), folder, draft.run)
    for pattern in tree.removed:
        for path in folder.glob(pattern):
            remove(path)
    return folder


def missing(images: Iterable[Image], draft: Draft) -> list[Tree]:
    """Return the trees that `install` would install."""
    return [tree for tree in trees_of(images) if not draft.cache.tree(tree_digest(tree)).exists()]


def step_of(tree: Tree) -> str:
    """Name the step that installs a tree."""
    return f"Debian packages, {tree.name}"


def _packed(tree: Tree, draft: Draft) -> Path:
    packed = draft.cache.tree(tree_digest(tree))
    if not packed.exists():
        name = step_of(tree)
        with step(draft.progress, name, ", ".join(tree.packages), draft.times.recorder(name)):
            _install(tree, packed, draft)
    return packed


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
