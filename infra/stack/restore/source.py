"""Which snapshot a cluster is restored from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra.errors import UserError
from infra.lifecycle.backups import misfit
from infra.model.backup import Backup
from infra.stack.backup import StackBackups, StoredBackup, named, read_about, read_parts
from infra.stack.clusters import StackCluster


@dataclass(frozen=True)
class Source:
    """What is restored.

    Attributes:
        text: What it is, for people.
        backup: What is known of it; None of a snapshot that is still to be taken, of what stands.
        stored: Where it is kept, unless it is a file here.
        file: The file here.
    """

    text: str
    backup: Backup | None = None
    stored: StoredBackup | None = None
    file: Path | None = None

    def parts(self, backups: StackBackups, cluster: StackCluster) -> Iterator[bytes]:
        """Yield the snapshot's file, part by part."""
        if self.stored is not None:
            return backups.parts(cluster, self.stored)
        if self.file is None:
            raise AssertionError("a snapshot is taken before it is restored")
        return read_parts(self.file, read_about(self.file))


def choose(
    cluster: StackCluster, wish: str | None, listed: list[StoredBackup], *, has_quorum: bool, answers: bool
) -> Source:
    """Return what is restored: what was wished for; else what loses least.

    Where etcd has lost its quorum, a member that answers has more than any snapshot: all that was acknowledged,
    but for what only the lost ones had. Where it has its quorum, who restores wants to go back in time.

    Args:
        cluster: The cluster.
        wish: A snapshot's name, or a file's path; None: nothing in particular.
        listed: The snapshots that are kept, the oldest first.
        has_quorum: Whether etcd decides.
        answers: Whether a member of it answers.

    Raises:
        UserError: There is none, or it is another cluster's.
    """
    if wish is None and answers and not has_quorum:
        return Source("what a control plane that stands has of the data, which is more than any snapshot has")
    if wish is not None and ("/" in wish or Path(wish).is_file()):
        return _of_file(cluster, Path(wish))
    if wish is not None:
        stored = named(listed, wish)
    else:
        fitting = newest(cluster, listed)
        if fitting is None:
            raise UserError(
                f"no snapshot of cluster {cluster.name} is kept that fits it (`azlocal backup --list`); where "
                "one is in a file, name that"
            )
        stored = fitting
    if against := _misfit(cluster, stored.backup):
        raise UserError(f"{stored.backup.name} can't be restored: {against}")
    return Source(told_of(stored.backup), stored.backup, stored)


def newest(cluster: StackCluster, listed: list[StoredBackup]) -> StoredBackup | None:
    """Return the newest snapshot that a cluster can be restored from; None where there is none.

    Args:
        cluster: The cluster.
        listed: The snapshots that are kept, the oldest first.
    """
    fitting = [each for each in listed if not _misfit(cluster, each.backup)]
    return fitting[-1] if fitting else None


def _of_file(cluster: StackCluster, file: Path) -> Source:
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    known = read_about(file)
    if known is not None and (against := _misfit(cluster, known)):
        raise UserError(f"{file} can't be restored: {against}")
    if known is not None:
        return Source(f"{file}: {told_of(known)}", known, file=file)
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    unknown = Backup(
        instance=cluster.instance,
        cluster=cluster.name,
        taken=datetime.now(UTC),
        kubernetes_version=cluster.version,
        revision=0,
        sha256=sha256,
        size=file.stat().st_size,
        ca_hash=cluster.ca_hash,
        reason="",
    )
    text = f"{file}, of which nothing is known: without {file.name}.json beside it, it may be another cluster's"
    return Source(text, unknown, file=file)


def _misfit(cluster: StackCluster, backup: Backup) -> str:
    return misfit(backup, cluster.ca_hash, cluster.version, cluster.keys.by_name)


def told_of(backup: Backup) -> str:
    """Return what a snapshot is, in a line."""
    return (
        f"{backup.name}, taken {backup.taken:%Y-%m-%d %H:%M:%S} UTC ({backup.reason}), revision {backup.revision}"
    )
