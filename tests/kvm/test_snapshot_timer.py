"""A host takes snapshots by a timer: the files and units, and what the program does with real members of etcd."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from infra.certificates import KeyPair
from infra.kubernetes.etcd import Etcd, EtcdError, _ask
from infra.kubernetes.pki import etcd_client
from infra.kvm import systemd
from infra.kvm.backups import BackupFolder
from infra.kvm.files import take_snapshot
from infra.kvm.snapshot_timer import SnapshotTimer
from infra.lifecycle.backups import surplus
from infra.model.backup import SCHEDULED
from infra.ssh import CommandResult, LocalShell
from tests.kubernetes.test_etcd import Members, members
from tests.waiting import eventually

__all__ = ["members"]

CONFIGURATION = b"k8s\0\n\x0e\n\x02v1\x12\tConfigMap ClusterConfiguration kubernetesVersion: v1.34.4\n more"


def put(etcd: Etcd, url: str, key: bytes, value: bytes) -> None:
    body = {"key": b64encode(key).decode(), "value": b64encode(value).decode()}

    def is_written() -> bool:
        try:
            _ask(pool, url, "kv/put", body)
        except EtcdError:
            return False  # a leader is being chosen
        return True

    with etcd._pool() as pool:
        eventually(is_written, "etcd has it")


def timer_on(tmp_path: Path) -> SnapshotTimer:
    return SnapshotTimer(LocalShell(), str(tmp_path / "store"), "lab", "a")


def install(timer: SnapshotTimer, members: Members, keep: int = 2) -> None:
    addresses = [url.removeprefix("https://") for url in members.clients.values()]
    client = etcd_client(members.keys)
    timer.install(addresses, "sha256:1", members.keys["etcd/ca.crt"], client, 6, keep)


def run(timer: SnapshotTimer) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *timer.command[1:]], capture_output=True, text=True, check=False)


@pytest.fixture
def timer(tmp_path: Path, members: Members) -> SnapshotTimer:
    made = timer_on(tmp_path)
    install(made, members)
    put(members.etcd, next(iter(members.clients.values())), take_snapshot.CONFIGURATION, CONFIGURATION)
    return made


def test_a_member_that_has_no_leader_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [503, 503, 200]

    def ask(member: str) -> str:
        status = answers.pop(0)
        if status != HTTPStatus.OK:
            raise take_snapshot.refusal(member, status, b"etcdserver: leader changed")
        return "answer"

    monkeypatch.setattr(take_snapshot, "ELECTION_SECONDS", 0.0)
    assert take_snapshot.patiently(ask, "cp-0") == "answer"
    answers[:] = [503] * 20
    with pytest.raises(ValueError, match="cp-0 answers 503"):
        take_snapshot.patiently(ask, "cp-0")
    answers[:] = [500, 200]
    with pytest.raises(ValueError, match="cp-0 answers 500"):
        take_snapshot.patiently(ask, "cp-0")


@pytest.mark.engine  # etcd is built
def test_a_snapshot_is_kept_as_those_that_azlocal_takes_itself(timer: SnapshotTimer, members: Members) -> None:
    members.stop("cp-1")  # two others are enough
    done = run(timer)
    assert done.returncode == 0, done.stderr
    folder = BackupFolder.of(timer.shell, timer.directory)
    (backup,) = folder.listed()
    assert (backup.instance, backup.cluster, backup.reason) == ("lab", "a", SCHEDULED)
    assert (backup.kubernetes_version, backup.ca_hash) == ("1.34.4", "sha256:1")
    assert backup.revision >= 2
    content = b"".join(folder.parts(backup))  # which checks its sum
    assert len(content) == backup.size
    assert content[-32:] == hashlib.sha256(content[:-32]).digest()
    status = timer.status()
    assert (status.last, status.failure) == (backup.name, None)
    modes = {path.stat().st_mode & 0o077 for path in Path(timer.directory).rglob("*")}
    assert modes == {0}, "root's alone"


@pytest.mark.engine  # etcd is built
def test_only_as_many_of_its_own_stay(timer: SnapshotTimer) -> None:
    folder = Path(timer.folder).parent
    run(timer)
    (first,) = folder.glob("*.json")
    known = json.loads(first.read_text())
    for days, reason in ((1, SCHEDULED), (2, SCHEDULED), (3, "azlocal backup")):
        name = f"lab-a-{days}"
        taken = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        (folder / f"{name}.json").write_text(json.dumps(known | {"taken": taken, "reason": reason}))
        (folder / f"{name}.db").write_bytes(b"")
    first.unlink()
    first.with_suffix(".db").unlink()
    assert run(timer).returncode == 0
    assert {path.stem for path in folder.glob("*.db")} >= {"lab-a-1", "lab-a-3"}
    assert len([*folder.glob("*.db")]) == len([*folder.glob("*.json")]) == 3, (
        "two of the schedule's, one of others"
    )
    assert not surplus(BackupFolder.of(timer.shell, timer.directory).listed() * 9, "a")[5:], (
        "others leave them alone"
    )


@pytest.mark.engine  # etcd is built
def test_a_failure_is_noted_until_the_next_success_and_leaves_what_is_there(
    timer: SnapshotTimer, members: Members
) -> None:
    assert run(timer).returncode == 0
    before = sorted(path.name for path in Path(timer.folder).parent.glob("*.*") if path.is_file())
    for name in [*members.processes]:
        members.stop(name)
    failed = run(timer)
    assert failed.returncode == 1
    assert "no member of etcd answers" in failed.stderr
    status = timer.status()
    assert status.failure is not None
    assert status.failure.startswith("no member of etcd answers")
    assert status.last is not None, "the last one that was taken"
    run(timer)
    assert timer.status().failing_since == status.failing_since
    assert sorted(path.name for path in Path(timer.folder).parent.glob("*.*") if path.is_file()) == before


@pytest.mark.engine  # etcd is built
def test_the_disk_is_not_filled(timer: SnapshotTimer, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil._ntuple_diskusage(100 << 20, 85 << 20, 15 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    take_snapshot.see_that_it_fits(Path(timer.folder), 4 << 20)
    with pytest.raises(ValueError, match="would leave less than 10% of its file system"):
        take_snapshot.see_that_it_fits(Path(timer.folder), 6 << 20)


@pytest.mark.engine
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_what_arrives_damaged_is_not_kept(
    timer: SnapshotTimer, members: Members, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    def damaged(line: bytes) -> Any:
        message = loads(line)
        if "result" in message and "blob" in message["result"]:
            blob = message["result"]["blob"]
            message["result"]["blob"] = blob[: len(blob) // 8 * 4] if damage == "cut" else "AAAA" + blob[4:]
        return message

    loads = json.loads
    settings, now = loads((Path(timer.folder) / "settings.json").read_text()), datetime.now(UTC)
    monkeypatch.setattr(take_snapshot, "version", lambda *_: "1.34.4")
    monkeypatch.setattr(json, "loads", damaged)
    with pytest.raises(ValueError, match="damaged on the way"):
        take_snapshot.take(Path(timer.folder), settings, now)
    assert [path.name for path in Path(timer.folder).parent.iterdir()] == ["lab-a.schedule"]


class Host(LocalShell):
    """A host with systemd, whose commands and units are noted."""

    def __init__(self, units: Path) -> None:
        super().__init__()
        self.units, self.commands = units, list[list[str]]()

    def run(self, argv: Sequence[str], **options: Any) -> CommandResult:
        if argv[0] == "systemctl":
            self.commands.append([*argv])
            argv = ["true"]
        return super().run(argv, **options)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    units = tmp_path / "units"
    units.mkdir()
    monkeypatch.setattr(systemd, "_UNITS", str(units))
    monkeypatch.setattr(systemd, "is_init", lambda _: True)
    yield Host(units)


def test_systemd_takes_them_and_what_was_due_while_the_host_was_off(host: Host, tmp_path: Path) -> None:
    timer = SnapshotTimer(host, str(tmp_path / "store"), "lab", "a")
    timer.install(["10.0.0.1:2379"], "sha256:1", "authority", KeyPair("certificate", "key"), 6, 3)
    assert {path.name for path in host.units.iterdir()} == {
        "azlocal-snapshots-lab-a.service",
        "azlocal-snapshots-lab-a.timer",
    }
    text = (host.units / "azlocal-snapshots-lab-a.timer").read_text()
    assert "OnCalendar=*-*-* 0/6:00:00" in text
    assert "Persistent=true" in text
    service = (host.units / "azlocal-snapshots-lab-a.service").read_text()
    assert f'"{timer.folder}/take-snapshot" "{timer.folder}"' in service
    if analyze := shutil.which("systemd-analyze"):
        files = [str(path) for path in host.units.iterdir()]
        checked = subprocess.run([analyze, "verify", *files], capture_output=True, text=True, check=False)
        assert "snapshots-lab-a" not in checked.stderr
    assert ["systemctl", "restart", "--", "azlocal-snapshots-lab-a.timer"] in host.commands
    assert timer.stands()
    timer.remove()
    assert not [*host.units.iterdir()]
    assert not timer.stands()
    assert not Path(timer.folder).exists()
