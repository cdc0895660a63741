from __future__ import annotations

from pathlib import Path

import pytest

from infra.image.bundle import Bundle
from infra.image.manifest import parse, render
from infra.image.model import Artifact, ImageError, NodeImage


def image(folder: Path, bundle: Bundle) -> NodeImage:
    return NodeImage(
        name="test-1-abc",
        digest="a" * 64,
        container=Artifact(folder / "root.ext4", "b" * 64, "raw", 4096, 4096),
        vm=Artifact(folder / "disk.qcow2", "c" * 64, "qcow2", 8192, 100),
        bundle=bundle,
    )


def test_a_manifest_reads_back_as_written(tmp_path: Path, bundle: Bundle) -> None:
    text = render(image(tmp_path, bundle), "2026-01-02T03:04:05+00:00", {"b": "2", "a": "1"})
    assert parse(text, tmp_path, bundle.folder.parent) == (image(tmp_path, bundle), "2026-01-02T03:04:05+00:00")
    assert text.index('"a": "1"') < text.index('"b": "2"')


def test_artefacts_are_where_the_manifest_is(tmp_path: Path, bundle: Bundle) -> None:
    moved, _ = parse(render(image(tmp_path, bundle), "", {}), tmp_path / "moved", bundle.folder.parent)
    assert moved.vm
    assert moved.vm.path == tmp_path / "moved/disk.qcow2"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}', '{"format": "azlocal-node-image/2"}'])
def test_anything_else_is_an_error_with_a_remedy(text: str, tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(ImageError, match=r"manifest\.json can't be read") as error:
        parse(text, tmp_path, bundle.folder.parent)
    assert "azlocal image build" in error.value.remedy
