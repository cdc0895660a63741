from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from infra.image.bundle import Bundle
from infra.image.containers import import_images, missing_images
from infra.image.model import ImageError
from tests.image.conftest import FakeRunner

HEAD = "REF TYPE DIGEST STATUS SIZE UNPACKED\n"
WHOLE = "a/b:1 application/vnd.oci.image.manifest.v1+json sha256:1 complete (2/2) 1.0 MiB/1.0 MiB true\n"


def test_a_whole_store_has_no_faults() -> None:
    assert missing_images(HEAD + WHOLE, {"b": "a/b:1"}) == []


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (HEAD, "a/b:1 isn't there"),
        (HEAD + WHOLE.replace("true", "false"), "not unpacked"),
        (HEAD + WHOLE.replace("complete (2/2)", "incomplete (1/2)"), "isn't whole"),
        (HEAD + WHOLE.replace("a/b:1", "a/b:12"), "a/b:1 isn't there"),
    ],
)
def test_faults_are_named(table: str, fault: str) -> None:
    (found,) = missing_images(table, {"b": "a/b:1"})
    assert fault in found


def test_every_archive_is_imported(bundle: Bundle, tmp_path: Path, runner: FakeRunner) -> None:
    import_images(bundle, tmp_path, runner)
    (argv,) = runner.calls
    assert argv[2:4] == ["infra.image.containers", str(tmp_path)]
    assert argv[4:] == [str(bundle.archive(name)) for name in bundle.images]


def test_an_image_that_is_not_there_afterwards_is_an_error(
    bundle: Bundle, tmp_path: Path, runner: FakeRunner
) -> None:
    more = dataclasses.replace(bundle, images={**bundle.images, "more": "registry.example/more:1"})
    with pytest.raises(ImageError, match="more:1 isn't there") as error:
        import_images(more, tmp_path, runner)
    assert "azlocal image verify" in error.value.remedy
