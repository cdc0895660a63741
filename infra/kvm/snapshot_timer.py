"""A host's timer that takes snapshots of a cluster's etcd, and what it needs: files of root's, and two units.

The host pulls: it outlives the machines, which have no way in, and keeps what they lose. What it needs for that is
a client's certificate of the cluster's etcd, which lets root on the host read what it could read on their disks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from pydantic import ValidationError

from infra.certificates import KeyPair
from infra.kvm import systemd
from infra.kvm.host_folders import BACKUPS
from infra.kvm.seeds import shred
from infra.model.backup import SCHEDULED, ScheduleStatus
from infra.ssh import Shell, read_if_there

_SCRIPT: Final = files("infra.kvm").joinpath("files", "take_snapshot.py")
_KEY: Final = "client.key"


@dataclass(frozen=True)
class SnapshotTimer:
    """The timer of a cluster on a host.

    Attributes:
        shell: The host's, as root.
        directory: The instance's storage directory there.
        instance: The instance.
        cluster: The cluster's name in it.
    """

    shell: Shell
    directory: str
    instance: str
    cluster: str

    @property
    def folder(self) -> str:
        """Return where its files are: among the snapshots, with a name that is azlocal's."""
        return _folder(self.directory, self.instance, self.cluster)

    @property
    def command(self) -> list[str]:
        """Return what takes a snapshot now."""
        return ["python3", f"{self.folder}/take-snapshot", self.folder]

    @property
    def runs(self) -> bool:
        """Return whether something takes snapshots by it: systemd, where that is the host's init."""
        return systemd.is_init(self.shell)

    def install(
        self, members: Sequence[str], ca_hash: str, authority: str, client: KeyPair, hours: int, keep: int
    ) -> None:
        """Have snapshots taken.

        Args:
            members: Of etcd, as ADDRESS:PORT.
            ca_hash: The pin of the cluster's authority.
            authority: Of its etcd, PEM.
            client: Whom that lets in.
            hours: Between two of them.
            keep: How many stay.
        """
        about = {"instance": self.instance, "cluster": self.cluster, "caHash": ca_hash, "reason": SCHEDULED}
        settings = {"members": [*members], "keep": keep, "about": about}
        self.shell.make_directory(f"{self.directory}/{BACKUPS}", mode=0o700)
        self.shell.make_directory(self.folder, mode=0o700)
        contents: Mapping[str, bytes] = {
            "take-snapshot": _SCRIPT.read_bytes(),
            "settings.json": json.dumps(settings).encode(),
            "ca.crt": authority.encode(),
            "client.crt": client.certificate.encode(),
            _KEY: client.key.encode(),
        }
        for name, content in contents.items():
            self.shell.write_file(f"{self.folder}/{name}", content, mode=0o600)
        if self.runs:
            unit = _unit(self.instance, self.cluster)
            systemd.install_unit(self.shell, f"{unit}.service", self._service())
            systemd.install_unit(self.shell, f"{unit}.timer", self._timer(hours))
            self.shell.run(["systemctl", "restart", "--", f"{unit}.timer"])

    def stands(self) -> bool:
        """Return whether its files are there, and its timer where systemd runs."""
        if not self.shell.exists(f"{self.folder}/{_KEY}"):
            return False
        check = ["systemctl", "--quiet", "is-active", "--", f"{_unit(self.instance, self.cluster)}.timer"]
        return not self.runs or self.shell.run(check, check=False).exit_code == 0

    def status(self) -> ScheduleStatus:
        """Return how its last try ended."""
        path = status_file(self.directory, self.instance, self.cluster)
        return read_status(path, read_if_there(self.shell, path) or b"{}")

    def remove(self) -> None:
        """Have none taken any more; those that were taken stay."""
        remove_units(self.shell, self.instance, self.cluster)
        if self.shell.exists(self.folder):
            if self.shell.exists(f"{self.folder}/{_KEY}"):
                shred(self.shell, f"{self.folder}/{_KEY}")
            self.shell.remove_tree(self.folder)

    def _service(self) -> str:
        return f"""\
# azlocal: made by `up`, taken away by a destroy.
[Unit]
Description=Snapshot of etcd of cluster {self.cluster} of the azlocal instance {self.instance}
After=network-online.target libvirtd.service virtqemud.service virtlxcd.service
RequiresMountsFor={systemd.quoted(self.folder)}

[Service]
Type=oneshot
TimeoutStartSec=15min
Nice=10
IOSchedulingClass=idle
ExecStart={systemd.command_line(["/usr/bin/env", *self.command])}
"""

    def _timer(self, hours: int) -> str:
        # Persistent: what was due while the host was off is taken when it is back.
        return f"""\
# azlocal: made by `up`, taken away by a destroy.
[Unit]
Description=Snapshots of etcd of cluster {self.cluster} of the azlocal instance {self.instance}

[Timer]
OnCalendar=*-*-* 0/{hours}:00:00
RandomizedDelaySec={min(hours * 600, 3600)}
FixedRandomDelay=true
Persistent=true

[Install]
WantedBy=timers.target
"""


def status_file(directory: str, instance: str, cluster: str) -> str:
    """Return where a cluster's timer on a host notes how its last try ended."""
    return f"{_folder(directory, instance, cluster)}/status.json"


def read_status(path: str, content: bytes) -> ScheduleStatus:
    """Return what such a note says; one that can't be read is a failure, too."""
    try:
        return ScheduleStatus.model_validate_json(content)
    except ValidationError as error:
        return ScheduleStatus(failure=f"{path} can't be read: {error}")


def _folder(directory: str, instance: str, cluster: str) -> str:
    return f"{directory}/{BACKUPS}/{instance}-{cluster}.schedule"


def remove_units(shell: Shell, instance: str, cluster: str) -> None:
    """Have a host take no snapshots of a cluster any more."""
    if systemd.is_init(shell):
        unit = _unit(instance, cluster)
        shell.run(["systemctl", "--quiet", "stop", "--", f"{unit}.timer"], check=False)
        for ending in ("timer", "service"):
            systemd.remove_unit(shell, f"{unit}.{ending}")


UNITS: Final = "azlocal-snapshots-"
"""What the names of all units begin with."""


def unit_prefix(instance: str) -> str:
    """Return what the names of an instance's units begin with; those of other instances may, too."""
    return f"{UNITS}{instance}-"


def _unit(instance: str, cluster: str) -> str:
    return f"{unit_prefix(instance)}{cluster}"
