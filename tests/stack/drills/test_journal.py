"""The drill that is open: what the next `up` does first."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import UserError
from infra.stack.drills import journal, lab_hosts
from infra.stack.drills.journal import Fault, OpenDrill


@pytest.mark.parametrize("fault", [None, Fault("lab-local", "node2", "power")])
def test_a_drill_is_open_until_it_is_healed(tmp_path: Path, fault: Fault | None) -> None:
    assert journal.find(tmp_path, "lab") is None
    journal.begin(tmp_path, "lab", OpenDrill("lose-host", fault))
    assert journal.find(tmp_path, "lab") == OpenDrill("lose-host", fault)
    assert journal.find(tmp_path, "other") is None
    journal.end(tmp_path, "lab")
    journal.end(tmp_path, "lab")
    assert journal.find(tmp_path, "lab") is None


@pytest.mark.parametrize(
    "text", ["", "[]", '{"drill": "x"}', '{"drill": "x", "fault": {"lab": "l", "host": "h", "lacks": "soul"}}']
)
def test_one_that_cannot_be_read_is_said(tmp_path: Path, text: str) -> None:
    path = journal.path_of(tmp_path, "lab")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(UserError, match="says what a drill broke, and can't be read"):
        journal.find(tmp_path, "lab")


def test_a_host_gets_back_what_was_taken_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    restored: list[tuple[str, ...]] = []
    monkeypatch.setattr(lab_hosts, "restore", lambda *words: restored.append(words))
    journal.undo(OpenDrill("lose-control-plane"))
    journal.undo(OpenDrill("cut-cable", Fault("lab-local", "node2", "cable")))
    assert restored == [("lab-local", "node2", "cable")]
