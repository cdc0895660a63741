"""A node image for runs of the engine that don't come as far as to read it."""

from __future__ import annotations

from pathlib import Path

from infra.image.manifest import CONTAINER_FILE, MANIFEST, VM_FILE, render
from infra.image.model import Artifact, NodeImage
from infra.image.places import Cache
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
