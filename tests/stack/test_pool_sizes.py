"""How many nodes pools with autoscaling have, as state says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.model.run import PoolSizes
from infra.spec import load_instance
from infra.stack.pool_sizes import OUTPUT, machines_of, pool_sizes_of, recorded_of, sizes_of
from infra.stack.stages import runs_of
from infra.stack.state import EngineFailed, Stack
from tests.instances import cluster, files, make_spec, write_files

SCALES = {"name": "pool1", "count": 2, "enableAutoScaling": True, "minCount": 1, "maxCount": 4}
FIXED = {"name": "fixed", "count": 2}
SPEC = make_spec(cluster("a-b", agentPools=[SCALES, FIXED]), cluster("c", agentPools=[SCALES]))


def machine(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "azlocal:index:Machine", "outputs": {"name": name}, **more}


def root(sizes: PoolSizes | None) -> dict[str, Any]:
    return {"type": "pulumi:pulumi:Stack", "outputs": {} if sizes is None else {OUTPUT: sizes}}


class Stood(Stack):
    """A stack whose state has these resources."""

    def deployment(self) -> dict[str, Any]:
        return {"resources": [root(None), *(machine(f"lab-a-pool1-{number}") for number in range(3))]}


class Closed(Stack):
    """A stack whose state can't be read."""

    def deployment(self) -> dict[str, Any]:
        raise EngineFailed("no such backend", 255)


@pytest.mark.parametrize(
    ("standing", "recorded", "sizes"),
    [
        ([], {}, {}),
        (["lab-a-b-pool1-0", "lab-a-b-fixed-0", "lab-a-b-fixed-1"], {}, {"a-b": {"pool1": 1}}),
        (["lab-a-b-pool1-0", "lab-a-b-pool1-2"], {}, {"a-b": {"pool1": 3}}),
        (["lab-a-b-pool1-0"], {"a-b": {"pool1": 2}}, {"a-b": {"pool1": 2}}),
        (["lab-a-b-pool1-0", "lab-a-b-pool1-1"], {"a-b": {"pool1": 1}}, {"a-b": {"pool1": 2}}),
        (["lab-c-pool1-0"], {"c": {"gone": 4}}, {"c": {"pool1": 1}}),
    ],
    ids=["it begins", "without autoscaling", "a lost one", "the last is lost", "a run that failed", "a pool gone"],
)
def test_the_highest_number_counts_or_what_the_last_run_left(
    standing: list[str], recorded: PoolSizes, sizes: PoolSizes
) -> None:
    assert sizes_of(SPEC, standing, recorded) == sizes


def test_machines_that_are_only_to_be_deleted_and_other_resources_do_not_count() -> None:
    resources = [
        root({"a": {"pool1": 3}}),
        machine("lab-a-pool1-0"),
        machine("lab-a-pool1-1", delete=True),
        {"type": "azlocal:index:Machine"},  # its create was never answered
        {"type": "azlocal:index:Host", "outputs": {"name": "node1"}},
    ]
    assert machines_of(resources) == {"lab-a-pool1-0"}
    assert recorded_of(resources) == {"a": {"pool1": 3}}
    assert recorded_of(resources[1:]) == {}


def test_a_run_goes_by_what_stands_or_by_what_it_is_told(tmp_path: Path) -> None:
    write_files(tmp_path, files([cluster("a", agentPools=[SCALES])]))
    stack = Stood("lab", tmp_path, "")
    assert [settings.pool_sizes for settings in runs_of(stack)] == [{"a": {"pool1": 3}}]
    assert [settings.pool_sizes for settings in runs_of(stack, {"a": {"pool1": 1}})] == [{"a": {"pool1": 1}}]


def test_state_is_only_asked_where_a_pool_scales(tmp_path: Path) -> None:
    write_files(tmp_path, files([cluster("a", agentPools=[FIXED])]))
    assert pool_sizes_of(Closed("lab", tmp_path, "")) == {}
    write_files(tmp_path, files([cluster("a", agentPools=[SCALES])]))
    with pytest.raises(EngineFailed):
        pool_sizes_of(Closed("lab", tmp_path, ""))


def test_files_that_cannot_be_read_are_the_run_s_to_complain_of(tmp_path: Path) -> None:
    assert pool_sizes_of(Closed("lab", tmp_path, "")) == {}


def test_what_the_files_say_of_it_is_read_as_well(tmp_path: Path) -> None:
    write_files(tmp_path, files([cluster("a", agentPools=[SCALES])]))
    assert sizes_of(load_instance("lab", tmp_path), {"lab-a-pool1-3", "lab-a-pool1-9"}, {}) == {"a": {"pool1": 4}}
