"""A user of the bare `pulumi` after a run that was killed: what goes on by itself, and what is told."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.engine.node_image import plain_image
from tests.project import HOST_ONLY, Project, example

pytestmark = pytest.mark.engine

PARENT = "urn:pulumi:local::azlocal::azlocal:infra:AzureLocalInstance"
PENDING = {
    "type": "creating",
    "resource": {
        "urn": f"{PARENT}$azlocal:index:StackIdentity::local",
        "type": "azlocal:index:StackIdentity",
        "custom": True,
        "inputs": {"instance": "local"},
        "parent": f"{PARENT}::local",
    },
}
WITHOUT_HOSTS = HOST_ONLY[:4]


def kill(project: Project) -> None:
    """Leave what an engine leaves that is killed while it makes something: a pending create and a lock."""
    content = json.loads(project._state_file.read_text())
    latest = content["checkpoint"].setdefault("latest", {}) or {}
    content["checkpoint"]["latest"] = {**latest, "pending_operations": [PENDING]}
    project._state_file.write_text(json.dumps(content))


def lock(project: Project) -> Path:
    folder = project.directory / "state" / ".pulumi" / "locks" / "organization" / "azlocal" / project.stack
    folder.mkdir(parents=True, exist_ok=True)
    held = {
        "pid": 2**22 + 1,
        "username": "me",
        "hostname": socket.gethostname(),
        "timestamp": "2026-01-01T00:00:00Z",
    }
    (folder / "0a0c0b7e-0000-4000-8000-000000000000.json").write_text(json.dumps(held))
    return folder


def test_after_a_kill_the_bare_up_goes_on_tells_what_is_left_and_settle_does_the_rest(tmp_path: Path) -> None:
    project = example(tmp_path / "project", "local")
    project.environment |= plain_image(tmp_path / "cache")
    project.edit(nodeImage="plain", clusters=[])
    project.apart = True
    kill(project)
    run = project.up(*WITHOUT_HOSTS).expect()
    told = " ".join(run.output.split())
    assert "a killed run was making local. `pulumi up` relies on what state has; `azlocal settle local`" in told
    assert project.kinds()["StackIdentity"] == 1
    assert project.state()["pending_operations"], "the engine keeps it listed"

    held = lock(project)
    refused = project.up(*WITHOUT_HOSTS)
    assert refused.code != 0
    assert "the stack is currently locked" in refused.output
    # It was killed as it wrote down the attributes of a file, too: this engine can't read its own state any more.
    note = project._state_file.with_name(f"{project._state_file.name}.attrs")
    assert note.is_file()
    note.write_text("")
    assert "failed to load checkpoint: EOF" in project.pulumi("stack", "export").output
    settled = project.settle().expect().output
    assert "dropping its lock" in settled
    assert "a killed run was making local; looking whether they stand" in settled
    assert not list(held.glob("*.json"))
    assert not project.state().get("pending_operations")
    assert project.kinds()["StackIdentity"] == 1
