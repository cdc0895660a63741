"""`azlocal ci`: what it passes on, what it prints where, how it ends; and the pipelines' files that call it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import Result

from infra.cli import app
from infra.stack.ci import flow, reaping
from infra.stack.ci.flow import Request
from infra.stack.ci.reaping import HostState
from infra.stack.ci.report import Report, Step, step_outputs
from tests.cli.invoking import run_command
from tests.project import ROOT

MADE = Report(
    *("up", "r", "ci0a1b2", "lab", ("node1",), (Step("up", 3.0),)),
    clusters={"a": {"loadBalancer": ["10.198.1.100", "10.198.1.101"]}},
    kubeconfig="/p/kubeconfig",
)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Request]]:
    """Notes what is asked for."""
    noted: list[tuple[str, Request]] = []
    for name in ("up", "down", "rebuild"):

        def verb(request: Request, name: str = name) -> Report:
            os.write(1, b"what the engine prints\n")
            noted.append((name, request))
            return MADE

        monkeypatch.setattr(flow, name, verb)
    return noted


def azlocal(folder: Path, *words: str, **variables: str | None) -> Result:
    unset = dict.fromkeys(("AZLOCAL_CI_RUN", "GITHUB_RUN_ID", "CI_JOB_ID"))
    return run_command(folder, "ci", *words, **(unset | variables))


def test_an_up_is_told_what_was_asked_for(requests: list[tuple[str, Request]], tmp_path: Path) -> None:
    words = ("lab", "--run", "r", "--range", "10.7.0.0/16", "--lease", "1h30m", "--wait", "90s")
    done = azlocal(tmp_path, "up", *words, PULUMI_FLAGS="-p 4")
    assert done.exit_code == 0, done.output
    ((name, request),) = requests
    assert (name, request.folder.project, request.folder.run, request.stack) == ("up", tmp_path, "r", "lab")
    assert (request.within, request.seconds, request.wait) == (IPv4Network("10.7.0.0/16"), 5400, 90.0)
    assert request.options == ("-p", "4")
    assert "kubeconfig: /p/kubeconfig\n" in done.stdout
    assert "LoadBalancer addresses of cluster a: 10.198.1.100, 10.198.1.101\n" in done.stdout


@pytest.mark.parametrize("command", ["up", "down", "rebuild"])
def test_json_is_all_there_is_on_standard_output(
    requests: list[tuple[str, Request]], tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    done = azlocal(tmp_path, command, "--format", "json", CI_JOB_ID="77")
    assert json.loads(done.stdout)["kubeconfig"] == "/p/kubeconfig"
    out, err = capfd.readouterr()
    assert (out, err) == ("", "what the engine prints\n")
    ((name, request),) = requests
    assert (name, request.folder.run, request.stack) == (command, "77", "local")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("up", "--lease", "5m"), "10m is the least"),
        (("up", "--lease", "2 hours"), "write a time as Go writes it"),
        (("up", "--range", "10.7.0.1/16"), "host bits"),
        (("down", "--run", "../x"), "can't name a run"),
        (("reap", "--older-than", "old"), "write a time as Go writes it"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    requests: list[tuple[str, Request]], tmp_path: Path, words: tuple[str, ...], text: str
) -> None:
    done = azlocal(tmp_path, *words)
    assert done.exit_code in (1, 2)
    assert text in " ".join(done.output.replace("│", " ").split())
    assert requests == []


@pytest.mark.parametrize(
    ("state", "reaped", "seen"), [("free", 0, 0), ("busy", 0, 0), ("dirty", 2, 0), ("unknown", 1, 1)]
)
def test_leases_are_told_and_a_reaper_that_leaves_something_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: Any, reaped: int, seen: int
) -> None:
    states = [HostState("node1", state, f"it is {state}", "r" if state != "free" else "", "ci0a1b2", 60, -5)]
    asked: list[object] = []

    def reap_all(project: Path, stack: str, age: float | None, *, is_trial: bool) -> list[HostState]:
        asked.append((project, stack, age, is_trial))
        return states

    monkeypatch.setattr(reaping, "leases", lambda _project, _stack: states)
    monkeypatch.setattr(reaping, "reap_all", reap_all)
    assert azlocal(tmp_path, "reap", "lab", "--older-than", "6h").exit_code == reaped
    assert asked == [(tmp_path, "lab", 21600.0, False)]
    done = azlocal(tmp_path, "lease", "lab", "--format", "json")
    assert done.exit_code == seen
    (host,) = json.loads(done.stdout)["hosts"]
    assert (host["host"], host["state"]) == ("node1", state)
    assert ("run" in host) == (state != "free")
    assert azlocal(tmp_path, "lease", "lab").stdout == f"node1: it is {state}\n"


# The files of pipelines


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """A folder like a checkout, with a setup that does nothing and an `azlocal` that notes its words."""
    for name, body in (
        ("scripts/setup.sh", "true"),
        (".venv/bin/azlocal", f'printf "%s\\n" "$*" >>"{tmp_path}/calls"'),
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def typed(line: str) -> None:
    """See that a command line of `azlocal` can be typed: its commands are there, with their options."""
    command: Any = typer.main.get_command(app)
    words = shlex.split(line)
    words = words[2:] if words[0] == "-C" else words
    while hasattr(command, "resolve_command"):
        name, command, words = command.resolve_command(command.context_class(command), words)
        assert command is not None, name
    command.make_context(command.name, words, resilient_parsing=False).close()


ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / ".gitlab/azlocal.yml").read_text())


def action(stubs: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the action's script, as GitHub's runner does, with its inputs' defaults."""
    (step,) = ACTION["runs"]["steps"]
    values = {name: str(given.get("default", "")) for name, given in ACTION["inputs"].items()} | {
        name.replace("_", "-"): value for name, value in inputs.items()
    }

    def value(expression: str) -> str:
        name = re.fullmatch(r"\$\{\{ (?:inputs\.)?([a-z._-]+) \}\}", expression)
        assert name, expression
        return str(stubs) if name[1] == "github.action_path" else values[name[1]]

    environment = {name: value(expression) for name, expression in step["env"].items()}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        ({}, "-C . ci up local --lease 2h --wait 30m"),
        ({"command": "down", "directory": "site"}, "-C site ci down"),
        ({"command": "rebuild", "lease": "4h"}, "-C . ci rebuild --lease 4h"),
        ({"command": "reap", "stack": "lab", "older_than": "1h"}, "-C . ci reap lab --older-than 1h"),
    ],
)
def test_the_action_calls_what_can_be_typed(stubs: Path, inputs: dict[str, str], line: str) -> None:
    done = action(stubs, **inputs)
    assert done.returncode == 0, done.stderr
    assert (stubs / "calls").read_text() == f"{line}\n"
    typed(line)


def test_the_action_runs_nothing_that_somebody_wrote_into_an_input(stubs: Path) -> None:
    done = action(stubs, stack="$(touch pwned); x", run='"; touch pwned; "')
    assert done.returncode == 0
    assert "ci up $(touch pwned); x --lease" in (stubs / "calls").read_text()
    assert action(stubs, command="up; rm").returncode == 2
    (step,) = ACTION["runs"]["steps"]
    assert "${{" not in step["run"]


def test_the_actions_outputs_are_those_that_a_run_tells(tmp_path: Path) -> None:
    told = {line.partition("=")[0] for line in step_outputs(MADE, str(tmp_path)).splitlines()}
    named = set(re.findall(r"steps\.azlocal\.outputs\.([a-z-]+)", str(ACTION["outputs"])))
    assert len(named) == len(ACTION["outputs"])
    assert named <= told


def gitlab_lines() -> Iterator[str]:
    for job in GITLAB.values():
        for part in ("before_script", "script", "after_script"):
            yield from (line for line in job.get(part, ()) if line.startswith("azlocal "))


def test_the_gitlab_template_calls_what_can_be_typed_and_keeps_the_reports(stubs: Path) -> None:
    lines = list(gitlab_lines())
    assert [shlex.split(line)[2] for line in lines] == ["up", "down", "reap"]
    variables = {name: value for job in GITLAB.values() for name, value in job["variables"].items()}
    path = f"{stubs}/.venv/bin{os.pathsep}{os.environ['PATH']}"
    for line in lines:
        subprocess.run(["bash", "-euc", line], env={"PATH": path, "CI_JOB_ID": "77", **variables}, check=True)
    calls = (stubs / "calls").read_text().splitlines()
    assert calls[0] == "ci up local --run 77 --lease 2h --wait 30m"
    for call in calls:
        typed(call)
    kubeconfig = next(line for line in GITLAB[".azlocal"]["before_script"] if "KUBECONFIG" in line)
    assert "/.azlocal/ci/$CI_JOB_ID/kubeconfig" in kubeconfig
    for pattern in (
        GITLAB[".azlocal"]["artifacts"]["reports"]["junit"],
        *GITLAB[".azlocal"]["artifacts"]["paths"],
    ):
        assert pattern.startswith(".azlocal/ci/*/report/")
