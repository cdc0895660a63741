"""Images by the real skopeo from a registry on loopback."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.image import tools
from infra.image.bundle.images import images
from infra.image.bundle.release import Endpoints, Release
from infra.image.bundle.sources import Draft
from infra.image.errors import ImageError
from tests.image.bundle.registry import Layout, serving_images

pytestmark = pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo")

PAUSE = next(image for image in images() if image.name == "pause")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "registry")
    layout.add_image("mirror/registry.k8s.io/pause", "3.10.1", {"pause": b"waits"})
    return layout


@pytest.fixture
def registry(layout: Layout) -> Iterator[str]:
    with serving_images(layout) as address:
        yield f"{address}/mirror"


@pytest.fixture
def downloading(draft: Draft) -> Draft:
    return dataclasses.replace(draft, run=tools.Programs())


def test_an_image_is_kept_under_its_upstream_name(downloading: Draft, registry: str) -> None:
    archive = Release(Endpoints(images=registry))._image(downloading, PAUSE, "1 of 1")
    with tarfile.open(archive) as opened:
        index = opened.extractfile("index.json")
        assert index
        (manifest,) = json.load(index)["manifests"]
    assert manifest["annotations"]["org.opencontainers.image.ref.name"] == "registry.k8s.io/pause:3.10.1"
    assert archive.is_relative_to(downloading.cache.components)


def test_a_layer_that_is_not_what_the_manifest_says_is_refused(
    downloading: Draft, layout: Layout, registry: str
) -> None:
    (layer,) = [path for path in layout.folder.iterdir() if b"waits" in path.read_bytes()]
    layer.write_bytes(layer.read_bytes().replace(b"waits", b"mines"))
    with pytest.raises(ImageError, match="skopeo failed"):
        Release(Endpoints(images=registry))._image(downloading, PAUSE, "1 of 1")
    assert not list(downloading.cache.components.rglob("*.tar"))


def test_an_image_that_is_not_there_is_named(downloading: Draft, registry: str) -> None:
    other = dataclasses.replace(PAUSE, tag="9.9.9")
    with pytest.raises(ImageError, match="manifest"):
        Release(Endpoints(images=registry))._image(downloading, other, "1 of 1")
