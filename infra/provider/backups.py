"""Snapshots of a cluster's etcd, from its members to the instance's hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from infra.errors import UserError
from infra.kubernetes.certificates import authority_of
from infra.kubernetes.etcd import PORT, Etcd, EtcdError
from infra.kubernetes.pki import etcd_client, pin_of
from infra.kubernetes.stored_secrets import PREFIX, keys_in_use
from infra.kvm.backups import BackupFolder
from infra.kvm.errors import HostError
from infra.lifecycle.backups import surplus
from infra.model.backup import Backup
from infra.provider.kinds.host_owner import standing_directory
from infra.resources.node_placement import NodePlacementInputs
from infra.ssh import ShellError

if TYPE_CHECKING:
    from infra.kvm.connection import HostSession
    from infra.kvm.ownership import Mark
    from infra.model.work import Work


Sessions = Callable[[str], AbstractContextManager["HostSession"]]
"""Lends a session on a host, by its connection."""


@dataclass(frozen=True)
class Backups:
    """The snapshots that an instance's hosts keep.

    Attributes:
        session: Opens a host.
        mark: Whose they are.
        work: Until when, and who may stop it.
    """

    session: Sessions
    mark: Mark
    work: Work

    def take(
        self,
        placement: NodePlacementInputs,
        version: str,
        etcd: Etcd,
        places: Sequence[str],
        reason: str,
    ) -> Backup:
        """Take a snapshot of a cluster and keep it on hosts; older ones that are too many go.

        Args:
            placement: What the program says of the cluster.
            version: Of its control planes now, without the v.
            etcd: Of it, as far as it stands.
            places: Connections of the hosts to keep it on; where one can't, the others do.
            reason: What it is taken for.

        Raises:
            UserError: No member of etcd answers, none sends a whole snapshot, or no host keeps it.
        """
        about = Backup(
            instance=placement.instance,
            cluster=placement.cluster,
            taken=datetime.now(UTC).replace(microsecond=0),
            kubernetes_version=version,
            revision=0,
            sha256="",
            size=0,
            ca_hash=pin_of(authority_of(placement.kubeconfig)),
            reason=reason,
        )
        reasons: list[str] = []
        for machine in _by_merit(etcd):
            for place in places:
                try:
                    backup = self._store(etcd, machine, about, place)
                except (UserError, ShellError) as error:
                    reasons.append(str(error))
                    continue
                for other in places:
                    if other != place:
                        self._copy(backup, place, other)
                return backup
        raise EtcdError(
            f"no snapshot of cluster {placement.cluster}'s etcd can be taken: "
            + ("; ".join(dict.fromkeys(reasons)) or "no member of it answers")
        )

    def listed(self, places: Iterable[str]) -> dict[str, tuple[Backup, list[str]]]:
        """Return the snapshots by name, the oldest first, each with the hosts that keep it.

        Raises:
            HostError: A host can't be asked.
        """
        by_name: dict[str, tuple[Backup, list[str]]] = {}
        for place in places:
            with self.session(place) as session:
                for backup in self._backups(session):
                    by_name.setdefault(backup.name, (backup, []))[1].append(place)
        return dict(sorted(by_name.items(), key=lambda pair: pair[1][0].taken))

    def folder(self, session: HostSession) -> BackupFolder | None:
        """Return the folder on a host; None where nothing of the instance stands there."""
        directory = standing_directory(session, self.mark)
        return BackupFolder.of(session.shell, directory) if directory else None

    def _store(self, etcd: Etcd, machine: str, about: Backup, place: str) -> Backup:
        keys = _keys_in(etcd, machine)
        with self.session(place) as session, etcd.snapshot(machine) as snapshot:
            folder = self._folder(session, place)

            def whole_backup() -> Backup:
                seen = {"revision": snapshot.revision, "size": snapshot.size, "sha256": snapshot.sha256}
                return about.model_copy(update=seen | {"encryption_keys": keys})

            backup = folder.store(about.name, snapshot.size, snapshot, whole_backup, self.work)
            self._thin(folder, about.cluster)
            return backup

    def _copy(self, backup: Backup, place: str, other: str) -> None:
        """Keep it on another host, too; where that can't be, one has it."""
        try:
            with self.session(place) as here, self.session(other) as there:
                folder = self._folder(there, other)
                parts = self._folder(here, place).parts(backup)
                folder.store(backup.name, backup.size, parts, lambda: backup, self.work)
                self._thin(folder, backup.cluster)
        except (HostError, ShellError) as error:
            self.work.info(f"{backup.name} is kept on {place} alone: {error}")

    def _folder(self, session: HostSession, place: str) -> BackupFolder:
        folder = self.folder(session)
        if folder is None:
            raise HostError(f"{place} has no storage of instance {self.mark.instance}; `azlocal up` makes it")
        return folder

    def _backups(self, session: HostSession) -> list[Backup]:
        folder = self.folder(session)
        return folder.listed() if folder else []

    def _thin(self, folder: BackupFolder, cluster: str) -> None:
        """Remove what is too many; that it can't be is no reason to call the new one a failure."""
        try:
            for old in surplus(folder.listed(), cluster):
                folder.remove(old.name)
            folder.clear()
        except ShellError as error:
            self.work.info(f"{folder.shell.host}: older snapshots can't be removed: {error}")


def etcd_of(placement: NodePlacementInputs, addresses: Mapping[str, str]) -> Etcd:
    """Return the members of a cluster's etcd on some of its control planes, whose addresses these are, by name."""
    keys = placement.etcd_keys
    urls = {name: f"https://{address}:{PORT}" for name, address in addresses.items()}
    return Etcd(urls, keys["etcd/ca.crt"], etcd_client(keys))


def _keys_in(etcd: Etcd, machine: str) -> tuple[str, ...] | None:
    """Return under which keys a member has Secrets, as `Backup` has them; None where it doesn't say."""
    try:
        return tuple(sorted(keys_in_use(etcd.values(PREFIX, machine))))
    except EtcdError:
        return None


def _by_merit(etcd: Etcd) -> list[str]:
    """Return the machines whose members answer, the one that has most first."""
    revisions = etcd.revisions()
    return sorted(revisions, key=lambda machine: (-revisions[machine], machine))
