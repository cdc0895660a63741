"""Processes that outlive whoever starts them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.background import Background, StillRuns, wait_for
from tests.waiting import eventually

DEAF = "trap '' TERM; echo ready; while true; do sleep 0.1; done"


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Background]:
    found = Background(tmp_path / "pid", tmp_path / "log", (frozenset({str(tmp_path)}), frozenset({"sh", "dash"})))
    yield found
    found.stop(10, kill=True)


def begin(process: Background, script: str) -> subprocess.Popen[bytes]:
    started = process.start(["sh", "-c", script, str(process.pid_file.parent)], {"PATH": os.environ["PATH"]})
    process.pid_file.write_text(f"{started.pid}\n")
    return started


def test_it_is_known_again_and_ended(process: Background) -> None:
    assert (process.pid, process.stop(10)) == (None, False)
    started = begin(process, "echo hello; sleep 100 & wait")
    eventually(lambda: process.pid == started.pid, "the process")
    eventually(lambda: process.log_tail() == "its log ends: hello", "its word")
    assert process.stop(10)
    assert process.pid is None
    assert started.returncode is not None, "no zombie stays"


def test_a_number_that_another_process_has_by_now_is_not_taken(process: Background) -> None:
    process.pid_file.write_text(str(os.getpid()))
    assert (process.pid, process.stop(10)) == (None, False)


def test_what_does_not_end_is_said_or_killed(process: Background) -> None:
    begin(process, DEAF)
    eventually(lambda: "ready" in process.log_tail(), "its word")
    with pytest.raises(StillRuns):
        process.stop(0.1)
    assert process.stop(0.1, kill=True)


def test_what_is_wrong_while_waiting() -> None:
    assert wait_for(lambda: True, lambda: True, 0) is None
    assert wait_for(lambda: False, lambda: True, 10) == "ended again"
    assert wait_for(lambda: False, lambda: False, 0) == "doesn't answer after 0 s"
