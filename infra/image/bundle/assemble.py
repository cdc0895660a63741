"""Make the container images that nobody is asked for: from programs, Debian's packages and files of our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from infra.image.bundle.compose import Composer, Ingredients
from infra.image.bundle.debian import unpacked
from infra.image.bundle.images import EXTRAS, trees_of
from infra.image.bundle.model import Source
from infra.image.bundle.parts import Image
from infra.image.bundle.sources import Draft
from infra.image.folders import step
from infra.image.tree import installed_packages

PUT_TOGETHER: Final = "images put together"


def assemble(
    draft: Draft, source: Source, images: Sequence[Image], programs: Mapping[str, Path]
) -> dict[str, dict[str, str]]:
    """Put images together and write their archives.

    Args:
        draft: The bundle in the making.
        source: Where it comes from, which decides the images' tags.
        images: What to make.
        programs: Each component's folder of programs.

    Returns:
        The packages, with versions, of each tree that the images were made with.

    Raises:
        ImageError: A part can't be had, or a program fails.
    """
    trees = {tree.name: unpacked(tree, draft) for tree in trees_of(images)}
    packages = {name: installed_packages(folder) for name, folder in trees.items()}
    with step(
        draft.progress, "container images", f"putting {len(images)} together", draft.times.recorder(PUT_TOGETHER)
    ):
        composer = Composer(draft.work, Ingredients(programs, draft.module, trees[EXTRAS.name]), draft.run)
        for tree in trees_of(images):
            if tree is not EXTRAS:
                composer.add_layer(tree.name, trees[tree.name])
        for image in images:
            composer.compose(image, image.reference(source), draft.images / f"{image.name}.tar")
    return packages
