"""`azlocal status`: how it ends, what it prints where, and how it is watched."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import Result

from infra.cli import status as command
from infra.errors import UserError
from infra.spec import Finding, SpecError
from infra.stack.observing.observer import Observer
from infra.stack.state import Stack
from infra.status.model import Status
from tests.cli.invoking import run_command, write_stacks
from tests.status.samples import HOST_OF, WORKERS
from tests.status.test_report import samples


@pytest.fixture
def looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Status | BaseException]:
    """What looks come to, one after the other; the last one is all later ones."""
    results: list[Status | BaseException] = []

    def look(observer: Observer) -> Status:
        assert (observer.stack.name, observer.seconds) in {("lab", 10.0), ("lab", 90.0)}
        result = results.pop(0) if len(results) > 1 else results[0]
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setattr(Observer, "look", look)
    (tmp_path / ".azlocal/state").mkdir(parents=True)
    write_stacks(tmp_path, "lab")
    return results


def azlocal(folder: Path, *words: str) -> Result:
    return run_command(folder, "status", *words)


@pytest.mark.parametrize(("name", "code"), [("healthy", 0), ("unreachable", 1), ("off", 2), ("busy", 3)])
def test_how_it_ends(looks: list[Status], tmp_path: Path, name: str, code: int) -> None:
    looks.append(samples()[name])
    done = azlocal(tmp_path, "lab", "--timeout", "1m30s")
    assert done.exit_code == code, done.output
    assert done.stdout.startswith("lab  ")
    as_json = azlocal(tmp_path, "lab", "--format", "json")
    assert as_json.exit_code == code
    assert json.loads(as_json.stdout)["exitCode"] == code


def test_contradictions_are_refused(looks: list[Status], tmp_path: Path) -> None:
    looks.append(samples()["healthy"])
    for words, why in (
        (("--watch", "--format", "json"), "it shows a table"),
        (("--watch",), "it needs a terminal"),
        (("--timeout", "3"), "--timeout"),
        (("--timeout", "0s"), "--timeout"),
    ):
        done = azlocal(tmp_path, "lab", *words)
        assert (done.exit_code, why in done.output) == (2, True), done.output


def test_a_stack_that_was_never_made_is_no_fine_one(tmp_path: Path) -> None:
    write_stacks(tmp_path / "site", "lab")
    done = run_command(tmp_path / "site", "status", "lab")
    assert (done.exit_code, done.output) == (
        1,
        "error: there is no stack 'lab' yet; `make up STACK=lab` makes it\n",
    )


def test_it_is_watched_until_ctrl_c_and_goes_on_after_an_error(
    looks: list[Status | BaseException], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    finding = Finding("no-such", "error", "Pulumi.lab.yaml:3", "a typo", "correct it")
    looks += [
        samples()["off"],
        SpecError([finding]),
        UserError("state is gone"),
        samples()["healthy"],
        KeyboardInterrupt(),
    ]
    out = io.StringIO()
    out = io.StringIO()
    terminal = Console(force_terminal=True, width=200, color_system=None, file=out)
    pauses: list[float] = []
    monkeypatch.setattr(command, "console", lambda: terminal)
    monkeypatch.setattr("infra.cli.status.time.sleep", pauses.append)
    command._watch(Observer(Stack("lab", tmp_path, "")))
    told = out.getvalue()
    steps = [
        told.index(f"machine {WORKERS[0]}: is shut off on {HOST_OF[WORKERS[0]]}"),
        told.index("Pulumi.lab.yaml:3"),
        told.index("error: state is gone"),
        told.index("everything planned is running"),
    ]
    assert steps == sorted(steps)
    assert pauses == [command._PAUSE] * 4
    assert told.endswith("\x1b[?25h"), "the cursor is there again"
