"""A run of the real engine with its program in our own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pulumi
import pytest

from infra.stack.engine import Program, run
from tests.project import ROOT

pytestmark = pytest.mark.engine


def up(load: Callable[[], Program]) -> int:
    return run("dev", "up", "--yes", "--skip-preview", "--non-interactive", load=load)


def test_the_program_gets_its_configuration_and_its_outputs_are_kept(project: Path) -> None:
    def program() -> None:
        word = pulumi.Config().require("word")
        pulumi.export("said", f"{word} from {pulumi.get_stack()} of {pulumi.get_project()}")

    assert up(lambda: program) == 0
    said = subprocess.run(
        ["pulumi", "stack", "output", "--json", "--stack", "dev"], check=True, capture_output=True, text=True
    ).stdout
    assert json.loads(said) == {"said": "hello from dev of toy"}


def test_what_is_wrong_is_said_once_and_the_run_fails(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def refusing() -> None:
        raise pulumi.RunError("the plan has 1 error")

    def broken() -> None:
        raise LookupError("a bug")

    def missing() -> Program:
        raise ImportError("no such module")

    for load, text in (
        (lambda: refusing, "the plan has 1 error"),
        (lambda: broken, "LookupError: a bug"),
        (missing, "ImportError: no such module"),
    ):
        assert up(load) != 0
        said = capfd.readouterr()
        lines = [line for line in (said.out + said.err).splitlines() if text in line]
        assert lines, said
        assert "unhandled error" not in said.out + said.err


def test_a_killed_engine_ends_the_run(project: Path) -> None:
    def killing() -> None:
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        os.kill(int(children[-1]), 9)

    assert up(lambda: killing) == 128 + 9


def test_a_stop_is_handed_on_to_the_engine(project: Path) -> None:
    """As `kill` of make's process sends it; the engine ends in order, which a plain end of ours would not give."""
    code = (
        "import os, signal, sys, time\n"
        "from infra.stack.engine import run\n"
        "def program():\n    os.kill(os.getpid(), signal.SIGTERM); time.sleep(2)\n"
        "code = run('dev', 'up', '--yes', '--skip-preview', '--non-interactive', load=lambda: program)\n"
        "print('ended', code, flush=True); os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (code_line,) = (line for line in done.stdout.splitlines() if line.startswith("ended "))
    assert int(code_line.removeprefix("ended ")) in (1, 255), done  # 128 + 15: by the signal, and not in order
    state = json.loads((project / ".pulumi" / "stacks" / "toy" / "dev.json").read_text())
    assert state["version"] == 3
    assert not list(project.glob(".pulumi/locks/*/*/dev/*.json"))
