"""The Debian packages in container images: one tree for their common layer, one to take single files from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from infra.image.bundle.images import BASE_PACKAGES, EXTRA_PACKAGES
from infra.image.bundle.recipe import ARCHITECTURE, SUITE, base_tree_digest, extras_tree_digest
from infra.image.folders import Progress, publish, step
from infra.image.mirror import find_apt_options, find_sources
from infra.image.places import Cache
from infra.image.recipe import DPKG_OPTIONS
from infra.image.tools import Runner
from infra.image.tree import mmdebstrap, unpack

# A container needs none of these of its packages.
_REMOVED: Final = (
    *("var/cache", "var/log", "var/lib/apt", "var/lib/systemd", "usr/share/doc-base", "usr/share/bug"),
    *("etc/apt", "usr/share/zoneinfo", "boot", "media", "srv", "usr/share/perl5"),
)


def base_tree(cache: Cache, work: Path, progress: Progress, run: Runner) -> Path:
    """Return the common layer's tree, unpacked into the work folder."""
    tree = _tree("base", base_tree_digest(), BASE_PACKAGES, cache, work, progress, run)
    for name in _REMOVED:
        shutil.rmtree(tree / name, ignore_errors=True)
    return tree


def extras_tree(cache: Cache, work: Path, progress: Progress, run: Runner) -> Path:
    """Return the tree of packages to take files from, unpacked into the work folder."""
    return _tree("extras", extras_tree_digest(), EXTRA_PACKAGES, cache, work, progress, run)


def _tree(
    name: str,
    digest: str,
    packages: tuple[str, ...],
    cache: Cache,
    work: Path,
    progress: Progress,
    run: Runner,
) -> Path:
    packed = cache.tree(digest)
    if not packed.exists():
        with step(progress, f"Debian packages, {name}", ", ".join(packages)):
            draft = work / f"{name}.tar"
            options = [
                "--variant=essential",
                f"--architectures={ARCHITECTURE}",
                f"--include={','.join(packages)}",
                *(f"--aptopt={option}" for option in find_apt_options(run)),
                *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
            ]
            mmdebstrap(options, SUITE, find_sources(SUITE, os.environ, run), work, draft, run)
            publish(draft, packed)
    tree = work / name
    unpack(packed, tree, run)
    return tree
