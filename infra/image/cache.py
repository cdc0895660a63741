"""Where images are kept: one folder per digest, complete or not there at all."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.image.manifest import MANIFEST, parse
from infra.image.model import Artifact, ImageError, NodeImage
from infra.image.recipe import current_recipe
from infra.image.sparse import sha256_of

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_TREE: Final = re.compile(r"([0-9a-f]{64})\.tar")
_WORK: Final = ".work"


@dataclass(frozen=True)
class Cache:
    """The folders of a cache."""

    root: Path

    @property
    def images(self) -> Path:
        """One folder per image, named by its digest."""
        return self.root / "images"

    @property
    def trees(self) -> Path:
        """Packed trees of packages, named by their digest."""
        return self.root / "trees"

    def image(self, digest: str) -> Path:
        """An image's folder."""
        return self.images / digest

    def tree(self, digest: str) -> Path:
        """A packed tree."""
        return self.trees / f"{digest}.tar"

    @property
    def work(self) -> Path:
        """Where a build works: beside the images, so that publishing is a rename."""
        return self.images / _WORK


def default_cache() -> Cache:
    """Return the user's cache: XDG_CACHE_HOME/azlocal, by default ~/.cache/azlocal."""
    home = os.environ.get("XDG_CACHE_HOME")
    return Cache((Path(home) if home else Path.home() / ".cache") / "azlocal")


@dataclass(frozen=True)
class Entry:
    """An image in the cache."""

    image: NodeImage
    created: str
    disk_usage: int


def load(cache: Cache, digest: str) -> NodeImage | None:
    """Return an image from the cache, or None if it isn't there whole."""
    folder = cache.image(digest)
    try:
        image, _ = parse((folder / MANIFEST).read_text(encoding="utf-8"), folder)
        whole = all(artifact.path.stat().st_size == artifact.file_size for artifact in (image.container, image.vm))
    except (FileNotFoundError, ImageError):
        return None
    return image if whole and image.digest == digest else None


def find_node_image() -> NodeImage | None:
    """Return the image of the current recipe from the cache; None if it has to be built."""
    return load(default_cache(), current_recipe().digest)


def entries(cache: Cache) -> list[Entry]:
    """List the readable images, the newest first."""
    found: list[Entry] = []
    for folder in _folders(cache):
        try:
            image, created = parse((folder / MANIFEST).read_text(encoding="utf-8"), folder)
        except (FileNotFoundError, ImageError):
            continue
        found.append(Entry(image, created, _disk_usage(folder)))
    return sorted(found, key=lambda entry: entry.created, reverse=True)


def _folders(cache: Cache) -> list[Path]:
    if not cache.images.is_dir():
        return []
    return [path for path in cache.images.iterdir() if _DIGEST.fullmatch(path.name) and path.is_dir()]


def _disk_usage(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir() if path.is_file())


def verify(artifact: Artifact) -> str | None:
    """Read an artefact again; return what is wrong with it, or None."""
    try:
        size = artifact.path.stat().st_size
    except FileNotFoundError:
        return "missing"
    if size != artifact.file_size:
        return f"{size} bytes instead of {artifact.file_size}"
    found = sha256_of(artifact.path)
    return None if found == artifact.sha256 else f"sha256 {found} instead of {artifact.sha256}"


@contextmanager
def locked(cache: Cache, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the cache for one build or prune at a time; say so when another one has it."""
    cache.images.mkdir(parents=True, exist_ok=True)
    with (cache.images / ".lock").open("a") as file:
        started = time.monotonic()
        if not _try_lock(file.fileno()):
            progress("another process is building the node image or cleaning the cache; waiting for it")
            while not _try_lock(file.fileno()):
                time.sleep(0.2)
            progress(f"waited {time.monotonic() - started:.0f} s for the other process")
        yield  # closing the file unlocks it


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def workplace(cache: Cache) -> Iterator[Path]:
    """Give an empty folder to work in; what a killed build left there goes first. Needs the lock."""
    clear_workplace(cache)
    cache.work.mkdir(parents=True)
    try:
        yield cache.work
    finally:
        # What a process that is still dying writes here is left for the next build to remove.
        shutil.rmtree(cache.work, ignore_errors=True)


def clear_workplace(cache: Cache) -> None:
    """Remove what a build leaves in its work folder. Needs the lock."""
    if cache.work.exists():
        shutil.rmtree(cache.work)


def publish(source: Path, target: Path) -> None:
    """Make a finished file or folder visible under its name, whole, even if the power fails next."""
    for path in [source, *source.iterdir()] if source.is_dir() else [source]:
        _sync(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():  # a damaged image of the same digest
        shutil.rmtree(target)
    source.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def prunable(cache: Cache, keep_digest: str | None, keep_tree: str | None) -> list[Path]:
    """List what a prune removes: images and trees that aren't kept, and nothing we don't recognise."""
    images = [folder for folder in _folders(cache) if folder.name != keep_digest and _is_ours(folder)]
    trees = []
    if cache.trees.is_dir():
        for path in cache.trees.iterdir():
            match = _TREE.fullmatch(path.name)
            if match and match[1] != keep_tree and path.is_file():
                trees.append(path)
    return sorted(images) + sorted(trees)


def _is_ours(folder: Path) -> bool:
    try:
        image, _ = parse((folder / MANIFEST).read_text(encoding="utf-8"), folder)
    except (FileNotFoundError, ImageError):
        return False
    expected = {MANIFEST, image.container.path.name, image.vm.path.name}
    return image.digest == folder.name and {path.name for path in folder.iterdir()} <= expected


def remove(path: Path) -> int:
    """Remove an image's folder or a tree; return the bytes that it took."""
    if path.is_dir():
        size = _disk_usage(path)
        shutil.rmtree(path)
    else:
        size = path.stat().st_blocks * 512
        path.unlink()
    return size
