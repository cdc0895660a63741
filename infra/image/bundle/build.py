"""Build the bundle: choose a source, let it fill a draft, note what is in it, publish it whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Literal

from infra.image import tools
from infra.image.beside import beside
from infra.image.bundle import golang
from infra.image.bundle.images import CHARTS, images
from infra.image.bundle.inventory import Inventory
from infra.image.bundle.model import BUNDLE_FILE, SBOM_FILE, SUMS_FILE, Bundle, Source, render
from infra.image.bundle.modules import Modules
from infra.image.bundle.recipe import bundle_digest
from infra.image.bundle.release import Endpoints, Release, why_unreachable
from infra.image.bundle.sources import BILL_OF_MATERIALS, Around, BundleSource, Draft, copy_charts
from infra.image.bundle.store import choose_source, chosen_source, load, sha256_of
from infra.image.errors import ImageError
from infra.image.folders import Progress, locked, publish, step, workplace
from infra.image.places import Cache, default_cache
from infra.model.versions import DEFAULT, KubernetesVersion

SourceChoice = Literal["auto", "release", "modules"]

_GIB: Final = 1 << 30
_SPACE_NEEDED: Final = 4 * _GIB
# What Go's caches grow to when nothing has been compiled before.
_SPACE_OF_GO: Final = 25 * _GIB


_ALONE: Final = Around()


def build_bundle(
    progress: Progress,
    source: SourceChoice = "auto",
    around: Around = _ALONE,
    version: KubernetesVersion = DEFAULT,
) -> Bundle:
    """Return the current bundle of a Kubernetes version; build it where the cache doesn't have it.

    Args:
        progress: Takes one line per step.
        source: Where it comes from; `auto` takes the bundle in use, else the official downloads where they
            answer quickly, else Go modules.
        around: What the build is a part of.
        version: The Kubernetes version.

    Raises:
        ImageError: It can't be built; what is finished is kept for the next try.
    """
    cache = default_cache()
    wanted = chosen_source(cache) if source == "auto" else source
    found = load(cache, bundle_digest(wanted, version)) if wanted else None
    if found is None:
        tools.check_tools()
        tools.check_root()
        endpoints = Endpoints.of(os.environ)
        programs = tools.Programs()
        chosen = choose(source, endpoints, progress, programs, version)
        maker = Release(endpoints) if chosen == "release" else Modules()
        meanwhile = partial(around.meanwhile, programs) if around.meanwhile else None
        with beside(meanwhile, programs.stop) if meanwhile else nullcontext():
            found = build(chosen, maker, cache, progress, programs, golang.find_go, around, version)
    choose_source(cache, found.source)
    return found


def choose(
    source: SourceChoice,
    endpoints: Endpoints,
    progress: Progress,
    run: tools.Runner,
    version: KubernetesVersion = DEFAULT,
) -> Source:
    """Choose where a bundle comes from, and say why."""
    if source != "auto":
        return source
    reason = why_unreachable(endpoints, run, version)
    if reason is None:
        progress(f"bundle: taking the projects' own downloads (release), since {endpoints.kubernetes} answers")
        return "release"
    progress(f"bundle: compiling it from Go modules (modules), since {reason}")
    return "modules"


def build(
    source: Source,
    maker: BundleSource,
    cache: Cache,
    progress: Progress,
    run: tools.StoppableRunner,
    find_go: Callable[[tools.Runner], str],
    around: Around = _ALONE,
    version: KubernetesVersion = DEFAULT,
) -> Bundle:
    """Build a source's bundle into a cache, unless another process does so first.

    Raises:
        ImageError: A step fails.
    """
    digest = bundle_digest(source, version)
    try:
        with locked(cache.bundle_lock, "building the bundle", progress):
            found = load(cache, digest)
            if found:
                return found
            check_space(cache, source)
            with (
                workplace(cache.bundle_work) as work,
                step(progress, "bundle", f"Kubernetes {version.version}, from {source}"),
            ):
                draft = Draft(work / "bundle", work, cache, find_go(run), progress, run, around, version)
                draft.folder.mkdir()
                inventory = maker.fill(draft)
                copy_charts(draft, source)
                _finish(draft, source, digest, inventory)
                publish(draft.folder, cache.bundle(digest))
    except OSError as error:
        raise ImageError(
            f"The bundle can't be built in {cache.bundles}: {error}", tools.remedy_for(str(error))
        ) from error
    bundle = load(cache, digest)
    if bundle is None:
        raise ImageError(f"{cache.bundle(digest)} isn't what was built.", "Run it again.")
    return bundle


def _finish(draft: Draft, source: Source, digest: str, inventory: Inventory) -> None:
    """Write what is said about the files, then their checksums."""
    folder = draft.folder
    bundle = Bundle(
        source=source,
        digest=digest,
        kubernetes_version=draft.version.version,
        folder=folder,
        images={image.name: image.reference(source) for image in images(draft.version)},
        charts={chart.name: folder / "charts" / chart.name for chart in CHARTS},
        values={chart.name: folder / "charts/values" / f"{chart.name}.yaml" for chart in CHARTS if chart.values},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    sums = _sums(folder)
    record = draft.times.recorder(BILL_OF_MATERIALS)
    with step(draft.progress, BILL_OF_MATERIALS, "reading what the programs are made of", record):
        (folder / SBOM_FILE).write_text(_bill_of_materials(draft, bundle, inventory, sums), encoding="utf-8")
    sums |= {SBOM_FILE: sha256_of(folder / SBOM_FILE)}
    lines = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(sums.items()))
    (folder / SUMS_FILE).write_text(lines, encoding="utf-8")
    sizes = {path: (folder / path).stat().st_size for path in _files(folder)}
    (folder / BUNDLE_FILE).write_text(render(replace(bundle, files=sizes)), encoding="utf-8")


def _sums(folder: Path) -> dict[str, str]:
    return {path: sha256_of(folder / path) for path in _files(folder)}


def _bill_of_materials(draft: Draft, bundle: Bundle, inventory: Inventory, sums: Mapping[str, str]) -> str:
    # Libraries that only a build needs.
    from infra.image import known_holes
    from infra.image.bundle import sbom

    names = [name for name, program in inventory.programs.items() if program.go]
    paths = [inventory.programs[name].path for name in names]
    found = golang.build_information(paths, draft.go, draft.run)
    modules = {name: sbom.go_modules(entry) for name, entry in zip(names, found, strict=True)}
    return sbom.render(bundle, inventory, modules, sums, known_holes.known_holes())


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def check_space(cache: Cache, source: Source) -> None:
    """Make sure that a build has room.

    Raises:
        ImageError: Too little is free.
    """
    cold = source == "modules" and not (cache.go / "build").is_dir()
    needed = _SPACE_NEEDED + (_SPACE_OF_GO if cold else 0)
    free = shutil.disk_usage(cache.bundles).free
    if free < needed:
        raise ImageError(
            f"The bundle needs {needed / _GIB:.0f} GiB in {cache.bundles}; {free / _GIB:.1f} GiB are free.",
            "Free disk space (`azlocal image prune` removes what is old), or point XDG_CACHE_HOME elsewhere.",
        )
