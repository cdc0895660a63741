"""The bundles in the cache: find, list, check and remove them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container
from pathlib import Path
from typing import Final, get_args

from infra.files import replace_file
from infra.image.bundle.components import components as compiled_from
from infra.image.bundle.model import BUNDLE_FILE, FORMAT_FAMILY, SUMS_FILE, Bundle, Source, parse
from infra.image.bundle.recipe import bundle_digest
from infra.image.errors import ImageError
from infra.image.places import Cache, default_cache
from infra.model.versions import BUILT, DEFAULT, KubernetesVersion, built_version

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
# Remembers which source the last build took, so that everyone on this machine means the same bundle.
_CHOICE: Final = "source"


def find_bundle() -> Bundle | None:
    """Return a current bundle from the user's cache, for what all versions share; None if one has to be built."""
    cache = default_cache()
    return next((bundle for version in BUILT if (bundle := find_bundle_in(cache, version))), None)


def find_bundle_in(cache: Cache, version: KubernetesVersion = DEFAULT) -> Bundle | None:
    """Return a version's current bundle, of the source that was built last; None if it has to be built."""
    source = chosen_source(cache)
    return load(cache, bundle_digest(source, version)) if source else None


def find_bundle_of(version: str) -> Bundle | None:
    """Return a version's bundle from the user's cache; None if it isn't there, or azlocal doesn't build it."""
    try:
        return find_bundle_in(default_cache(), built_version(version))
    except KeyError:
        return None


def chosen_source(cache: Cache) -> Source | None:
    """Return the source that the last build took."""
    try:
        text = (cache.bundles / _CHOICE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    return next((source for source in get_args(Source) if source == text), None)


def choose_source(cache: Cache, source: Source) -> None:
    """Remember which source's bundle is in use."""
    if chosen_source(cache) != source:
        replace_file(cache.bundles / _CHOICE, f"{source}\n")


def load(cache: Cache, digest: str) -> Bundle | None:
    """Return a bundle from the cache, or None if it isn't there whole."""
    bundle = read(cache.bundle(digest))
    return bundle if bundle and bundle.digest == digest and bundle.whole else None


def read(folder: Path) -> Bundle | None:
    """Read the bundle in a folder, whole or not."""
    try:
        return parse((folder / BUNDLE_FILE).read_text(encoding="utf-8"), folder)
    except (FileNotFoundError, NotADirectoryError, ImageError):
        return None


def entries(cache: Cache) -> list[Bundle]:
    """List the readable bundles, the newest first."""
    found = [bundle for folder in _folders(cache.bundles) if (bundle := read(folder))]
    return sorted(found, key=lambda bundle: bundle.created, reverse=True)


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if _DIGEST.fullmatch(path.name) and path.is_dir())


def verify(bundle: Bundle) -> list[str]:
    """Read every file again; return what is wrong, a line each."""
    faults = []
    listed: dict[str, str] = {}
    try:
        for line in (bundle.folder / SUMS_FILE).read_text(encoding="utf-8").splitlines():
            sha256, _, path = line.partition("  ")
            listed[path] = sha256
    except FileNotFoundError:
        return [f"{SUMS_FILE}: missing"]
    for path, expected in listed.items():
        try:
            found = sha256_of(bundle.folder / path)
        except FileNotFoundError:
            faults.append(f"{path}: missing")
            continue
        if found != expected:
            faults.append(f"{path}: sha256 {found} instead of {expected}")
    unlisted = sorted(set(bundle.files) - set(listed) - {SUMS_FILE})
    return faults + [f"{path}: not in {SUMS_FILE}" for path in unlisted]


def sha256_of(path: Path) -> str:
    """Return a file's sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def prunable(cache: Cache, keep: Container[str], *, components: bool) -> list[Path]:
    """List what a prune removes: bundles that aren't kept, and parts that no current bundle is made of."""
    bundles = [folder for folder in _folders(cache.bundles) if folder.name not in keep and _is_ours(folder)]
    current = set() if components else {entry.digest for version in BUILT for entry in compiled_from(version)}
    return bundles + [folder for folder in _folders(cache.components) if folder.name not in current]


def _is_ours(folder: Path) -> bool:
    # An older azlocal's bundle is ours, too, even where this version can't read its description.
    try:
        content = json.loads((folder / BUNDLE_FILE).read_text(encoding="utf-8"))
        return bool(str(content["format"]).startswith(FORMAT_FAMILY) and content["digest"] == folder.name)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False
