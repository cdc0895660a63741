from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from infra.image.build import build
from infra.image.bundle import Bundle
from infra.image.cache import load
from infra.image.manifest import MANIFEST
from infra.image.model import ImageError
from infra.image.places import Cache
from infra.image.recipe import GIB, Recipe
from tests.image.conftest import FakeRunner


def build_quietly(recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner) -> None:
    build(recipe, bundle, cache, lambda line: None, runner)


def test_a_build_publishes_both_artefacts_and_a_manifest(
    recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner
) -> None:
    lines: list[str] = []
    image = build(recipe, bundle, cache, lines.append, runner)

    assert image.name == recipe.image_name
    assert (image.container.format, image.container.virtual_size) == ("raw", recipe.root_size)
    assert (image.vm.format, image.vm.virtual_size) == ("qcow2", recipe.disk_size)
    folder = cache.image(recipe.digest)
    assert sorted(path.name for path in folder.iterdir()) == ["disk.qcow2", MANIFEST, "root.ext4"]
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["packages"] == {"base": "1.2-3"}
    assert not cache.work.exists()
    for step in ("packages", "tree", "root file system", "VM disk", "publishing"):
        assert [line for line in lines if line.startswith(f"{step}: ") and line.endswith(" s")]


def test_without_a_bundle_no_program_and_no_container_image_goes_in(
    recipe: Recipe, cache: Cache, runner: FakeRunner
) -> None:
    image = build(recipe, None, cache, lambda line: None, runner)
    assert image.bundle is None
    assert load(cache, recipe.digest) == image
    assert not [call for call in runner.calls if "infra.image.containers" in call]


def test_a_built_image_is_not_built_again(
    recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner
) -> None:
    build_quietly(recipe, bundle, cache, runner)
    calls = len(runner.calls)
    build_quietly(recipe, bundle, cache, runner)
    assert len(runner.calls) == calls


@pytest.mark.parametrize("program", ["tar", "mke2fs", "mkfs.vfat", "mcopy", "sgdisk", "qemu-img"])
def test_after_a_failure_the_packages_are_not_installed_again(
    recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner, program: str
) -> None:
    runner.fail = program
    with pytest.raises(ImageError, match=program):
        build_quietly(recipe, bundle, cache, runner)
    assert not cache.image(recipe.digest).exists()
    assert not cache.work.exists()
    runner.fail = None
    build_quietly(recipe, bundle, cache, runner)
    assert runner.programs.count("mmdebstrap") == 1


def test_a_failed_installation_leaves_no_tree(
    recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner
) -> None:
    runner.fail = "mmdebstrap"
    with pytest.raises(ImageError, match="mmdebstrap"):
        build_quietly(recipe, bundle, cache, runner)
    assert not cache.tree(recipe.tree_digest).exists()


def test_our_own_files_need_no_new_packages(
    recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner
) -> None:
    build_quietly(recipe, bundle, cache, runner)
    build_quietly(dataclasses.replace(recipe, root_files={}), bundle, cache, runner)
    assert runner.programs.count("mmdebstrap") == 1
    assert len(list(cache.images.glob("[0-9a-f]*"))) == 2


def test_what_a_killed_build_left_is_removed(
    recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner
) -> None:
    (cache.work / "tree/etc").mkdir(parents=True)
    build_quietly(recipe, bundle, cache, runner)
    assert not cache.work.exists()


def test_a_damaged_image_is_built_again(recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner) -> None:
    build_quietly(recipe, bundle, cache, runner)
    (cache.image(recipe.digest) / "disk.qcow2").unlink()
    build_quietly(recipe, bundle, cache, runner)
    assert (cache.image(recipe.digest) / "disk.qcow2").exists()


def test_too_little_space_is_said_before_anything_runs(
    recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(Path("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=GIB))
    with pytest.raises(ImageError, match=r"12 GiB .* 1\.0 GiB are free"):
        build_quietly(recipe, bundle, cache, runner)
    assert runner.calls == []


def test_a_cache_that_cannot_be_written_is_an_image_error(
    recipe: Recipe, bundle: Bundle, tmp_path: Path, runner: FakeRunner
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="can't be built in"):
        build_quietly(recipe, bundle, Cache(tmp_path / "file"), runner)
