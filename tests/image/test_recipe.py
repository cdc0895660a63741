from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from infra.image.recipe import BUILDER_VERSION, MIB, Package, Recipe, current_recipe


def changed(recipe: Recipe, **changes: Any) -> Recipe:
    return dataclasses.replace(recipe, **changes)


def test_digests_are_the_same_in_every_process(recipe: Recipe) -> None:
    # A change here is a change of every user's image name: raise BUILDER_VERSION on purpose, never by accident.
    assert BUILDER_VERSION == 3
    assert recipe.tree_digest == "9b8f1b2a641c0cb482643d80e07e95fbd958f60862c249b459038e10b50fbb3c"
    assert recipe.digest == "13acdb4153f675b1591996fbd0b1558b32fb4038b129b2b933eb3674e632763c"
    assert recipe.image_name == f"test-1-{recipe.digest[:12]}"


def test_neither_the_order_of_packages_nor_their_reasons_count(recipe: Recipe) -> None:
    packages = tuple(Package(package.name, "another reason") for package in reversed(recipe.packages))
    assert changed(recipe, packages=packages).digest == recipe.digest


@pytest.mark.parametrize(
    ("change", "new_tree"),
    [
        ({"suite": "trixie"}, True),
        ({"packages": (Package("systemd", "init"),)}, True),
        ({"dpkg_options": ()}, True),
        ({"install_files": {"etc/initramfs-tools/conf.d/x": b"MODULES=most\n"}}, True),
        ({"root_files": {"etc/motd": b"goodbye\n"}}, False),
        ({"root_files": {"etc/issue": b"hello\n"}}, False),
        ({"esp_files": {}}, False),
        ({"enabled_units": {}}, False),
        ({"masked_units": ()}, False),
        ({"removed": ()}, False),
        ({"links": {}}, False),
        ({"bundle": "c" * 64}, False),
        ({"disk_size": 9 * MIB}, False),
        ({"label": "other"}, False),
    ],
)
def test_every_change_is_a_new_image_and_only_some_a_new_tree(
    recipe: Recipe, change: dict[str, Any], new_tree: bool
) -> None:
    other = changed(recipe, **change)
    assert other.digest != recipe.digest
    assert (other.tree_digest != recipe.tree_digest) is new_tree


def test_partitions_fill_the_disk(recipe: Recipe) -> None:
    assert recipe.root_size == 4 * MIB


def test_current_recipe_has_what_its_parts_name() -> None:
    recipe = current_recipe("b" * 64)
    assert all(package.why for package in recipe.packages)
    assert len({package.name for package in recipe.packages}) == len(recipe.packages)
    for unit in recipe.enabled_units:
        assert f"usr/lib/systemd/system/{unit}" in recipe.root_files
    assert f"root=LABEL={recipe.label} ".encode() in recipe.esp_files["grub.cfg"]
    assert recipe.root_files["usr/lib/azlocal/container-setup"].startswith(b"#!")


def test_the_plain_image_grows_from_the_same_packages_and_starts_nothing_of_kubernetes() -> None:
    full, plain = current_recipe("b" * 64), current_recipe("")
    assert plain.tree_digest == full.tree_digest
    assert plain.digest != full.digest
    assert plain.name != full.name
    assert set(plain.enabled_units) == {"azlocal-container.service"}
    assert set(full.enabled_units) - set(plain.enabled_units) == {
        *("azlocal-node.service", "containerd.service", "kubelet.service")
    }


def test_only_containers_run_the_container_unit() -> None:
    unit = current_recipe("b" * 64).root_files["usr/lib/systemd/system/azlocal-container.service"].decode()
    assert "ConditionVirtualization=container" in unit
