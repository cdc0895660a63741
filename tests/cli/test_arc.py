"""`azlocal arc check` and `status`: a stack's files and outputs in, tables, JSON and exit codes out."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infra.arc.endpoints.table import Endpoint
from infra.cli import app
from infra.emulator import daemon
from infra.ssh import LocalShell
from tests.emulator.azure_sdk import Azure
from tests.instances import cluster, files, write_files

ALLOCATIONS = [{"owner": "a-cp-0", "cluster": "a"}, {"owner": "b-cp-0", "cluster": "b"}]
OUTPUTS: dict[str, Any] = {
    "plan": {"networks": [{"allocations": ALLOCATIONS}]},
    "machines": {
        "lab-a-cp-0": {"address": "192.0.2.1", "sshHostKey": "ssh-ed25519 AAAA", "jump": None},
        "lab-b-cp-0": {"address": "192.0.2.2", "sshHostKey": "ssh-ed25519 AAAA", "jump": None},
    },
}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the stack's emulator is; it is ended afterwards."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("XDG_STATE_HOME", str(folder))
        warnings.simplefilter("ignore", ResourceWarning)  # the emulator outlives who started it, on purpose
        daemon.ensure_running(daemon.default_folder("lab"))
        yield folder
        daemon.stop(daemon.default_folder("lab"))


@pytest.fixture
def project(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack with Arc, whose nodes are this machine."""
    write_files(tmp_path, files([cluster()], stack={"arc": {"cloud": "emulator"}, "location": "eastus"}))
    engine = tmp_path / "bin" / "pulumi"
    engine.parent.mkdir()
    engine.write_text(f"#!/bin/sh\ncat <<'E'\n{json.dumps(OUTPUTS)}\nE\n")
    engine.chmod(0o755)
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///nowhere")
    monkeypatch.setenv("PATH", f"{engine.parent}{os.pathsep}{os.environ['PATH']}")

    @contextmanager
    def here(*_: Any) -> Iterator[LocalShell]:
        yield LocalShell()

    monkeypatch.setattr("infra.stack.arc.shell_on", here)
    return tmp_path


def azlocal(*arguments: object) -> Result:
    return CliRunner(env={"CI": ""}).invoke(app, [str(argument) for argument in arguments])


def test_every_endpoint_is_tried_from_a_node_of_the_cluster(project: Path) -> None:
    result = azlocal("-C", project, "arc", "check", "a", "-s", "lab", "--format", "json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["ok"], said["cloud"], said["cluster"]) == (True, "emulator", "a")
    (endpoint,) = said["endpoints"]
    assert endpoint["node"] == "lab-a-cp-0"
    assert endpoint["purpose"] == "configuration, identity of agents"
    assert endpoint["stage"] == "done"


def test_the_table_says_the_same(project: Path) -> None:
    result = azlocal("-C", project, "arc", "check", "a", "-s", "lab", "--node", "all")
    assert result.exit_code == 0
    assert "identity of agents" in result.stdout
    assert "1 ok" in result.stdout


def test_what_is_blocked_is_exit_code_2(project: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        blocked = Endpoint("127.0.0.1", "x", 1, is_azures=False)
        patch.setattr("infra.arc.endpoints.endpoints_of", lambda *_: [blocked])
        result = azlocal("-C", project, "arc", "check", "a", "-s", "lab")
    assert result.exit_code == 2
    assert "Connection refused" in result.stdout
    assert "open TCP 1 to 127.0.0.1" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("check", "z", "-s", "lab"), "it has a"),
        (("check", "a", "-s", "lab", "--node", "nobody"), "there are lab-a-cp-0"),
        (("status", "a", "-s", "lab"), "doesn't exist"),
    ],
)
def test_what_is_not_there_is_exit_code_1(project: Path, arguments: tuple[str, ...], reason: str) -> None:
    result = azlocal("-C", project, "arc", *arguments)
    assert result.exit_code == 1
    assert reason in result.stderr


def test_a_stack_without_arc_is_told(project: Path) -> None:
    write_files(project, files([cluster()]))
    result = azlocal("-C", project, "arc", "status", "a", "-s", "lab")
    assert result.exit_code == 1
    assert "azlocal:arc" in result.stderr


def test_a_cluster_that_is_gone_is_taken_out_of_azure(project: Path, state: Path) -> None:
    """The stack has no kubeconfig any more: Azure's side is all there is."""
    azure = Azure(daemon.ensure_running(daemon.default_folder("lab")))
    azure.connect(azure.group("lab"), "lab-a")
    for _ in range(2):  # what is gone already is fine
        result = azlocal("-C", project, "arc", "disconnect", "a", "-s", "lab", "--force")
        assert result.exit_code == 0, result.output
        assert list(azure.clusters.list_by_resource_group("lab")) == []
