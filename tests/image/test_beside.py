from __future__ import annotations

import os
import subprocess
import threading
from functools import partial

import pytest

from infra.image.beside import beside
from infra.image.errors import ImageError, Stopped
from infra.image.tools import Programs
from tests.waiting import eventually

SLEEP = ["sleep", "600"]


def sleepers() -> int:
    """Count the programs of these tests that run as children of this process."""
    listed = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    )
    return sum(line.split()[-2:] == SLEEP for line in listed.stdout.splitlines())


def fails(programs: Programs) -> None:
    eventually(sleepers, "the other side at work", 30, every=0.01)
    programs(["sh", "-c", "echo no mirror >&2; exit 7"])


def test_both_are_done_at_the_end() -> None:
    done: list[str] = []
    gate = threading.Event()

    def work() -> None:
        assert gate.wait(10)
        done.append("work")

    with beside(work, lambda: None):
        done.append("block")
        gate.set()
    assert done == ["block", "work"]


def test_a_failure_of_the_work_ends_the_block() -> None:
    programs = Programs()
    with pytest.raises(ImageError, match="no mirror"), beside(partial(fails, programs), programs.stop):
        programs(SLEEP)
    assert sleepers() == 0


def test_a_failure_of_the_block_ends_the_work() -> None:
    programs = Programs()
    with pytest.raises(ImageError, match="no mirror"), beside(partial(programs, SLEEP), programs.stop):
        fails(programs)
    assert sleepers() == 0


def test_ctrl_c_ends_the_work() -> None:
    programs = Programs()
    with pytest.raises(KeyboardInterrupt), beside(partial(programs, SLEEP), programs.stop):
        raise KeyboardInterrupt
    assert sleepers() == 0


def test_the_first_failure_is_told_of_three() -> None:
    programs = Programs()
    with (
        pytest.raises(ImageError, match="no mirror"),
        beside(partial(programs, SLEEP), programs.stop),
        beside(partial(fails, programs), programs.stop),
    ):
        programs(SLEEP)
    assert sleepers() == 0


def test_nothing_is_started_once_all_was_stopped() -> None:
    programs = Programs()
    programs.stop()
    with pytest.raises(Stopped):
        programs(["true"])
