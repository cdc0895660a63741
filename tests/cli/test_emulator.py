"""`azlocal emulator`, as somebody types it."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from infra.cli import app
from infra.cli.emulator import parse_duration
from infra.emulator import daemon
from infra.emulator.settings import Folder
from tests.emulator.azure_sdk import Azure

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The command line, with its state in a folder of the test's."""
    state = tmp_path_factory.mktemp("state")

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["emulator", *arguments, "-i", "cli"])
        assert result.exit_code == code, result.output
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(state))
        yield run
        daemon.remove(daemon.default_folder("cli"))


@pytest.fixture
def azure(run: Run) -> Azure:
    run("start")
    found = daemon.status(daemon.default_folder("cli"))
    assert found is not None
    return Azure(found)


def test_start_says_what_it_is_once(run: Run) -> None:
    assert "it is not Azure" in run("start").stderr
    assert run("start").output == ""
    assert "runs (process" in run("status").stdout
    facts = json.loads(run("status", "--json").stdout)
    assert facts["url"].startswith("https://127.0.0.1:")
    assert facts["folder"] == str(daemon.default_folder("cli"))
    run("stop")
    assert "doesn't run" in run("status", code=1).stdout
    assert "`azlocal emulator start -i cli`" in run("advance", "1m", code=1).stderr


def test_status_shows_resources(run: Run, azure: Azure) -> None:
    azure.group("g")
    azure.agents.beat(azure.connect("g", "a").id)
    assert "connectedClusters/a: Succeeded, Connected" in run("status").stdout
    run("advance", "16m")
    assert "connectedClusters/a: Succeeded, Offline" in run("status").stdout
    azure.extensions.begin_create(
        "g", "Microsoft.Kubernetes", "connectedClusters", "a", "x",
        {"properties": {"extensionType": "t"}}, polling=False,
    )  # fmt: skip
    assert "Creating goes on:" in run("status").stdout
    left = run("stop", "--remove", code=1)
    assert "connectedClusters/a" in left.stderr
    run("start")
    run("reset", "--yes")
    assert "connectedClusters" not in run("status").stdout


def test_faults_are_planted_listed_and_cleared(run: Run, azure: Azure) -> None:
    planted = run("fault", "add", "status", "--status", "503", "--path", "/resourcegroups/x", "--count", "1")
    (line,) = run("fault", "list").stdout.splitlines()
    fault = json.loads(line)
    assert fault["id"] == planted.stdout.strip()
    assert (fault["kind"], fault["statusCode"], fault["count"]) == ("status", 503, 1)
    path = f"/subscriptions/{azure.subscription}/resourcegroups/x?api-version=2021-04-01"
    assert [azure.arm("GET", path)[0] for _ in range(2)] == [503, 404]
    run("fault", "add", "slow", "--seconds", "0")
    assert "cleared 1 faults" in run("fault", "clear").stderr
    assert "got 'quake'" in run("fault", "add", "quake", code=1).stderr
    assert "not a regular expression" in run("fault", "add", "slow", "--path", "(", code=1).stderr
    assert "No fault has the id" in run("fault", "clear", "nothing", code=1).stderr
    assert "No connected cluster" in run("fault", "add", "expireCertificate", "--path", "zzz", code=1).stderr


def test_settings_are_for_a_shell_and_without_the_secret(run: Run, azure: Azure) -> None:
    secret = Folder(azure.emulator.folder).client().client_secret
    shown = run("env").stdout
    assert secret not in shown
    exports = dict(shlex.split(line)[1].split("=", 1) for line in shown.splitlines() if line.startswith("export "))
    assert Path(exports["REQUESTS_CA_BUNDLE"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert exports["AZURE_AUTHORITY_HOST"] == azure.emulator.url
    assert json.loads(Path(exports["AZLOCAL_EMULATOR_CLIENT"]).read_text())["clientSecret"] == secret
    assert secret in run("env", "--secrets").stdout
    assert all(not line or line.startswith(("export ", "# ")) for line in shown.splitlines())


@pytest.mark.parametrize(
    ("text", "seconds"), [("16m", 960), ("1h30m", 5400), ("90d", 90 * 86400), ("0.5s", 0.5), ("2h", 7200)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "16", "m", "16x", "1h 30m", "-1m", "16mm"])
def test_no_durations(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no duration"):
        parse_duration(text)


def test_folder_is_below_the_state_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/x")
    assert os.fspath(daemon.default_folder("lab")) == "/home/x/.local/state/azlocal/emulator/lab"
