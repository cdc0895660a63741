"""Snapshots of a stack's clusters: taken now, listed, brought here. Where they are kept is their hosts' matter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from infra.errors import UserError
from infra.files import replace_file
from infra.kvm.connection import Hosts
from infra.kvm.ownership import Mark
from infra.kvm.snapshot_timer import SnapshotTimer
from infra.lifecycle.backups import places
from infra.model.backup import BY_WISH, Backup, ScheduleStatus
from infra.model.work import Work
from infra.provider.backups import Backups
from infra.provider.kinds.host_owner import standing_directory
from infra.resources.snapshot_schedule import SnapshotScheduleState
from infra.stack.clusters import StackCluster
from infra.stack.messages import say
from infra.stack.state import Stack

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class StoredBackup:
    """A snapshot that hosts keep.

    Attributes:
        backup: It.
        places: Connections of the hosts.
    """

    backup: Backup
    places: tuple[str, ...]


@dataclass(frozen=True)
class ScheduleReport:
    """How a host's timer does.

    Attributes:
        schedule: What it is to do.
        status: How its last try ended.
        runs: Whether systemd runs it.
    """

    schedule: SnapshotScheduleState
    status: ScheduleStatus
    runs: bool

    @property
    def text(self) -> str:
        """Return it in a line."""
        of, status = self.schedule, self.status
        how = f"cluster {of.cluster}: {of.connection} takes one every {of.every_hours} h, and {of.keep} stay"
        if status.failure:
            return f"{how}. FAILING since {status.failing_since}: {status.failure}; the last one is {status.last}"
        if not self.runs:
            how += ", by a scheduler of yours, since it has no systemd"
        return f"{how}; the last one is {status.last}" if status.last else f"{how}; it has taken none yet"


class StackBackups:
    """The snapshots of a stack's clusters on the instance's hosts."""

    def __init__(self, stack: Stack, hosts: Hosts | None = None) -> None:
        """Nothing is asked yet."""
        self.hosts = hosts or Hosts()
        self.work = Work(info=say)
        self._stack = stack

    def take(self, cluster: StackCluster, reason: str = BY_WISH) -> Backup:
        """Take a snapshot of a cluster's etcd; a member that answers is enough, be it without a quorum.

        Raises:
            UserError: None answers, or no host keeps it.
        """
        standing = {name: plane for name, plane in cluster.planes.items() if not plane.lost}
        chosen = places([plane.connection for plane in standing.values()], cluster.hosts)
        etcd = cluster.etcd(standing)
        return self._of(cluster).take(cluster.placement, cluster.version, etcd, chosen, reason)

    def listed(self, cluster: StackCluster) -> list[StoredBackup]:
        """Return a cluster's snapshots, the oldest first.

        Raises:
            HostError: A host can't be asked.
        """
        listed = self._of(cluster).listed(cluster.hosts).values()
        return [StoredBackup(each, tuple(where)) for each, where in listed if each.cluster == cluster.name]

    def schedules(self, cluster: StackCluster) -> list[ScheduleReport]:
        """Return how the timers do that take snapshots of a cluster.

        Raises:
            HostError: A host can't be asked.
        """
        reports = []
        for schedule in cluster.schedules:
            if schedule.connection not in cluster.hosts:
                continue
            with self.hosts.session(schedule.connection, self.work) as session:
                directory = standing_directory(session, self._mark(cluster))
                status, runs = ScheduleStatus(failure="the host has nothing of the instance"), True
                if directory:
                    timer = SnapshotTimer(session.shell, directory, cluster.instance, cluster.name)
                    status, runs = timer.status(), timer.runs
                reports.append(ScheduleReport(schedule, status, runs))
        return reports

    def parts(self, cluster: StackCluster, stored: StoredBackup) -> Iterator[bytes]:
        """Yield a snapshot's file, part by part, from the first host that keeps it.

        Raises:
            HostError: It isn't what was stored there.
            ShellError: It can't be read.
        """
        with self.hosts.session(stored.places[0], self.work) as session:
            folder = self._of(cluster).folder(session)
            if folder is None:
                raise UserError(f"{stored.places[0]} has nothing of {cluster.instance} any more")
            yield from folder.parts(stored.backup)

    def fetch(self, cluster: StackCluster, stored: StoredBackup, file: Path) -> None:
        """Bring a snapshot here: the file, and beside it what is known of it; readable by nobody else.

        Raises:
            UserError: It can't be read there, or written here.
        """
        try:
            replace_file(file, self.parts(cluster, stored), mode=0o600)
            replace_file(_about(file), stored.backup.model_dump_json(by_alias=True) + "\n", mode=0o600)
        except OSError as error:
            raise UserError(f"{file} can't be written: {error.strerror}; name another file with -o") from None

    def _of(self, cluster: StackCluster) -> Backups:
        return Backups(
            lambda connection: self.hosts.session(connection, self.work), self._mark(cluster), self.work
        )

    def _mark(self, cluster: StackCluster) -> Mark:
        return Mark(cluster.instance, self._stack.name, "")


def named(listed: list[StoredBackup], name: str) -> StoredBackup:
    """Return the snapshot of that name.

    Raises:
        UserError: There is none.
    """
    for stored in listed:
        if stored.backup.name == name:
            return stored
    names = ", ".join(stored.backup.name for stored in listed) or "none"
    raise UserError(f"there is no snapshot {name}; kept are: {names}")


def read_about(file: Path) -> Backup | None:
    """Return what is known of a snapshot in a file here; None where nothing is.

    Raises:
        UserError: It can't be read.
    """
    try:
        return Backup.model_validate_json(_about(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise UserError(f"{_about(file)} can't be read: {error}") from None


def read_parts(file: Path, about: Backup | None) -> Iterator[bytes]:
    """Yield a file, part by part.

    Raises:
        UserError: It isn't what was fetched.
    """
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while part := content.read(_CHUNK_BYTES):
            digest.update(part)
            yield part
    if about is not None and digest.hexdigest() != about.sha256:
        raise UserError(f"{file} is damaged: its sha256 is {digest.hexdigest()}, and was {about.sha256}")


def _about(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")
