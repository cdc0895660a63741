"""What an instance keeps in its storage directory on a host, and which entries there are azlocal's to delete.

The folder may have been there before, with somebody's files in it. So nothing is deleted by its place alone: only
what has a name that azlocal gives, `image-…` and `<instance>-…`, and what else there is stops the removal.
"""

from __future__ import annotations

import re
from typing import Final

from infra.kvm.errors import HostError
from infra.kvm.seeds import SEED_VOLUME, shred
from infra.ssh import Shell

VOLUMES: Final = "volumes"
"""The folder of the instance's storage pool: images, disks, the seeds of VMs."""

SEEDS: Final = "seeds"
"""The folder that has a folder for each container's seed."""

DATA: Final = "data"
"""The folder that has a folder for each container's data volume."""

BACKUPS: Final = "backups"
"""The folder of snapshots of the instance's clusters."""

_FOLDERS: Final = (VOLUMES, SEEDS, DATA, BACKUPS)
_SAFE: Final = re.compile(r"[A-Za-z0-9._-]+")


def refuse_foreign(shell: Shell, directory: str, instance: str) -> None:
    """Refuse to go on where there is something that azlocal did not make.

    Raises:
        HostError: there is; the message names it.
    """
    for folder in _FOLDERS:
        if foreign := [name for name in _entries(shell, f"{directory}/{folder}") if not _is_own(name, instance)]:
            raise HostError(
                f"{shell.host}: {directory}/{folder} holds files that azlocal did not make: {', '.join(foreign)}. "
                "Move them away, then run the same command again."
            )


def remove(shell: Shell, directory: str, instance: str) -> None:
    """Delete what is azlocal's in the folders, and these if that empties them; seeds are overwritten."""
    for folder in _FOLDERS:
        path = f"{directory}/{folder}"
        for name in _own(shell, path, instance):
            if folder == SEEDS or name.endswith(SEED_VOLUME):
                shred(shell, f"{path}/{name}")
            shell.remove_tree(f"{path}/{name}")
        if shell.exists(path):
            shell.run(["rmdir", "--ignore-fail-on-non-empty", "--", path])


def _own(shell: Shell, folder: str, instance: str) -> list[str]:
    return [name for name in _entries(shell, folder) if _is_own(name, instance)]


def _is_own(name: str, instance: str) -> bool:
    return name.startswith(("image-", f"{instance}-")) and _SAFE.fullmatch(name) is not None


def _entries(shell: Shell, folder: str) -> list[str]:
    if not shell.exists(folder):
        return []
    return shell.run(["ls", "--almost-all", "--escape", "--", folder]).stdout.splitlines()
