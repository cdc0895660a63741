"""Where images and bundles are kept: one folder per digest, complete or not there at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.files import user_cache

_WORK: Final = ".work"
_LOCK: Final = ".lock"


@dataclass(frozen=True)
class Cache:
    """The folders of a cache."""

    root: Path

    @property
    def images(self) -> Path:
        """One folder per image, named by its digest."""
        return self.root / "images"

    @property
    def bundles(self) -> Path:
        """One folder per bundle, named by its digest."""
        return self.root / "bundles"

    @property
    def components(self) -> Path:
        """What bundles are made of, compiled or downloaded: one folder each, named by its digest."""
        return self.bundles / "components"

    @property
    def trees(self) -> Path:
        """Packed trees of packages, named by their digest."""
        return self.root / "trees"

    @property
    def go(self) -> Path:
        """Go's own caches, which nothing needs once a bundle is built."""
        return self.root / "go"

    def image(self, digest: str) -> Path:
        """An image's folder."""
        return self.images / digest

    def bundle(self, digest: str) -> Path:
        """A bundle's folder."""
        return self.bundles / digest

    def tree(self, digest: str) -> Path:
        """A packed tree."""
        return self.trees / f"{digest}.tar"

    @property
    def work(self) -> Path:
        """Where a build of an image works: beside the images, so that publishing is a rename."""
        return self.images / _WORK

    @property
    def bundle_work(self) -> Path:
        """Where a build of a bundle works."""
        return self.bundles / _WORK

    @property
    def image_lock(self) -> Path:
        """Held by who builds or removes images."""
        return self.images / _LOCK

    @property
    def bundle_lock(self) -> Path:
        """Held by who builds or removes bundles."""
        return self.bundles / _LOCK


def default_cache() -> Cache:
    """Return the user's cache: XDG_CACHE_HOME/azlocal, by default ~/.cache/azlocal."""
    return Cache(user_cache() / "azlocal")
