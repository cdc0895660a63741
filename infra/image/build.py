"""Build the node image, step by step, each one kept or repeated as a whole."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from infra.files import flush, locked_if_free
from infra.image import tools
from infra.image.bundle import Bundle
from infra.image.bundle.build import SourceChoice, build_bundle
from infra.image.bundle.sources import Around
from infra.image.cache import load
from infra.image.containers import import_images
from infra.image.disk import make_disk, make_root
from infra.image.folders import Progress, locked, publish, step, workplace
from infra.image.manifest import CONTAINER_FILE, MANIFEST, VM_FILE, render, with_disk
from infra.image.mirror import find_apt_options, find_sources
from infra.image.model import Artifact, ImageError, NodeImage
from infra.image.places import Cache, default_cache
from infra.image.recipe import GIB, Recipe, current_recipe
from infra.image.sparse import sha256_of
from infra.image.times import Times, in_words, remaining
from infra.image.tree import customise, install_packages, install_programs, installed_packages, unpack
from infra.model.image import DiskFormat, NodeImageKind
from infra.model.versions import DEFAULT, KubernetesVersion

# The tree, its tar file, the raw disk and both artefacts at their largest, and some room.
_SPACE_NEEDED: Final = 12 * GIB

# The steps, as people see them and as their times are kept.
_PACKAGES: Final = "packages"
_TREE: Final = "tree"
_IMPORT: Final = "container images"
_ROOT: Final = "root file system"
_DISK: Final = "VM disk"
_CHECKSUM: Final = "checksum"


def build_node_image(
    progress: Progress,
    source: SourceChoice = "auto",
    kind: NodeImageKind = "kubernetes",
    version: KubernetesVersion = DEFAULT,
    *,
    vm_disk: bool = True,
) -> NodeImage:
    """Return the current recipe's image; build it, and the bundle in it, where the cache doesn't have them.

    Args:
        progress: Takes one line per step.
        source: Where the bundle comes from.
        kind: The plain image has no bundle, and needs none.
        version: The Kubernetes version of the bundle.
        vm_disk: Whether a machine may be a VM, which boots a disk; containers need only the root file system.

    Raises:
        ImageError: It can't be built; what is finished is kept for the next try.
    """
    cache = default_cache()
    bundle = None
    if kind == "kubernetes":
        bundle = build_bundle(progress, source, _around_bundle(cache, progress, vm_disk), version)
    recipe = current_recipe(bundle.digest if bundle else "")
    image = load(cache, recipe.digest)
    if image and (image.vm or not vm_disk):
        return image
    tools.check_tools()
    tools.check_root()
    return build(recipe, bundle, cache, progress, tools.run, vm_disk=vm_disk)


def _around_bundle(cache: Cache, progress: Progress, vm_disk: bool) -> Around:
    """Say what belongs to an image's build beside its bundle's: the packages need neither bundle nor compiler."""
    recipe = current_recipe("")  # the same packages, whatever the bundle
    after = tuple(_steps(with_bundle=True, vm_disk=vm_disk))
    if cache.tree(recipe.tree_digest).exists():
        return Around(after=after)
    return Around(partial(_install_early, recipe, cache, progress), (_PACKAGES,), after)


def _install_early(recipe: Recipe, cache: Cache, progress: Progress, run: tools.Runner) -> None:
    with locked_if_free(cache.image_lock) as is_free:
        if is_free:  # else that other process installs them, or the build does when it comes to it
            with workplace(cache.work) as work:
                _packed_tree(recipe, cache, work, progress, run)


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


def build(
    recipe: Recipe,
    bundle: Bundle | None,
    cache: Cache,
    progress: Progress,
    run: tools.Runner,
    *,
    vm_disk: bool = True,
) -> NodeImage:
    """Build a recipe's image into a cache, or add the disk to one that was built without, unless another process
    does so first.

    Raises:
        ImageError: A step fails.
    """
    try:
        with locked(cache.image_lock, "building the node image or cleaning the cache", progress):
            image = load(cache, recipe.digest)
            if image is None:
                _build_locked(recipe, bundle, cache, progress, run, vm_disk)
            elif vm_disk and image.vm is None:
                _add_disk(recipe, image, cache, progress, run)
            image = load(cache, recipe.digest)
    except OSError as error:
        raise ImageError(
            f"The node image can't be built in {cache.root}: {error}", tools.remedy_for(str(error))
        ) from error
    if image is None:
        raise ImageError(f"{cache.image(recipe.digest)} isn't what was built.", "Run it again.")
    return image


def _build_locked(
    recipe: Recipe, bundle: Bundle | None, cache: Cache, progress: Progress, run: tools.Runner, vm_disk: bool
) -> None:
    check_space(cache.images)
    steps = [*_steps(with_bundle=bundle is not None, vm_disk=vm_disk)]
    if not cache.tree(recipe.tree_digest).exists():
        steps.append(_PACKAGES)
    doing = f"building ({in_words(remaining(Times.of(cache).seconds(), steps))})"
    with workplace(cache.work) as work, step(progress, f"node image {recipe.image_name}", doing):
        tree_tar = _packed_tree(recipe, cache, work, progress, run)
        draft = work / "image"
        draft.mkdir()
        _make_image(recipe, bundle, tree_tar, work, draft, _Teller(progress, cache), run, vm_disk)
        with step(progress, "publishing", "writing everything to disk"):
            publish(draft, cache.image(recipe.digest))


def _add_disk(recipe: Recipe, image: NodeImage, cache: Cache, progress: Progress, run: tools.Runner) -> None:
    check_space(cache.images)
    folder = cache.image(recipe.digest)
    with workplace(cache.work) as work:
        draft = work / VM_FILE
        with _Teller(progress, cache).step(_DISK, "making it, and its checksum"):
            disk = _make_disk(recipe, image.container.path, work, draft, run)
        manifest = work / MANIFEST
        manifest.write_text(with_disk((folder / MANIFEST).read_text(encoding="utf-8"), disk), encoding="utf-8")
        # In this order: what the manifest names is there, whole.
        publish(draft, folder / VM_FILE)
        publish(manifest, folder / MANIFEST)


def _packed_tree(recipe: Recipe, cache: Cache, work: Path, progress: Progress, run: tools.Runner) -> Path:
    packed = cache.tree(recipe.tree_digest)
    if packed.exists():
        progress("packages: the same as last time")
        return packed
    sources = find_sources(recipe.suite, os.environ, run)
    mirror = tools.without_password(sources.split()[1])
    with _Teller(progress, cache).step(_PACKAGES, f"Debian {recipe.suite} from {mirror}"):
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
    teller: _Teller,
    run: tools.Runner,
    vm_disk: bool,
) -> None:
    tree, root = work / "tree", draft / CONTAINER_FILE
    with teller.step(_TREE, "unpacking the packages, adding azlocal's files"):
        unpack(tree_tar, tree, run)
        customise(recipe, tree)
    if bundle:
        install_programs(bundle, tree)
        with teller.step(_IMPORT, f"importing {len(bundle.images)} into the image's containerd"):
            import_images(bundle, tree, run)
    with teller.step(_ROOT, "making it"):
        make_root(recipe, tree, root, run)
    # The checksum of a mostly empty 16 GiB keeps one core busy for some seconds.
    with ThreadPoolExecutor(1) as pool:
        root_hash = pool.submit(sha256_of, root)
        disk = None
        if vm_disk:
            with teller.step(_DISK, "making it, and its checksum"):
                disk = _make_disk(recipe, root, work, draft / VM_FILE, run)
        with teller.step(_CHECKSUM, "reading the root file system, and writing it to disk"):
            flush(root)
            container = _artifact(root, root_hash.result(), "raw", recipe.root_size)
    image = NodeImage(recipe.image_name, recipe.digest, container, disk, bundle)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = render(image, created, installed_packages(tree))
    (draft / MANIFEST).write_text(manifest, encoding="utf-8")


def _make_disk(recipe: Recipe, root: Path, work: Path, disk: Path, run: tools.Runner) -> Artifact:
    make_disk(recipe, root, work, disk, run)
    return _artifact(disk, sha256_of(disk), "qcow2", recipe.disk_size)


def _artifact(path: Path, sha256: str, file_format: DiskFormat, virtual_size: int) -> Artifact:
    return Artifact(path, sha256, file_format, virtual_size, path.stat().st_size)


def _steps(*, with_bundle: bool, vm_disk: bool) -> list[str]:
    """Name the steps of an image's build after its packages."""
    return [_TREE, *([_IMPORT] if with_bundle else []), _ROOT, *([_DISK] if vm_disk else []), _CHECKSUM]


@dataclass(frozen=True)
class _Teller:
    """Says what an image's build does, and keeps how long that took."""

    progress: Progress
    cache: Cache

    def step(self, name: str, detail: str) -> AbstractContextManager[None]:
        return step(self.progress, name, detail, Times.of(self.cache).recorder(name))
