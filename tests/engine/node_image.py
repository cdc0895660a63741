"""Node images for runs of the engine: one that isn't read, and the newest version's alone."""

from __future__ import annotations

from pathlib import Path

from infra.image import find_node_image
from infra.image.manifest import CONTAINER_FILE, MANIFEST, VM_FILE, render
from infra.image.model import Artifact, NodeImage
from infra.image.places import Cache, default_cache
from infra.image.recipe import current_recipe


def plain_image(home: Path) -> dict[str, str]:
    """Put an image of nothing into a cache; return the environment in which a project finds that."""
    digest = current_recipe("").digest
    folder = Cache(home / "azlocal").image(digest)
    folder.mkdir(parents=True)
    artifacts = [Artifact(folder / file, "0" * 64, "raw", 1 << 20, 0) for file in (CONTAINER_FILE, VM_FILE)]
    for artifact in artifacts:
        artifact.path.touch()
    container, vm = artifacts
    (folder / MANIFEST).write_text(render(NodeImage("none", digest, container, vm, None), "", {}))
    return {"XDG_CACHE_HOME": str(home)}


def newest_image_alone(home: Path) -> dict[str, str]:
    """Return the environment in which a project finds the newest version's image, and none of another version.

    Which versions' images this machine has decides what a preview says of an image of another one.

    Raises:
        LookupError: this machine has none of the newest version.
    """
    image = find_node_image()
    if image is None:
        raise LookupError("the node image isn't built on this machine; run `azlocal image build`")
    every, alone = default_cache(), Cache(home / "azlocal")
    alone.images.mkdir(parents=True)
    alone.image(image.digest).symlink_to(every.image(image.digest))
    alone.bundles.symlink_to(every.bundles)
    return {"XDG_CACHE_HOME": str(home)}
