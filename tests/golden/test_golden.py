"""The record of an instance is whole, the same each time, and a comparison sees what differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.__main__ import differences, main
from tests.golden.outputs import of_generated


def test_an_instance_is_recorded_whole_and_the_same_each_time() -> None:
    first = dict(of_generated(1))
    assert first == dict(of_generated(1))
    assert '"ok": true' in first["g001/plan.json"]
    assert '"type": "azlocal:index:Host"' in first["g001/resources.json"]
    domain, seed = first["g001/machines/g001-rb-0.xml"], first["g001/machines/g001-rb-0.seed"]
    assert domain.count("<volume>") >= 1
    assert domain.count("<domain ") == 1
    assert "=== user-data\n#cloud-config\n" in seed


def test_a_comparison_names_what_differs_and_what_is_missing(tmp_path: Path) -> None:
    then, now = tmp_path / "then", tmp_path / "now"
    for folder, texts in {
        then: {"same": "1", "other": "1", "gone": "1"},
        now: {"same": "1", "other": "2"},
    }.items():
        folder.mkdir()
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    assert differences(then, now) == ["gone", "other"]


def test_a_record_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "something").touch()
    assert main(["record", str(tmp_path)]) == 2
    assert "isn't empty" in capsys.readouterr().err
