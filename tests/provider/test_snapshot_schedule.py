"""The timer of a host: made, seen, changed, taken away; and said in each run where it doesn't do its work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.kubernetes.pki import generate_pki
from infra.kvm import systemd
from infra.kvm.connection import Hosts
from infra.provider.kind import Changes
from infra.provider.kinds import snapshot_schedule
from infra.provider.kinds.snapshot_schedule import SnapshotScheduleKind
from infra.resources.snapshot_schedule import SnapshotScheduleInputs, SnapshotScheduleState
from infra.ssh import LocalShell
from tests.provider.conftest import MemoryLog
from tests.provider.test_kinds import operation

INPUTS = SnapshotScheduleInputs(
    instance="lab",
    connection="test:///default",
    cluster="a",
    members=["10.0.0.1", "10.0.0.2"],
    every_hours=6,
    keep=3,
    ca_hash="sha256:1",
    etcd_keys=generate_pki().files,
)


class Session:
    shell = LocalShell()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    @contextmanager
    def session(self: object, connection: str, work: object) -> Iterator[Session]:
        yield Session()

    monkeypatch.setattr(Hosts, "session", session)
    monkeypatch.setattr(snapshot_schedule, "standing_directory", lambda *_: str(tmp_path))
    monkeypatch.setattr(systemd, "is_init", lambda _: False)
    return tmp_path / "backups" / "lab-a.schedule"


def made(kind: SnapshotScheduleKind, inputs: SnapshotScheduleInputs = INPUTS) -> SnapshotScheduleState:
    return kind.create(operation(), inputs).state


def test_it_is_made_seen_changed_and_taken_away_with_its_key(folder: Path) -> None:
    kind = SnapshotScheduleKind(Hosts())
    state = made(kind)
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["members"] == ["10.0.0.1:2379", "10.0.0.2:2379"]
    assert (settings["keep"], settings["about"]["caHash"]) == (3, "sha256:1")
    assert "PRIVATE KEY" in (folder / "client.key").read_text()
    id = "test:///default#lab-a"
    assert kind.read(operation(), id, state) == state
    kind.update(operation(), id, state, INPUTS.model_copy(update={"keep": 5, "members": ["10.0.0.1"]}))
    changed = json.loads((folder / "settings.json").read_text())
    assert (changed["keep"], changed["members"]) == (5, ["10.0.0.1:2379"])
    (folder.parent / "lab-a-x.db").write_bytes(b"a snapshot")
    kind.delete(operation(), id, state)
    assert not folder.exists()
    assert (folder.parent / "lab-a-x.db").exists()
    assert kind.read(operation(), id, state) is None
    kind.delete(operation(), id, state)


def test_a_failure_is_said_in_each_run_and_is_drift(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "is_init", lambda _: False)
    kind, log = SnapshotScheduleKind(Hosts()), MemoryLog()
    state = made(kind)
    status: dict[str, Any] = {"last": "lab-a-1", "failure": "no member of etcd answers", "failingSince": "noon"}
    (folder / "status.json").write_text(json.dumps(status))
    wire = state.to_wire()
    kind.refine(wire, INPUTS.to_wire(), Changes({}), operation(log=log))
    text = " ".join(line for _, line in log.lines)
    assert "takes no snapshots of cluster a since noon: no member of etcd answers. The last one is lab-a-1" in text
    assert f"run `python3 {folder}/take-snapshot {folder}` as root every 6 h" in text
    seen = kind.read(operation(), "test:///default#lab-a", state)
    assert seen is not None
    assert seen.failure == "no member of etcd answers"
    (folder / "status.json").write_text("half a")
    seen = kind.read(operation(), "test:///default#lab-a", state)
    assert seen is not None
    assert "can't be read" in str(seen.failure)
