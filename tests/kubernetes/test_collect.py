"""The folders of logs that failures leave."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from infra.kubernetes.api import ClusterApi, ClusterUnreachable
from infra.kubernetes.collect import MachineLogin, collect, default_folder


class Silent(ClusterApi):
    """A cluster that doesn't answer."""

    def __init__(self) -> None:
        pass

    def items(self, path: str, **query: str) -> NoReturn:
        raise ClusterUnreachable("no answer")


def collected(folder: Path) -> None:
    collect(folder, Silent(), [], [MachineLogin("cp-0", lambda argv: f"{argv[0]} here\n")])


def test_what_a_machine_says_is_the_users_alone(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "a-20260101T000000Z"
    collected(folder)
    said = folder / "machine-cp-0.txt"
    assert "$ df -h /\ndf here\n" in said.read_text()
    assert (folder.stat().st_mode & 0o777, said.stat().st_mode & 0o777) == (0o700, 0o600)
    assert (folder / "nodes.json").read_text() == "could not be collected: no answer\n"


def test_a_cluster_keeps_its_ten_newest_failures_and_touches_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    logs = default_folder("a").parent
    others = {"a-b-20200101T000000Z", "b-20200101T000000Z", "a-notes", "a-20200101"}
    older = [f"a-202501{day:02}T000000Z" for day in range(1, 16)]
    for name in (*others, *older):
        (logs / name).mkdir(parents=True)
        (logs / name / "nodes.json").write_text("{}")
    newest = default_folder("a")
    collected(newest)
    assert {one.name for one in logs.iterdir()} == {*others, *older[-9:], newest.name}
    collected(tmp_path / "elsewhere")
    assert len(list(logs.iterdir())) == len(others) + 10
