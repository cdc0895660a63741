"""`azlocal drill`: what it passes on, what it prints where, and how it ends."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from infra.errors import UserError
from infra.stack.drills import drill
from infra.stack.drills.decision import Break, DrillRefused
from infra.stack.drills.outcome import Outcome
from infra.stack.messages import confirmed
from infra.stack.state import Stack
from tests.cli.invoking import run_command, write_stacks

CHOSEN = Break("lose-control-plane", "a", ("lab-a-cp-1",), "", "it is destroyed", "it joins again")
SOUND = Outcome(CHOSEN, 0.61, 0.58, 0.63, 42.0, 51.5, 48.2, 0, 1200, 31, 600, 0, 0, 0.7, ())


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Notes how the drill is called; `result` is what comes of it."""
    noted: dict[str, Any] = {"result": SOUND}

    def run(stack: Stack, name: str, **options: Any) -> Outcome:
        noted.update(stack=stack.name, drill=name, **options)
        result = noted["result"]
        if isinstance(result, Exception):
            raise result
        return result  # type: ignore[no-any-return]

    monkeypatch.setattr(drill, "run", run)
    (tmp_path / ".azlocal/state").mkdir(parents=True)
    write_stacks(tmp_path, "lab")
    return noted


def azlocal(folder: Path, *words: str) -> Result:
    return run_command(folder, "drill", *words)


def test_a_drill_is_told_what_was_asked_for_and_shown_as_a_table(calls: dict[str, Any], tmp_path: Path) -> None:
    options = ("--cluster", "a", "--machine", "lab-a-cp-1", "--hold", "5", "--yes")
    done = azlocal(tmp_path, "lose-control-plane", "lab", *options)
    assert done.exit_code == 0, done.output
    del calls["result"]
    assert calls == {
        "stack": "lab",
        "drill": "lose-control-plane",
        "cluster": "a",
        "machine": "lab-a-cp-1",
        "hold": 5.0,
        "yes": True,
    }
    assert done.stdout.splitlines()[0] == "lose-control-plane of cluster a of lab: lab-a-cp-1"
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "until the API was reachable again 0.6 s" in lines
    assert "acknowledged writes lost 0 of 600" in lines
    assert "until everything was healthy 51.5 s" in lines


def test_the_stack_is_the_local_one_and_nothing_is_confirmed_where_nobody_says_so(
    calls: dict[str, Any], tmp_path: Path
) -> None:
    done = azlocal(tmp_path, "kill-api-server", "--format", "json")
    assert (calls["stack"], calls["yes"], calls["hold"], calls["machine"]) == (
        "local",
        False,
        drill.HOLD_SECONDS,
        None,
    )
    assert json.loads(done.stdout)["seconds"]["apiReachable"] == 0.61


@pytest.mark.parametrize(
    ("result", "code", "text"),
    [
        (replace(SOUND, lost=2), 2, "error: 2 acknowledged writes lost"),
        (replace(SOUND, healthy=None, lacks=("node x is not Ready",)), 2, "still lacks: node x is not Ready"),
        (replace(SOUND, exit_code=255, fault="`azlocal up` ended"), 1, "error: `azlocal up` ended"),
        (
            DrillRefused("quorum-lost", "no", "add more"),
            2,
            "error: no; add more (quorum-lost). Nothing was touched",
        ),
        (UserError("it doesn't answer"), 1, "error: it doesn't answer"),
    ],
)
def test_a_drill_ends_as_its_help_says(
    calls: dict[str, Any], tmp_path: Path, result: object, code: int, text: str
) -> None:
    calls["result"] = result
    done = azlocal(tmp_path, "lose-control-plane", "lab", "--yes")
    assert done.exit_code == code
    assert text in done.stderr


@pytest.mark.parametrize(("typed", "is_meant"), [("lab\n", True), (" lab ", True), ("lba\n", False), ("", False)])
def test_what_is_meant_is_said_by_typing_the_stacks_name(
    monkeypatch: pytest.MonkeyPatch, typed: str, is_meant: bool
) -> None:
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    if is_meant:
        confirmed("lab", "break it", yes=False)
    else:
        with pytest.raises(UserError, match="nothing was touched"):
            confirmed("lab", "break it", yes=False)


def test_nobody_is_asked_where_nobody_can_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("lab\n"))
    with pytest.raises(UserError, match="add --yes"):
        confirmed("lab", "break it", yes=False)
    confirmed("lab", "break it", yes=True)
