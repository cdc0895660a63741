"""Snapshots from etcd to hosts: which member sends one, who keeps it, and what a failure means."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Interrupted
from infra.kubernetes.etcd import EtcdError
from infra.kubernetes.pki import administrator_kubeconfig, generate_pki
from infra.kvm.backups import BackupFolder
from infra.kvm.errors import HostError, HostUnreachable
from infra.kvm.ownership import Mark
from infra.model.work import Work
from infra.plugin.operation import Operation
from infra.provider import backups as backups_module
from infra.provider import backups_before
from infra.provider.backups import Backups
from infra.provider.backups_before import back_up
from infra.provider.lives import ClusterRun
from infra.resources.node_placement import NodePlacementInputs
from infra.ssh import LocalShell
from tests.provider.conftest import MemoryLog

PKI = generate_pki()
PLACEMENT = NodePlacementInputs(
    instance="lab",
    cluster="a",
    kubeconfig=administrator_kubeconfig("lab-a", "https://10.0.0.1:6443", PKI.ca),
    hosts={},
    control_planes={"cp-0": "10.0.0.1", "cp-1": "10.0.0.2"},
    etcd_keys=PKI.files,
    version="1.34.4",
)


@dataclass
class FakeSnapshot:
    content: bytes
    revision: int = 41

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        yield self.content


@dataclass
class FakeEtcd:
    revisions_of: dict[str, int] = field(default_factory=lambda: {"cp-0": 40, "cp-1": 41})
    silent: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    @property
    def urls(self) -> dict[str, str]:
        return dict.fromkeys(self.revisions_of, "")

    def revisions(self) -> dict[str, int]:
        return self.revisions_of

    def values(self, prefix: bytes, machine: str) -> Iterator[bytes]:
        if machine in self.silent:
            raise EtcdError(f"{machine} tells nothing")
        yield b"k8s:enc:secretbox:v1:key-0a1b2c3d:..."

    @contextmanager
    def snapshot(self, machine: str) -> Iterator[FakeSnapshot]:
        self.asked.append(machine)
        if machine in self.silent:
            raise EtcdError(f"{machine} sends no snapshot")
        yield FakeSnapshot(f"data of {machine}".encode())


@dataclass
class FakeHosts:
    """Hosts that are folders; one that is off can't be asked."""

    folder: Path
    off: set[str] = field(default_factory=set)

    @contextmanager
    def session(self, connection: str) -> Iterator[Any]:
        if connection in self.off:
            raise HostUnreachable(f"{connection} doesn't answer")
        yield type("Session", (), {"shell": LocalShell(), "directory": str(self.folder / connection)})()

    def backups(self) -> Backups:
        return Backups(self.session, Mark("lab", "lab", ""), Work(info=self.said.append))

    def names(self, connection: str) -> list[str]:
        return [each.name for each in BackupFolder.of(LocalShell(), str(self.folder / connection)).listed()]

    said: list[str] = field(default_factory=list)


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHosts:
    monkeypatch.setattr(backups_module, "standing_directory", lambda session, mark: session.directory)
    return FakeHosts(tmp_path)


def take(hosts: FakeHosts, etcd: FakeEtcd, *places: str, reason: str = "drain cp-0") -> Any:
    return hosts.backups().take(PLACEMENT, "1.33.5", etcd, places, reason)  # type: ignore[arg-type]


def test_the_member_that_has_most_is_asked_and_two_hosts_keep_what_it_sends(hosts: FakeHosts) -> None:
    backup = take(hosts, etcd := FakeEtcd(), "h1", "h2")
    assert etcd.asked == ["cp-1"]
    assert (backup.ca_hash, backup.kubernetes_version, backup.revision) == (PKI.ca_hash, "1.33.5", 41)
    assert backup.sha256 == hashlib.sha256(b"data of cp-1").hexdigest()
    assert backup.encryption_keys == ("key-0a1b2c3d",)
    assert hosts.names("h1") == hosts.names("h2") == [backup.name]
    assert hosts.backups().listed(["h1", "h2", "h3"]) == {backup.name: (backup, ["h1", "h2"])}


def test_where_one_member_or_host_fails_another_does_it(hosts: FakeHosts) -> None:
    hosts.off.add("h1")
    backup = take(hosts, FakeEtcd(silent={"cp-1"}), "h1", "h2")
    assert backup.sha256 == hashlib.sha256(b"data of cp-0").hexdigest()
    assert hosts.names("h2") == [backup.name]
    assert hosts.said == [f"{backup.name} is kept on h2 alone: h1 doesn't answer"]


def test_where_none_does_it_is_said_why(hosts: FakeHosts) -> None:
    hosts.off.add("h1")
    with pytest.raises(EtcdError, match=r"no snapshot of cluster a's etcd can be taken: h1 doesn't answer$"):
        take(hosts, FakeEtcd(), "h1")
    with pytest.raises(EtcdError, match="no member of it answers"):
        take(hosts, FakeEtcd({}), "h2")


# -- before a change --------------------------------------------------------------------------------


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a run says, with the error that taking a snapshot ends with."""
    failure: list[Exception] = []

    def taken(*_: Any) -> str:
        if failure:
            raise failure[0]
        return "lab-a-1"

    monkeypatch.setattr(backups_before, "_taken", taken)
    return failure


def run_before(run: ClusterRun, *, is_required: bool) -> MemoryLog:
    log = MemoryLog()
    op = Operation("urn:pulumi:lab::azlocal::azlocal:index:Machine::x", log, threading.Event())
    back_up(op, run, None, [], "drain cp-0", is_required=is_required)  # type: ignore[arg-type]
    return log


def test_one_is_taken_once_in_a_run(before: list[Exception]) -> None:
    run = ClusterRun(PLACEMENT)
    assert "a snapshot of etcd is kept: lab-a-1" in str(vars(run_before(run, is_required=True)))
    before.append(HostError("no more"))
    run_before(run, is_required=True)


def test_what_fails_stops_the_change_only_where_a_snapshot_is_required(before: list[Exception]) -> None:
    before.append(HostError("h1: no space left"))
    run = ClusterRun(PLACEMENT)
    for _ in range(2):
        with pytest.raises(
            HostError, match=r"h1: no space left\. Nothing was changed.*`azlocal backup` tries the"
        ):
            run_before(run, is_required=True)
    log = run_before(run, is_required=False)
    assert "no space left. Other members of etcd have the data, so the change goes on" in str(vars(log))
    before[:] = [Interrupted("stopped")]
    with pytest.raises(Interrupted):
        run_before(ClusterRun(PLACEMENT), is_required=False)
