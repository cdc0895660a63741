"""The source `modules`: everything is compiled here, from the Go module proxy."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from infra.image.bundle import golang
from infra.image.bundle.components import COMPONENTS, Component
from infra.image.bundle.compose import Composer, Ingredients
from infra.image.bundle.debian import base_tree, extras_tree
from infra.image.bundle.images import BINARIES, IMAGES, Binary, Certificates, FromDebian
from infra.image.bundle.inventory import ImageContent, Inventory, Program
from infra.image.bundle.sources import Draft
from infra.image.folders import publish, step
from infra.image.tree import installed_packages

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
        programs = {entry.name: self._programs(draft, entry, _next(entry)) for entry in COMPONENTS}
        programs[_PAUSE] = self._pause(draft)
        draft.binaries.mkdir()
        for component, name in BINARIES:
            shutil.copyfile(programs[component] / name, draft.binaries / name)
            (draft.binaries / name).chmod(0o755)
        base = base_tree(draft.cache, draft.work, draft.progress, draft.run)
        extras = extras_tree(draft.cache, draft.work, draft.progress, draft.run)
        with step(draft.progress, "container images", f"putting {len(IMAGES)} together"):
            composer = Composer(draft.work, Ingredients(programs, draft.module, extras), draft.run)
            composer.add_base(base)
            draft.images.mkdir()
            for image in IMAGES:
                composer.compose(image, image.reference("modules"), draft.images / f"{image.name}.tar")
        return take_inventory(programs, installed_packages(base), installed_packages(extras))

    def _programs(self, draft: Draft, component: Component, following: str) -> Path:
        kept = draft.cache.components / component.digest
        name = f"{component.name} {component.version}"
        if kept.is_dir():
            draft.progress(f"{name}: compiled earlier")
            return kept
        with step(draft.progress, name, f"compiling{following}"):
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


def take_inventory(programs: Mapping[str, Path], base: Mapping[str, str], extras: Mapping[str, str]) -> Inventory:
    """List what the images and the bundle's own programs are made of.

    Args:
        programs: Each component's folder of programs.
        base: The packages of the images' common layer, with versions.
        extras: Those that single files were taken from.
    """
    versions = {entry.name: entry.version for entry in COMPONENTS} | {_PAUSE: _PAUSE_VERSION}
    inventory = Inventory(packages={**extras, **base})
    held = [
        (entry.component, entry.name) for image in IMAGES for entry in image.entries if isinstance(entry, Binary)
    ]
    for component, name in dict.fromkeys([*BINARIES, *held]):
        inventory.programs[f"{component}/{name}"] = Program(
            programs[component] / name, versions[component], go=component != _PAUSE
        )
    for image in IMAGES:
        packages = list(base) if image.debian else []
        for entry in image.entries:
            if isinstance(entry, FromDebian):
                packages.append(entry.package)
            elif isinstance(entry, Certificates):
                packages.append("ca-certificates")
        inventory.images[image.name] = ImageContent(
            programs=tuple(
                dict.fromkeys(
                    f"{part.component}/{part.name}" for part in image.entries if isinstance(part, Binary)
                )
            ),
            packages=tuple(dict.fromkeys(packages)),
        )
    return inventory


def _next(component: Component, components: Sequence[Component] = COMPONENTS) -> str:
    index = components.index(component) + 1
    place = f" ({index} of {len(components)}"
    return f"{place}; then {components[index].name})" if index < len(components) else f"{place})"
