"""The interface of a bundle's sources, and what both need."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from infra.image.bundle import golang
from infra.image.bundle.components import component
from infra.image.bundle.images import CHARTS, images
from infra.image.bundle.inventory import Inventory
from infra.image.bundle.model import Source
from infra.image.bundle.parts import OWN_CHARTS, Change
from infra.image.errors import ImageError
from infra.image.folders import Progress
from infra.image.places import Cache
from infra.image.times import Times
from infra.image.tools import StoppableRunner
from infra.model.versions import DEFAULT, KubernetesVersion

BILL_OF_MATERIALS: Final = "bill of materials"


@dataclass(frozen=True)
class Around:
    """What a bundle's build is a part of.

    Attributes:
        meanwhile: What is done beside it, with the runner that it gets, where the bundle has to be built.
        meanwhile_steps: The names of its steps.
        after: The names of the steps that follow.
    """

    meanwhile: Callable[[StoppableRunner], object] | None = None
    meanwhile_steps: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """A bundle in the making.

    Attributes:
        folder: What is going to be the bundle.
        work: For everything else.
        cache: Keeps what is finished, for the next try.
        go: The Go toolchain: it compiles, and fetches modules whose hashes are in go.sum.
        progress: Takes one line per step.
        run: Runs programs.
        around: What this build is a part of.
        version: Whose bundle it is.
    """

    folder: Path
    work: Path
    cache: Cache
    go: str
    progress: Progress
    run: StoppableRunner
    around: Around = Around()
    version: KubernetesVersion = DEFAULT

    @property
    def times(self) -> Times:
        """How long steps take on this host."""
        return Times.of(self.cache)

    @property
    def binaries(self) -> Path:
        """Where programs go."""
        return self.folder / "binaries"

    @property
    def images(self) -> Path:
        """Where OCI archives go."""
        return self.folder / "images"

    @property
    def charts(self) -> Path:
        """Where charts go."""
        return self.folder / "charts"

    def module(self, name: str, module: str = "") -> Path:
        """Return the unpacked sources of a component's own module, or of another one of its modules."""
        entry = component(name, self.version)
        return golang.module_folder(entry, module or entry.module, self.go, self.cache, self.run)


class BundleSource(Protocol):
    """Fills a draft with programs and container images."""

    def fill(self, draft: Draft) -> Inventory:
        """Fill `draft.binaries` and `draft.images`; return what is in them.

        Raises:
            ImageError: Something can't be had.
        """
        ...


def copy_charts(draft: Draft, source: Source) -> None:
    """Copy the charts, from their modules, which go.sum vouches for, or our own, into a draft.

    Raises:
        ImageError: A module can't be fetched or doesn't have its chart.
    """
    for chart in CHARTS:
        folder = draft.module(chart.component) / chart.path if chart.component else OWN_CHARTS / chart.name
        target = draft.charts / chart.name
        _copy_tree(folder, target)
        for linked in chart.linked:
            _copy_tree(draft.module(linked.component, linked.module) / linked.path, target / linked.target)
        for change in chart.changes:
            _make(change, target)
        if chart.images:
            _append(target / "values.yaml", {"images": _references(chart.images, source, draft.version)})
        if chart.values and chart.component:
            values = draft.charts / "values" / f"{chart.name}.yaml"
            values.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(draft.module(chart.component) / chart.values, values)


def _make(change: Change, chart: Path) -> None:
    path = chart / change.file
    text = path.read_text(encoding="utf-8")
    if text.count(change.old) != 1:
        raise ImageError(
            f"{path} isn't as it was when azlocal's change to it was written: upstream has another text there.",
            "Look at CHARTS in infra/image/bundle/images.py.",
        )
    path.write_text(text.replace(change.old, change.new), encoding="utf-8")


def _references(names: Collection[str], source: Source, version: KubernetesVersion) -> dict[str, str]:
    return {image.name: image.reference(source) for image in images(version) if image.name in names}


def _append(values: Path, more: dict[str, Any]) -> None:
    with values.open("a", encoding="utf-8") as file:
        yaml.safe_dump(more, file)


def _copy_tree(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise ImageError(f"{source} isn't there.", "Look at CHARTS in infra/image/bundle/images.py.")
    # Neither modes nor dates: a module's files are read-only.
    shutil.copytree(source, target, copy_function=shutil.copyfile, dirs_exist_ok=True)
    target.chmod(0o755)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
