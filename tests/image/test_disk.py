from __future__ import annotations

from pathlib import Path

import pytest

from infra.image.disk import make_disk, make_root, partition_arguments
from infra.image.recipe import MIB, Recipe
from infra.image.tree import unpack
from tests.image.conftest import FakeRunner


def test_partitions_touch_and_the_root_is_last(recipe: Recipe) -> None:
    arguments = partition_arguments(recipe)
    assert "--new=1:2048:6143" in arguments
    assert f"--new=2:6144:{6144 + recipe.root_size // 512 - 1}" in arguments


def test_identifiers_come_from_the_digest(recipe: Recipe, tmp_path: Path, runner: FakeRunner) -> None:
    assert partition_arguments(recipe) == partition_arguments(recipe)
    make_root(recipe, tmp_path, tmp_path / "a", runner)
    make_root(recipe, tmp_path, tmp_path / "b", runner)
    first, second = runner.calls
    assert first[first.index("-U") + 1] == second[second.index("-U") + 1]


def test_the_file_system_is_one_that_grub_reads(recipe: Recipe, tmp_path: Path, runner: FakeRunner) -> None:
    make_root(recipe, tmp_path, tmp_path / "root", runner)
    (argv,) = runner.calls
    assert argv[argv.index("-O") + 1] == "^metadata_csum_seed,^orphan_file"
    assert argv[argv.index("-L") + 1] == recipe.label


@pytest.mark.parametrize("name", ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi", "EFI/debian/grub.cfg"])
def test_the_esp_has_what_the_firmware_looks_for(
    recipe: Recipe, tmp_path: Path, runner: FakeRunner, name: str
) -> None:
    tree, root = tmp_path / "tree", tmp_path / "root"
    unpack(tmp_path / "t.tar", tree, runner)
    make_root(recipe, tree, root, runner)
    make_disk(recipe, root, tmp_path, tmp_path / "disk", runner)
    assert (tmp_path / "esp" / name).is_file()


def test_the_disk_has_both_partitions_at_their_places(recipe: Recipe, tmp_path: Path, runner: FakeRunner) -> None:
    tree, root = tmp_path / "tree", tmp_path / "root"
    unpack(tmp_path / "t.tar", tree, runner)
    make_root(recipe, tree, root, runner)
    make_disk(recipe, root, tmp_path, tmp_path / "disk", runner)
    content = (tmp_path / "disk").read_bytes()
    assert len(content) == recipe.disk_size
    assert content[MIB : MIB + 4] == b"vfat"
    assert content[4 * MIB : 4 * MIB + 16] == b"root file system"
    assert not (tmp_path / "disk.raw").exists()
