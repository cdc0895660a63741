from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.image import cache as image_cache
from infra.image.build import build
from infra.image.bundle import Bundle
from infra.image.cache import find_node_image, load, prunable
from infra.image.folders import locked, publish
from infra.image.manifest import CONTAINER_FILE, MANIFEST, VM_FILE
from infra.image.model import NodeImage
from infra.image.places import Cache, default_cache
from infra.image.recipe import Recipe
from tests.image.conftest import FakeRunner


@pytest.fixture
def image(recipe: Recipe, bundle: Bundle, cache: Cache, runner: FakeRunner) -> NodeImage:
    return build(recipe, bundle, cache, lambda line: None, runner)


def test_nothing_is_found_in_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_node_image() is None
    assert list(tmp_path.iterdir()) == []


def test_default_cache_is_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache().images == tmp_path / ".cache/azlocal/images"


def test_an_image_that_is_not_whole_is_not_found(cache: Cache, image: NodeImage) -> None:
    assert load(cache, image.digest) == image
    assert image.vm
    with image.vm.path.open("ab") as file:
        file.write(b"x")
    assert load(cache, image.digest) is None
    image.vm.path.unlink()
    assert load(cache, image.digest) is None


def test_verify_names_the_fault(image: NodeImage) -> None:
    assert image.vm
    assert image_cache.verify(image.vm) is None
    assert image_cache.verify(image.container) is None
    with image.vm.path.open("r+b") as file:
        file.write(b"damage")
    assert "sha256" in (image_cache.verify(image.vm) or "")
    with image.vm.path.open("ab") as file:
        file.write(b"x")
    assert "bytes instead of" in (image_cache.verify(image.vm) or "")
    image.vm.path.unlink()
    assert image_cache.verify(image.vm) == "missing"


def test_entries_skip_what_they_cannot_read(cache: Cache, image: NodeImage) -> None:
    (cache.images / ("0" * 64)).mkdir()
    broken = cache.images / ("1" * 64)
    broken.mkdir()
    (broken / MANIFEST).write_text("{")
    assert [entry.image for entry in image_cache.entries(cache)] == [image]


def test_prune_keeps_the_current_image_and_everything_unknown(
    cache: Cache, image: NodeImage, recipe: Recipe
) -> None:
    foreign = [cache.images / "notes", cache.images / ("2" * 64), cache.images / ("3" * 64)]
    for folder in foreign:
        folder.mkdir()
    (foreign[1] / "thesis.txt").write_text("mine")
    for name in (MANIFEST, CONTAINER_FILE, VM_FILE):  # another image's manifest: not what the name says
        (foreign[2] / name).write_bytes((cache.image(image.digest) / name).read_bytes())
    (cache.trees / "readme").write_text("mine")

    assert prunable(cache, {recipe.digest}, {recipe.tree_digest}) == []
    assert prunable(cache, (), ()) == [cache.image(recipe.digest), cache.tree(recipe.tree_digest)]
    assert prunable(cache, {"f" * 64}, {recipe.tree_digest}) == [cache.image(recipe.digest)]


def test_prune_takes_the_kept_hashes_of_an_image_with_it(cache: Cache, image: NodeImage) -> None:
    image.container.path.with_name(f"{image.container.path.name}.chunks").write_text("{}")
    assert cache.image(image.digest) in prunable(cache, (), ())


def test_prune_leaves_an_image_to_which_someone_added_a_file(cache: Cache, image: NodeImage) -> None:
    (cache.image(image.digest) / "notes.txt").write_text("mine")
    assert cache.image(image.digest) not in prunable(cache, (), ())


def test_prune_removes_an_older_azlocal_s_image(cache: Cache, image: NodeImage) -> None:
    manifest = cache.image(image.digest) / MANIFEST
    older = {key: value for key, value in json.loads(manifest.read_text()).items() if key != "bundle"}
    manifest.write_text(json.dumps({**older, "format": "azlocal-node-image/1"}))
    assert load(cache, image.digest) is None
    assert cache.image(image.digest) in prunable(cache, (), ())


def test_prune_of_no_cache_at_all(cache: Cache) -> None:
    assert prunable(cache, (), ()) == []


def test_publish_replaces_a_damaged_image(tmp_path: Path) -> None:
    draft, target = tmp_path / "draft", tmp_path / "images/target"
    target.mkdir(parents=True)
    (target / "old").write_text("damaged")
    draft.mkdir()
    (draft / "new").write_text("whole")
    publish(draft, target)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert not draft.exists()


def test_a_second_build_waits_and_says_so(cache: Cache) -> None:
    held, released = threading.Event(), threading.Event()

    def hold() -> None:  # a lock belongs to the open file, so a thread stands for a process
        with locked(cache.image_lock, "building", lambda line: None):
            held.set()
            time.sleep(0.3)
            released.set()

    lines: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(hold)
        assert held.wait(5)
        with locked(cache.image_lock, "building", lines.append):
            assert released.is_set()
        other.result()
    assert "waiting" in lines[0]
    assert "waited" in lines[1]


def test_an_uncontended_lock_is_silent(cache: Cache) -> None:
    lines: list[str] = []
    with locked(cache.image_lock, "building", lines.append):
        pass
    assert lines == []
