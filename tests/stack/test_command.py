"""What is asked of the engine's command, and what a user is told where it isn't there or gives nothing."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli import app
from infra.errors import UserError
from infra.stack.command import Signals, ask, run_engine, stack_output, stack_outputs, started


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is looked for, and nothing else is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder / "pulumi"


def stand_in(engine: Path, said: str, complaint: str = "", code: int = 0) -> Path:
    """Put a command there that notes how and where it was called; return the notes."""
    notes = engine.parent / "calls"
    lines = [
        "#!/bin/sh",
        f'echo "$PWD: $*" >>{shlex.quote(str(notes))}',
        f"printf %s {shlex.quote(said)}",
        f"printf %s {shlex.quote(complaint)} >&2",
        f"exit {code}",
    ]
    engine.write_text("\n".join(lines))
    engine.chmod(0o755)
    return notes


def test_outputs_are_asked_of_the_projects_stack(engine: Path, tmp_path: Path) -> None:
    notes = stand_in(engine, json.dumps({"machines": {}}))
    assert stack_outputs("lab", tmp_path) == {"machines": {}}
    assert stack_outputs("lab", tmp_path, secrets=True) == {"machines": {}}
    assert notes.read_text().splitlines() == [
        f"{tmp_path}: stack output --json --stack lab --non-interactive",
        f"{tmp_path}: stack output --json --show-secrets --stack lab --non-interactive",
    ]


def test_one_output_comes_as_it_is(engine: Path, tmp_path: Path) -> None:
    notes = stand_in(engine, "apiVersion: v1\n")
    assert stack_output("lab", tmp_path, "kubeconfig") == "apiVersion: v1\n"
    assert notes.read_text() == (
        f"{tmp_path}: stack output kubeconfig --show-secrets --stack lab --non-interactive\n"
    )


def test_an_engine_that_gives_nothing_is_quoted_with_what_to_do(engine: Path, tmp_path: Path) -> None:
    stand_in(engine, "", "error: no stack named 'lab' found\n", 255)
    for asked, what in (
        (lambda: stack_outputs("lab", tmp_path), "outputs"),
        (lambda: stack_output("lab", tmp_path, "kubeconfig"), "kubeconfig"),
    ):
        with pytest.raises(UserError) as error:
            asked()
        assert str(error.value).startswith(f"stack lab gives no {what}: no stack named 'lab' found. `make up")


def test_a_run_goes_to_its_end_or_says_how_it_ended(engine: Path, tmp_path: Path) -> None:
    notes = stand_in(engine, "")
    run_engine("lab", tmp_path, "up", "--yes")
    assert notes.read_text() == f"{tmp_path}: up --yes --stack lab --non-interactive\n"
    stand_in(engine, "", code=3)
    with pytest.raises(UserError, match="`pulumi up --stack lab --non-interactive` ended with 3; correct"):
        run_engine("lab", tmp_path, "up")


def test_each_that_asks_gives_the_same_error_where_there_is_no_engine(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.stack.environment._TOOLS", tmp_path / "no-tools")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    missing = "pulumi isn't on PATH; `make setup` installs it where azlocal finds it"
    for asked in (lambda: stack_outputs("lab", tmp_path), lambda: run_engine("lab", tmp_path, "preview")):
        with pytest.raises(UserError) as error:
            asked()
        assert str(error.value) == missing
    for command in (["kubeconfig", "--stack", "lab"], ["show", "lab"]):
        result = CliRunner().invoke(app, ["-C", str(tmp_path), *command])
        assert (result.exit_code, result.output) == (1, f"error: {missing}\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, None)])
def test_a_stop_while_the_engine_is_asked_ends_it_in_order_and_then_us(
    engine: Path, tmp_path: Path, number: signal.Signals, code: int | None
) -> None:
    """The terminal sends Ctrl-C to both; SIGTERM only we get."""
    notes = tmp_path / "ended"
    both = f"kill -s {number.name.removeprefix('SIG')} $PPID" + ("; kill -s INT $$" if code is None else "")
    ends = f'[ -z "$!" ] || kill $!; echo in order >{shlex.quote(str(notes))}; exit 3'
    lines = ["#!/bin/sh", f"trap '{ends}' INT", both, "/bin/sleep 30 >/dev/null 2>&1 & wait"]
    engine.write_text("\n".join(lines))
    engine.chmod(0o755)
    with pytest.raises(KeyboardInterrupt if code is None else SystemExit) as end:
        ask("refresh", directory=tmp_path)
    assert getattr(end.value, "code", None) == code
    assert notes.read_text() == "in order\n"


def test_who_notes_signals_is_told_of_those_that_came_while_the_command_ran(engine: Path, tmp_path: Path) -> None:
    lines = ["#!/bin/sh", "trap 'exit 3' INT", "kill -s TERM $PPID", "/bin/sleep 30 >/dev/null 2>&1 & wait"]
    engine.write_text("\n".join(lines))
    engine.chmod(0o755)
    with Signals().noted() as signals:
        handler: object = signals
        with started("up", directory=tmp_path) as run:
            pass
        assert signal.getsignal(signal.SIGTERM) is handler
    assert run.exit_code == 3
    assert signals.came


def test_a_project_that_is_not_there_is_not_taken_for_a_missing_engine(engine: Path, tmp_path: Path) -> None:
    stand_in(engine, "{}")
    with pytest.raises(UserError, match="nowhere: there is no such folder"):
        stack_outputs("lab", tmp_path / "nowhere")
