from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.image import build as node_image
from infra.image.bundle.components import components
from infra.image.bundle.debian import step_of
from infra.image.bundle.images import images, trees_of
from infra.image.places import Cache
from infra.image.times import MEASURED, Times, in_words, remaining

SECONDS = {"a": 100.0, "b": 50.0, "c": 30.0, "d": 7.0}


def test_what_is_left_is_the_longer_side_and_what_follows() -> None:
    assert remaining(SECONDS, ["a", "b"]) == 150
    assert remaining(SECONDS, ["b"], beside=["a"], after=["c", "d"]) == 137
    assert remaining(SECONDS, ["a"], beside=["b", "c"], after=["d"]) == 107
    assert remaining(SECONDS, [], beside=[], after=[]) == 0


def test_a_step_that_nobody_timed_counts_for_nothing() -> None:
    assert remaining(SECONDS, ["a", "new"]) == 100


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute remains"),
        (59, "less than a minute remains"),
        (60, "about a minute remains"),
        (100, "about 2 minutes remain"),
        (540, "about 9 minutes remain"),
        (3600, "about 60 minutes remain"),
    ],
)
def test_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_each_host_remembers_its_own_last_times(cache: Cache) -> None:
    file = Times.of(cache).file
    one, other = Times(file, "one"), Times(file, "other")
    one.recorder("calico")(10)
    other.recorder("calico")(99)
    one.recorder("calico")(12.34)
    one.recorder("etcd")(5)
    assert one.seconds()["calico"] == 12.3
    assert one.seconds()["etcd"] == 5
    assert other.seconds()["calico"] == 99
    assert other.seconds()["etcd"] == MEASURED["etcd"]
    assert {path.name for path in file.parent.iterdir()} == {"times.json", "times.json.lock"}


def test_steps_that_end_at_once_are_all_kept(cache: Cache) -> None:
    times = Times.of(cache)
    names = [f"step {number}" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: times.recorder(name)(1), names))
    assert times.seconds().keys() >= set(names)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"one": 3}', '{"one": {"calico": "soon"}}'])
def test_a_file_that_cannot_be_read_is_written_anew(tmp_path: Path, text: str) -> None:
    times = Times(tmp_path / "times.json", "one")
    times.file.write_text(text)
    assert times.seconds() == MEASURED
    times.recorder("calico")(3)
    assert times.seconds() == {**MEASURED, "calico": 3}


def test_every_step_was_measured() -> None:
    steps = {entry.name for entry in components()} | {step_of(tree) for tree in trees_of(images())}
    assert steps | {*node_image._steps(with_bundle=True, vm_disk=True), "packages"} <= set(MEASURED)
