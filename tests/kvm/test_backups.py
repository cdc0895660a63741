"""Snapshots in a folder of a host: whole or not there, and root's alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.kvm.backups import BackupFolder
from infra.kvm.errors import HostError
from infra.model.backup import Backup
from infra.model.work import Work
from infra.ssh import CommandError, LocalShell
from tests.lifecycle.test_backups import backup

CONTENT = os.urandom(300_000)


@pytest.fixture
def folder(tmp_path: Path) -> BackupFolder:
    return BackupFolder.of(LocalShell(), str(tmp_path))


def known(minutes: int = 0, content: bytes = CONTENT) -> Backup:
    sums = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return backup(minutes).model_copy(update=sums)


def store(folder: BackupFolder, about: Backup, content: bytes = CONTENT) -> Backup:
    parts = [content[:100], content[100:250_000], content[250_000:]]
    return folder.store(about.name, len(content), parts, lambda: about, Work())


def names(folder: BackupFolder) -> list[str]:
    return sorted(path.name for path in Path(folder.path).glob("*"))


def test_what_was_stored_comes_back_and_nobody_else_can_read_it(folder: BackupFolder) -> None:
    assert folder.listed() == []
    later, sooner = known(5), known()
    assert store(folder, later) == later
    store(folder, sooner)
    assert folder.listed() == [sooner, later]
    assert b"".join(folder.parts(later)) == CONTENT
    assert {oct(path.stat().st_mode & 0o777) for path in Path(folder.path).iterdir()} == {"0o600"}
    assert oct(Path(folder.path).stat().st_mode & 0o777) == "0o700"
    folder.remove(later.name)
    assert names(folder) == [f"{sooner.name}.db", f"{sooner.name}.json"]


def test_what_ends_too_soon_leaves_nothing(folder: BackupFolder) -> None:
    def coming() -> Iterator[bytes]:
        yield CONTENT[:1000]
        raise HostError("etcd gave up")

    with pytest.raises(HostError, match="etcd gave up"):
        folder.store(known().name, len(CONTENT), coming(), known, Work())
    assert folder.listed() == []
    assert [name for name in names(folder) if not name.startswith(".")] == []


def test_what_arrives_otherwise_than_it_was_sent_is_not_taken(folder: BackupFolder) -> None:
    with pytest.raises(CommandError, match="what was written has the sha256"):
        store(folder, known(content=b"other"))
    assert names(folder) == []


def test_what_a_disk_has_damaged_is_not_handed_on(folder: BackupFolder) -> None:
    about = store(folder, known())
    Path(folder.path, f"{about.name}.db").write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(HostError, match=r"\.db is damaged: its sha256 is .*Take another snapshot of the list"):
        list(folder.parts(about))


def test_what_a_killed_run_left_goes_but_not_what_another_one_writes_now(folder: BackupFolder) -> None:
    about = store(folder, known())
    for name in (".old.part", ".new.part", "old.db", "new.db"):
        Path(folder.path, name).write_text("half")
        if "old" in name:
            os.utime(Path(folder.path, name), (0, 0))
    for ending in ("db", "json"):
        os.utime(Path(folder.path, f"{about.name}.{ending}"), (0, 0))
    folder.clear()
    assert names(folder) == [".new.part", f"{about.name}.db", f"{about.name}.json", "new.db"]
