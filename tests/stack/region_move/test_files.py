"""The stack's file keeps what people wrote; a move's file survives, and only its user may read it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from infra.arc.inventory import Inventory
from infra.errors import UserError
from infra.stack.region_move import journal
from infra.stack.region_move.stack_file import with_location

STACK = """# why
config:
  azlocal:site: local # this machine
  azlocal:clusters:
    - name: a
      agentPools: [{name: nodepool1, count: 1, vmSize: Lab_Small, maxPods: 110}] # a long line that stays one line
    - name: b
      arc:
        location: "eastus" # here
        tags: {owner: 'me'}
"""


def test_a_cluster_without_arc_gets_its_region_and_nothing_else_changes() -> None:
    text = with_location(STACK, "a", "westeurope")
    assert [line for line in text.splitlines() if line not in STACK.splitlines()] == [
        "      arc: {location: westeurope}"
    ]
    assert [line for line in STACK.splitlines() if line not in text.splitlines()] == []


def test_a_written_region_is_replaced_where_it_stands() -> None:
    text = with_location(STACK, "b", "westeurope")
    assert yaml.safe_load(text)["config"]["azlocal:clusters"][1]["arc"] == {
        "location": "westeurope",
        "tags": {"owner": "me"},
    }
    assert "# why" in text
    assert "# here" in text


def test_an_unknown_cluster_is_named() -> None:
    with pytest.raises(UserError, match="no cluster 'x'"):
        with_location(STACK, "x", "westeurope")


def test_a_move_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = journal.path_of(tmp_path, "lab", "a")
    assert journal.load(path) is None
    move = journal.begin("lab", "a", "eastus", "westeurope", Inventory(cluster={"name": "lab-a"}))
    move = journal.with_done(move, ["configuration"])
    journal.save(path, move)
    assert journal.load(path) == move
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not move.is_done
    assert journal.with_done(move, journal.STEPS).is_done


def test_a_broken_file_is_never_taken_for_none(tmp_path: Path) -> None:
    path = journal.path_of(tmp_path, "lab", "a")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(UserError, match="says what stood on the cluster before"):
        journal.load(path)
