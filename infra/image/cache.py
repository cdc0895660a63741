"""The images in the cache: find, list, check and remove them."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.image.bundle.store import find_bundle_in
from infra.image.folders import disk_usage
from infra.image.manifest import FORMAT_FAMILY, MANIFEST, VM_FILE, packages_in, parse
from infra.image.model import Artifact, ImageError, NodeImage
from infra.image.places import Cache, default_cache
from infra.image.recipe import current_recipe
from infra.image.sparse import sha256_of
from infra.model.image import NodeImageKind
from infra.model.versions import DEFAULT, KubernetesVersion

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_TREE: Final = re.compile(r"([0-9a-f]{64})\.tar")


@dataclass(frozen=True)
class Entry:
    """An image in the cache.

    Attributes:
        image: The image.
        created: When it was made, in ISO 8601.
        disk_usage: Its bytes on the disk.
        packages: The versions of the Debian packages in it, by name.
    """

    image: NodeImage
    created: str
    disk_usage: int
    packages: Mapping[str, str] = field(repr=False)


def load(cache: Cache, digest: str) -> NodeImage | None:
    """Return an image from the cache, or None if it isn't there whole."""
    folder = cache.image(digest)
    try:
        image, _ = parse((folder / MANIFEST).read_text(encoding="utf-8"), folder, cache.bundles)
        is_complete = all(artifact.path.stat().st_size == artifact.file_size for artifact in image.artifacts)
    except (FileNotFoundError, ImageError):
        return None
    return image if is_complete and image.digest == digest else None


def find_node_image(kind: NodeImageKind = "kubernetes", version: KubernetesVersion = DEFAULT) -> NodeImage | None:
    """Return the image of the current recipe from the cache; None if it or its bundle has to be built.

    Args:
        kind: With Kubernetes, or plain.
        version: The Kubernetes version; the plain image has none.
    """
    cache = default_cache()
    if kind == "plain":
        return load(cache, current_recipe("").digest)
    bundle = find_bundle_in(cache, version)
    return load(cache, current_recipe(bundle.digest).digest) if bundle else None


def entries(cache: Cache) -> list[Entry]:
    """List the readable images, the newest first."""
    listed: list[Entry] = []
    for folder in _folders(cache):
        try:
            text = (folder / MANIFEST).read_text(encoding="utf-8")
            image, created = parse(text, folder, cache.bundles)
        except (FileNotFoundError, ImageError):
            continue
        listed.append(Entry(image, created, disk_usage(folder), packages_in(text)))
    return sorted(listed, key=lambda entry: entry.created, reverse=True)


def _folders(cache: Cache) -> list[Path]:
    if not cache.images.is_dir():
        return []
    return [path for path in cache.images.iterdir() if _DIGEST.fullmatch(path.name) and path.is_dir()]


def verify(artifact: Artifact) -> str | None:
    """Read an artefact again; return what is wrong with it, or None."""
    try:
        size = artifact.path.stat().st_size
    except FileNotFoundError:
        return "missing"
    if size != artifact.file_size:
        return f"{size} bytes instead of {artifact.file_size}"
    checksum = sha256_of(artifact.path)
    return None if checksum == artifact.sha256 else f"sha256 {checksum} instead of {artifact.sha256}"


def prunable(cache: Cache, keep_digests: Container[str], keep_trees: Container[str]) -> list[Path]:
    """List what a prune removes: images and trees that aren't kept, and nothing we don't recognise."""
    images = [folder for folder in _folders(cache) if folder.name not in keep_digests and _is_ours(folder)]
    trees = []
    if cache.trees.is_dir():
        for path in cache.trees.iterdir():
            match = _TREE.fullmatch(path.name)
            if match and match[1] not in keep_trees and path.is_file():
                trees.append(path)
    return sorted(images) + sorted(trees)


def _is_ours(folder: Path) -> bool:
    # An older azlocal's image is ours, too, even where this version can't read its manifest.
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        known = str(content["format"]).startswith(FORMAT_FAMILY) and content["digest"] == folder.name
        files = {artifact["file"] for artifact in content["artifacts"].values()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return False
    files |= {VM_FILE}  # of a build that was killed before it named the disk
    side_files = {f"{file}.chunks" for file in files}  # who copies an image keeps its chunks' hashes there
    return known and {path.name for path in folder.iterdir()} <= {MANIFEST, *files, *side_files}
