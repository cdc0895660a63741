"""`azlocal up` and its like: which stack, which options, how it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from infra.errors import UserError
from infra.stack import verbs
from infra.stack.autoscale import Autoscaler
from infra.stack.state import Stack
from tests.cli.invoking import run_command, write_stacks

Verb = Callable[..., int]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each verb that is called, with its stack and options; it ends with 7."""
    noted: list[str] = []

    def engine(stack: Stack, verb: str, *options: str, **_: object) -> int:
        noted.append(" ".join(["engine", verb, stack.name, str(stack.directory.name), *options]))
        return 7

    monkeypatch.setattr(verbs, "engine", engine)
    for name in ("build_image", "start_hypervisor", "settle"):
        monkeypatch.setattr(verbs, name, lambda *_, **__: 0)
    monkeypatch.setattr(Stack, "select", lambda _stack: None)
    monkeypatch.setattr(Stack, "exists", lambda _stack: True)
    monkeypatch.setattr(Stack, "outputs", lambda _stack: {})
    monkeypatch.setattr(Stack, "deployment", lambda _stack: {})
    write_stacks(tmp_path / "site", "local", "lab")
    return noted


def azlocal(folder: Path, *words: str, **variables: str | None) -> Result:
    return run_command(folder / "site", *words, home=folder, **variables)


@pytest.mark.parametrize(
    ("words", "variables", "expected"),
    [
        ((), {}, "local site"),
        (("lab",), {}, "lab site"),
        (("-s", "lab", "-p", "4"), {}, "lab site -p 4"),
        (("lab", "--target", "**x", "--stack=local"), {}, "local site lab --target **x"),
        (("--expect-no-changes", "-p", "4"), {"STACK": "lab"}, "lab site --expect-no-changes -p 4"),
        ((), {"STACK": "lab", "PULUMI_FLAGS": "--diff  -p 4"}, "lab site --diff -p 4"),
        (("lab", "-p", "1"), {"STACK": "", "PULUMI_FLAGS": "--diff"}, "lab site --diff -p 1"),
    ],
)
def test_a_run_is_of_the_stack_that_is_named_and_ends_as_pulumi_does(
    calls: list[str], tmp_path: Path, words: tuple[str, ...], variables: dict[str, str], expected: str
) -> None:
    result = azlocal(tmp_path, "preview", *words, **variables)
    assert (result.exit_code, result.stdout) == (7, "")
    stack, _, options = expected.partition(" site")
    assert calls == [f"engine preview {stack} site --diff{options}"]


@pytest.mark.parametrize("verb", ["up", "refresh", "down"])
def test_the_others_run_the_engine_likewise(calls: list[str], tmp_path: Path, verb: str) -> None:
    (tmp_path / "site/.azlocal/state").mkdir(parents=True)
    assert azlocal(tmp_path, verb, "lab", "-p", "4").exit_code == 7
    (call,) = calls
    assert call.startswith(f"engine {'destroy' if verb == 'down' else verb} lab site --yes --skip-preview ")
    assert call.endswith(" -p 4")


@pytest.mark.parametrize("how", [("adopt", "lab", "--yes"), ("adopt", "lab")])
def test_an_adoption_is_told_that_nobody_is_to_be_asked_either_way(
    calls: list[str], tmp_path: Path, how: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "adopt", lambda stack, *options, yes: calls.append(f"{stack.name} {options} {yes}"))
    flags = {} if "--yes" in how else {"PULUMI_FLAGS": "--yes"}
    azlocal(tmp_path, *how, **flags)
    assert calls == ["lab () True"]


def test_a_missing_stack_file_names_the_stacks_there_are(calls: list[str], tmp_path: Path) -> None:
    result = azlocal(tmp_path, "up", STACK="prod")
    assert result.exit_code == 1
    assert "error: there is no Pulumi.prod.yaml. The stacks here: lab local\n" in result.stderr
    assert calls == []


def test_what_was_chosen_is_printed_for_a_shell(tmp_path: Path, calls: list[str]) -> None:
    result = azlocal(tmp_path, "env")
    assert result.exit_code == 0
    assert f"export PULUMI_BACKEND_URL=file://{tmp_path}/site/.azlocal/state\n" in result.stdout
    assert "state: in .azlocal/state" in result.stderr


def test_the_stack_file_is_as_it_was_after_a_stop(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "site" / "Pulumi.lab.yaml"

    def stopped(*_: object) -> None:
        file.write_text("config: {}\nencryptionsalt: v1:x\n")
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(verbs, "build_image", stopped)
    result = azlocal(tmp_path, "up", "lab", PULUMI_CONFIG_PASSPHRASE=None)
    assert result.exit_code == 128 + signal.SIGTERM
    assert file.read_text() == "config: {}\n"


@pytest.mark.parametrize("command", ["refresh", "outputs", "show", "ssh", "kubeconfig"])
def test_who_asks_for_what_was_never_made_is_told_so_and_nothing_is_made(tmp_path: Path, command: str) -> None:
    (tmp_path / "site").mkdir()
    words = ["--stack", "lab"] if command in ("ssh", "kubeconfig") else ["lab"]
    result = azlocal(tmp_path, command, *words)
    assert (result.exit_code, result.output) == (
        1,
        "error: there is no stack 'lab' yet; `make up STACK=lab` makes it\n",
    )
    assert not (tmp_path / "site/.azlocal").exists()


def test_ssh_hands_its_words_on(tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def note(stack: Stack, *words: str) -> int:
        calls.append(" ".join([stack.name, *words]))
        raise UserError("no way")

    monkeypatch.setattr(verbs, "ssh", note)
    (tmp_path / "site/.azlocal/state").mkdir(parents=True)
    assert azlocal(tmp_path, "ssh", "-s", "lab", "lab-a-cp-0", "ls", "-l", "--stack").exit_code == 1
    assert calls == ["lab lab-a-cp-0 ls -l --stack"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("autoscale", "lab"), "lab None run None"),
        (("autoscale", "--interval", "1m30s"), "local None run 90.0"),
        (("autoscale", "lab", "--cluster", "a", "--once"), "lab a once"),
    ],
)
def test_what_is_looked_at_how_often(
    words: tuple[str, ...], expected: str, calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(scaler: Autoscaler, *interval: float | None) -> int:
        calls.append(
            " ".join(map(str, [scaler.stack.name, scaler.cluster, "run" if interval else "once", *interval]))
        )
        return 5

    monkeypatch.setattr(Autoscaler, "run", note)
    monkeypatch.setattr(Autoscaler, "once", note)
    (tmp_path / "site/.azlocal/state").mkdir(parents=True)
    result = azlocal(tmp_path, *words)
    assert result.exit_code == 5, result.output
    assert calls == [expected]


def test_an_interval_is_a_time(calls: list[str], tmp_path: Path) -> None:
    result = azlocal(tmp_path, "autoscale", "lab", "--interval", "10")
    assert result.exit_code == 2
    assert "numbers with ms, s, m or h" in " ".join(result.output.split())
    assert calls == []
