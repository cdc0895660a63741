"""The source `modules`: everything is compiled here, from the Go module proxy."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from infra.image.bundle import golang
from infra.image.bundle.components import COMPONENTS, Component
from infra.image.bundle.compose import Composer, Ingredients
from infra.image.bundle.debian import base_tree, extras_tree
from infra.image.bundle.images import BINARIES, IMAGES
from infra.image.bundle.sources import Draft
from infra.image.folders import publish, step

# Kubernetes' pause is the one C program; it has no dependency but the C library.
_PAUSE_SOURCE: Final = "build/pause/linux/pause.c"
_PAUSE_FLAGS: Final = ("-Os", "-Wall", "-Werror", "-static", "-s", "-DVERSION=v3.10.1")


class Modules:
    """Compiles the programs and puts the images together."""

    def fill(self, draft: Draft) -> None:
        """Fill a draft.

        Raises:
            ImageError: A program can't be compiled or an image not be made.
        """
        programs = {entry.name: self._programs(draft, entry, _next(entry)) for entry in COMPONENTS}
        programs["pause"] = self._pause(draft)
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


def _next(component: Component, components: Sequence[Component] = COMPONENTS) -> str:
    index = components.index(component) + 1
    place = f" ({index} of {len(components)}"
    return f"{place}; then {components[index].name})" if index < len(components) else f"{place})"
