"""The source `modules`: everything is compiled here, from the Go module proxy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from infra.image.beside import beside
from infra.image.bundle import golang
from infra.image.bundle.assemble import PUT_TOGETHER, assemble
from infra.image.bundle.components import Component, components
from infra.image.bundle.debian import install, missing, step_of
from infra.image.bundle.images import BINARIES, images
from infra.image.bundle.inventory import Inventory, Program, content_of
from infra.image.bundle.parts import Binary
from infra.image.bundle.sources import BILL_OF_MATERIALS, Draft
from infra.image.folders import publish, step
from infra.image.times import in_words, remaining
from infra.model.versions import KubernetesVersion

# Kubernetes' pause is the one C program; it has no dependency but the C library.
_PAUSE: Final = "pause"
_PAUSE_VERSION: Final = "v3.10.1"
_PAUSE_SOURCE: Final = "build/pause/linux/pause.c"
_PAUSE_FLAGS: Final = ("-Os", "-Wall", "-Werror", "-static", "-s", f"-DVERSION={_PAUSE_VERSION}")


class Modules:
    """Compiles the programs and puts the images together."""

    def fill(self, draft: Draft) -> Inventory:
        """Fill a draft.

        Raises:
            ImageError: A program can't be compiled or an image not be made.
        """
        made = images(draft.version)
        with beside(partial(install, made, draft), draft.run.stop):
            programs = {entry.name: self._programs(draft, entry) for entry in components(draft.version)}
            programs[_PAUSE] = self._pause(draft)
        draft.binaries.mkdir()
        for component, name in BINARIES:
            shutil.copyfile(programs[component] / name, draft.binaries / name)
            (draft.binaries / name).chmod(0o755)
        draft.images.mkdir()
        return take_inventory(programs, assemble(draft, "modules", made, programs), draft.version)

    def _programs(self, draft: Draft, component: Component) -> Path:
        kept = _kept(draft, component)
        name = f"{component.name} {component.version}"
        if kept.is_dir():
            draft.progress(f"{name}: compiled earlier")
            return kept
        with step(
            draft.progress, name, f"compiling ({_place(draft, component)})", draft.times.recorder(component.name)
        ):
            made = draft.work / component.name
            golang.compile_component(component, made, draft.go, draft.cache, draft.run)
            publish(made, kept)
        return kept

    def _pause(self, draft: Draft) -> Path:
        folder = draft.work / "pause"
        folder.mkdir()
        source = draft.module("kubernetes") / _PAUSE_SOURCE
        draft.run(["gcc", *_PAUSE_FLAGS, "-o", str(folder / "pause"), str(source)])
        return folder


def take_inventory(
    programs: Mapping[str, Path], packages: Mapping[str, Mapping[str, str]], version: KubernetesVersion
) -> Inventory:
    """List what the images and the bundle's own programs are made of.

    Args:
        programs: Each component's folder of programs.
        packages: Each Debian tree's packages, with versions.
        version: The Kubernetes version.
    """
    versions = {entry.name: entry.version for entry in components(version)} | {_PAUSE: _PAUSE_VERSION}
    inventory = Inventory()
    held = [
        (entry.component, entry.name)
        for image in images(version)
        for entry in image.entries
        if isinstance(entry, Binary)
    ]
    for component, name in dict.fromkeys([*BINARIES, *held]):
        inventory.programs[f"{component}/{name}"] = Program(
            programs[component] / name,
            versions[component],
            go=component != _PAUSE,
            libraries=_libraries(programs[component]),
        )
    for image in images(version):
        inventory.images[image.name] = content_of(
            image, packages, lambda binary: f"{binary.component}/{binary.name}"
        )
    return inventory


def _libraries(folder: Path) -> dict[str, str]:
    file = folder / golang.LIBRARIES_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _kept(draft: Draft, component: Component) -> Path:
    return draft.cache.components / component.digest


def _place(draft: Draft, component: Component) -> str:
    """Say how far a build has come where a component's turn is: `2 of 8; about 9 minutes remain`."""
    every = components(draft.version)
    index = every.index(component)
    seconds = remaining(
        draft.times.seconds(),
        steps=[entry.name for entry in every[index:] if not _kept(draft, entry).is_dir()],
        beside=[*map(step_of, missing(images(draft.version), draft)), *draft.around.meanwhile_steps],
        after=[PUT_TOGETHER, BILL_OF_MATERIALS, *draft.around.after],
    )
    return f"{index + 1} of {len(every)}; {in_words(seconds)}"
