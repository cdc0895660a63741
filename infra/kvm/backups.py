"""Snapshots of clusters' etcd in a folder of a host or a machine: root's alone, and whole or not there.

Each is `NAME.db`, a file that `etcdutl snapshot restore` takes, and `NAME.json`, what is known of it.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from pydantic import ValidationError

from infra.kvm.errors import HostError
from infra.kvm.host_folders import BACKUPS
from infra.model.backup import Backup
from infra.model.work import Work
from infra.ssh import Shell

_TAKE: Final = files("infra.kvm").joinpath("files", "take-file.sh")
_PATIENCE_SECONDS: Final = 600.0  # nothing is heard before the last byte is on the disk
_LINE: Final = 1 << 16
_CLEAR: Final = """
find "$1" -maxdepth 1 -type f -mmin +60 \\( -name '.*.part' -o -name '*.db' \\) | while read -r file; do
    [ -e "${file%.db}.json" ] || rm -f -- "$file"
done
"""


@dataclass(frozen=True)
class BackupFolder:
    """A folder of snapshots.

    Attributes:
        shell: Of whoever has it, as root.
        path: Where it is there.
    """

    shell: Shell
    path: str

    @classmethod
    def of(cls, shell: Shell, storage_directory: str) -> BackupFolder:
        """Return the folder of an instance on a host."""
        return cls(shell, f"{storage_directory}/{BACKUPS}")

    def listed(self) -> list[Backup]:
        """Return the snapshots in it, the oldest first; what says nothing of itself isn't one."""
        if not self.shell.exists(self.path):
            return []
        return parse_backups(self.shell.run(listing(self.path)).stdout)

    def store(
        self, name: str, size: int, parts: Iterable[bytes], about: Callable[[], Backup], work: Work
    ) -> Backup:
        """Store a snapshot as it comes; return what is known of it then.

        Args:
            name: What it is called.
            size: Of the file, in bytes.
            parts: The file. Where taking them fails, nothing is stored.
            about: Says what is known of it, once all parts were taken.
            work: Until when, and who may stop it.

        Raises:
            ShellError: It can't be written there: a full disk, a connection that broke.
        """
        known: list[Backup] = []

        def feed() -> Iterator[bytes]:
            sent = 0
            for part in parts:
                sent += len(part)
                work.status(f"{name}: {sent >> 20} of {size >> 20} MiB to {self.shell.host}")
                yield part
            backup = about()
            known.append(backup)
            yield f"{backup.sha256}\n{backup.model_dump_json(by_alias=True)}\n".encode()

        self.shell.make_directory(self.path, mode=0o700)
        command = ["sh", "-c", _TAKE.read_text(encoding="utf-8"), "take-file", self.path, name, str(size)]
        with self.shell.start(command) as process:
            for _ in process.lines(feed(), patience=_PATIENCE_SECONDS):
                work.check(f"storing {name}")
        return known[0]

    def parts(self, backup: Backup) -> Iterator[bytes]:
        """Yield a snapshot's file, part by part.

        Raises:
            HostError: It isn't what was stored.
            ShellError: It can't be read.
        """
        digest = hashlib.sha256()
        command = ["base64", f"--wrap={_LINE}", "--", f"{self.path}/{backup.name}.db"]
        with self.shell.start(command) as process:
            for line in process.lines(patience=_PATIENCE_SECONDS):
                if line:
                    part = b64decode(line)
                    digest.update(part)
                    yield part
        if digest.hexdigest() != backup.sha256:
            raise HostError(
                f"{self.shell.host}: {self.path}/{backup.name}.db is damaged: its sha256 is {digest.hexdigest()}, "
                f"and was {backup.sha256}. Take another snapshot of the list"
            )

    def remove(self, name: str) -> None:
        """Remove a snapshot; first what tells of it, so that half a removal leaves none that looks whole."""
        for ending in ("json", "db"):
            self.shell.run(["rm", "--force", "--", f"{self.path}/{name}.{ending}"])

    def clear(self) -> None:
        """Remove what a killed run left, an hour ago or more: another one may be at work."""
        self.shell.run(["sh", "-c", _CLEAR, "sh", self.path])


def listing(path: str) -> tuple[str, ...]:
    """Return the command that prints what is known of each snapshot in a folder."""
    return ("find", path, "-maxdepth", "1", "-name", "*.json", "-exec", "cat", "{}", "+")


def parse_backups(text: str) -> list[Backup]:
    """Read what that command prints, the oldest snapshot first."""
    return sorted(filter(None, map(_parsed, text.splitlines())), key=lambda backup: backup.taken)


def _parsed(line: str) -> Backup | None:
    try:
        return Backup.model_validate_json(line)
    except ValidationError:
        return None
