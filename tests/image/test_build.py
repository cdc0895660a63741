from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from infra.image.build import _install_early, build
from infra.image.bundle import Bundle
from infra.image.cache import load, prunable, verify
from infra.image.folders import locked
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
    assert image.vm
    assert (image.vm.format, image.vm.virtual_size) == ("qcow2", recipe.disk_size)
    folder = cache.image(recipe.digest)
    assert sorted(path.name for path in folder.iterdir()) == ["disk.qcow2", MANIFEST, "root.ext4"]
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["packages"] == {"base": "1.2-3"}
    assert not cache.work.exists()
    for step in ("packages", "tree", "root file system", "VM disk", "checksum", "publishing"):
        assert [line for line in lines if line.startswith(f"{step}: ") and line.endswith(" s")]


def test_where_all_machines_are_containers_no_disk_is_made_until_one_is_asked_for(
    recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner
) -> None:
    image = build(recipe, bundle, cache, lambda line: None, runner, vm_disk=False)
    folder = cache.image(recipe.digest)
    assert image.vm is None
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST, "root.ext4"]
    assert not {"sgdisk", "qemu-img"} & set(runner.programs)
    assert load(cache, recipe.digest) == image

    runner.calls.clear()
    whole = build(recipe, bundle, cache, lambda line: None, runner)
    assert whole.vm
    assert whole == dataclasses.replace(image, vm=whole.vm)
    assert load(cache, recipe.digest) == whole
    assert not {"mmdebstrap", "tar", "mke2fs"} & set(runner.programs)
    # Of the same parts as if it had been made with the rest; and it is never made twice.
    other = Cache(cache.root / "other")
    assert build(recipe, None, other, lambda line: None, runner).vm == dataclasses.replace(
        whole.vm, path=other.image(recipe.digest) / "disk.qcow2"
    )
    runner.calls.clear()
    build(recipe, bundle, cache, lambda line: None, runner)
    build(recipe, bundle, cache, lambda line: None, runner, vm_disk=False)
    assert runner.calls == []


def test_a_disk_that_was_not_finished_leaves_the_image_as_it_was(
    recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner
) -> None:
    image = build(recipe, bundle, cache, lambda line: None, runner, vm_disk=False)
    runner.fail = "qemu-img"
    with pytest.raises(ImageError, match="qemu-img"):
        build_quietly(recipe, bundle, cache, runner)
    assert load(cache, recipe.digest) == image
    assert not cache.work.exists()
    # Killed after the file came and before the manifest named it: it is made again, and prune knows the folder.
    (cache.image(recipe.digest) / "disk.qcow2").write_bytes(b"half")
    assert load(cache, recipe.digest) == image
    assert cache.image(recipe.digest) in prunable(cache, (), ())
    runner.fail = None
    build_quietly(recipe, bundle, cache, runner)
    assert [verify(artifact) for artifact in (load(cache, recipe.digest) or image).artifacts] == [None, None]


def test_a_root_file_system_without_boot_loaders_makes_no_disk(
    recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_debugfs", lambda argv: None)
    with pytest.raises(ImageError, match=r"shimx64\.efi\.signed isn't in"):
        build_quietly(recipe, bundle, cache, runner)


def test_packages_are_installed_beside_the_bundle_s_build(
    recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner
) -> None:
    _install_early(recipe, cache, lambda line: None, runner)
    assert cache.tree(recipe.tree_digest).exists()
    assert not cache.work.exists()
    build_quietly(recipe, bundle, cache, runner)
    assert runner.programs.count("mmdebstrap") == 1


def test_packages_that_another_process_installs_are_not_waited_for(
    recipe: Recipe, cache: Cache, runner: FakeRunner
) -> None:
    with locked(cache.image_lock, "building", lambda line: None):
        _install_early(recipe, cache, lambda line: None, runner)
    assert runner.calls == []


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


@pytest.mark.parametrize("program", ["tar", "mke2fs", "debugfs", "mkfs.vfat", "mcopy", "sgdisk", "qemu-img"])
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
