"""Build the node image, step by step, each one kept or repeated as a whole."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from infra.image import tools
from infra.image.bundle import Bundle
from infra.image.bundle.build import SourceChoice, build_bundle
from infra.image.cache import load
from infra.image.containers import import_images
from infra.image.disk import make_disk, make_root
from infra.image.folders import Progress, locked, publish, step, workplace
from infra.image.manifest import CONTAINER_FILE, MANIFEST, VM_FILE, render
from infra.image.mirror import find_apt_options, find_sources
from infra.image.model import Artifact, Format, ImageError, ImageKind, NodeImage
from infra.image.places import Cache, default_cache
from infra.image.recipe import GIB, Recipe, current_recipe
from infra.image.sparse import sha256_of
from infra.image.tree import customise, install_packages, install_programs, installed_packages, unpack

# The tree, its tar file, the raw disk and both artefacts at their largest, and some room.
_SPACE_NEEDED: Final = 12 * GIB


def build_node_image(
    progress: Progress, source: SourceChoice = "auto", kind: ImageKind = "kubernetes"
) -> NodeImage:
    """Return the current recipe's image; build it, and the bundle in it, where the cache doesn't have them.

    Args:
        progress: Takes one line per step.
        source: Where the bundle comes from.
        kind: The plain image has no bundle, and needs none.

    Raises:
        ImageError: It can't be built; what is finished is kept for the next try.
    """
    bundle = build_bundle(progress, source) if kind == "kubernetes" else None
    recipe, cache = current_recipe(bundle.digest if bundle else ""), default_cache()
    found = load(cache, recipe.digest)
    if found:
        return found
    tools.check_tools()
    tools.check_root()
    return build(recipe, bundle, cache, progress, tools.run)


def check_space(folder: Path) -> None:
    """Make sure that a build has room.

    Raises:
        ImageError: Too little is free.
    """
    free = shutil.disk_usage(folder).free
    if free < _SPACE_NEEDED:
        raise ImageError(
            f"The node image needs {_SPACE_NEEDED / GIB:.0f} GiB in {folder}; {free / GIB:.1f} GiB are free.",
            "Free disk space (`azlocal image prune` removes old images), or point XDG_CACHE_HOME elsewhere.",
        )


def build(recipe: Recipe, bundle: Bundle | None, cache: Cache, progress: Progress, run: tools.Runner) -> NodeImage:
    """Build a recipe's image into a cache, unless another process does so first.

    Raises:
        ImageError: A step fails.
    """
    try:
        with locked(cache.image_lock, "building the node image or cleaning the cache", progress):
            return load(cache, recipe.digest) or _build_locked(recipe, bundle, cache, progress, run)
    except OSError as error:
        raise ImageError(
            f"The node image can't be built in {cache.root}: {error}", tools.remedy_for(str(error))
        ) from error


def _build_locked(
    recipe: Recipe, bundle: Bundle | None, cache: Cache, progress: Progress, run: tools.Runner
) -> NodeImage:
    check_space(cache.images)
    with workplace(cache.work) as work, step(progress, f"node image {recipe.image_name}", "building"):
        tree_tar = _packed_tree(recipe, cache, work, progress, run)
        draft = work / "image"
        draft.mkdir()
        _make_image(recipe, bundle, tree_tar, work, draft, progress, run)
        with step(progress, "publishing", "writing everything to disk"):
            publish(draft, cache.image(recipe.digest))
    image = load(cache, recipe.digest)
    if image is None:
        raise ImageError(f"{cache.image(recipe.digest)} isn't what was built.", "Run it again.")
    return image


def _packed_tree(recipe: Recipe, cache: Cache, work: Path, progress: Progress, run: tools.Runner) -> Path:
    packed = cache.tree(recipe.tree_digest)
    if packed.exists():
        progress("packages: the same as last time")
        return packed
    sources = find_sources(recipe.suite, os.environ, run)
    mirror = tools.without_password(sources.split()[1])
    with step(progress, "packages", f"Debian {recipe.suite} from {mirror}"):
        draft = work / "tree.tar"
        install_packages(recipe, sources, find_apt_options(run), work, draft, run)
        publish(draft, packed)
    return packed


def _make_image(
    recipe: Recipe,
    bundle: Bundle | None,
    tree_tar: Path,
    work: Path,
    draft: Path,
    progress: Progress,
    run: tools.Runner,
) -> None:
    tree, root, disk = work / "tree", draft / CONTAINER_FILE, draft / VM_FILE
    with step(progress, "tree", "unpacking the packages, adding azlocal's files"):
        unpack(tree_tar, tree, run)
        customise(recipe, tree)
    if bundle:
        install_programs(bundle, tree)
        with step(progress, "container images", f"importing {len(bundle.images)} into the image's containerd"):
            import_images(bundle, tree, run)
    with step(progress, "root file system", "making it"):
        make_root(recipe, tree, root, run)
    # The checksum of a mostly empty 16 GiB keeps one core busy for some seconds.
    with step(progress, "VM disk", "making it, and the checksums"), ThreadPoolExecutor(1) as pool:
        root_hash = pool.submit(sha256_of, root)
        make_disk(recipe, tree, root, work, disk, run)
        image = NodeImage(
            name=recipe.image_name,
            digest=recipe.digest,
            container=_artifact(root, root_hash.result(), "raw", recipe.root_size),
            vm=_artifact(disk, sha256_of(disk), "qcow2", recipe.disk_size),
            bundle=bundle,
        )
    created = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = render(image, created, installed_packages(tree))
    (draft / MANIFEST).write_text(manifest, encoding="utf-8")


def _artifact(path: Path, sha256: str, file_format: Format, virtual_size: int) -> Artifact:
    return Artifact(path, sha256, file_format, virtual_size, path.stat().st_size)
