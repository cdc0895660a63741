"""What a lab is called everywhere, so that every part of it can be found again and proven gone."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path("/var/lib/azlocal-lab")
"""The labs' disks, a folder each."""

GROUP: Final = "azlocal-lab"
"""The control group over all labs."""

BOOT: Final = "infra.lab.boot"
"""The module that is a host's first process."""

SUBNETS: Final = "10.199"
CONTROLLER: Final = 1
FIRST_HOST: Final = 11
MOST_HOSTS: Final = 16

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?")


class LabError(Exception):
    """The lab can't be made, or something in it doesn't do what it must."""


def check_name(name: str) -> str:
    """Return a lab's name.

    Raises:
        LabError: it can't be one.
    """
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} can't name a lab: write 1-20 lower case letters, digits and hyphens")
    return name


def folder(lab: str) -> Path:
    """Return where a lab's files lie: a disk for each host, and what reaches them."""
    return FOLDER / lab


def switch_namespace(lab: str) -> str:
    """Return the network namespace in which the lab's switch stands."""
    return f"{GROUP}-{lab}"


def controller_link(lab: str) -> str:
    """Return this machine's interface on the lab's switch: at most 15 characters, so drawn from the name."""
    return f"azlab{hashlib.sha256(lab.encode()).hexdigest()[:8]}"


def client_config(lab: str) -> Path:
    """Return the file by which OpenSSH on this machine (and so libvirt and azlocal) knows the lab's hosts."""
    return Path(f"/etc/ssh/ssh_config.d/{GROUP}-{lab}.conf")


def boot_arguments(lab: str, host: str | None = None) -> tuple[str, ...]:
    """Return the words in the command line of a host's first process, or of any of the lab's, and nowhere else."""
    return ("-m", BOOT, lab) + ((host,) if host else ())
