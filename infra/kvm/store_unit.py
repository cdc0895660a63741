"""systemd's unit that mounts a host's store after each boot, before libvirt starts what lies on it.

Without it, machines that start with their host wouldn't: their disks aren't there yet. Where no systemd runs, the
next `up` mounts the store and starts them.
"""

from __future__ import annotations

from typing import Final

from infra.kvm import systemd
from infra.ssh import Shell

_LIBVIRT: Final = "libvirtd.service virtqemud.service virtlxcd.service virtstoraged.service"


def install(shell: Shell, image: str, directory: str, options: str) -> None:
    """Have systemd mount the image onto the folder at each boot; it is left as it is now."""
    if systemd.is_init(shell):
        systemd.install_unit(shell, _name(shell, directory), _unit(image, directory, options))


def uninstall(shell: Shell, directory: str) -> None:
    """Take the unit away; what is mounted stays so."""
    if systemd.is_init(shell):
        systemd.remove_unit(shell, _name(shell, directory))


def _unit(image: str, directory: str, options: str) -> str:
    what, where = (path.replace("%", "%%") for path in (image, directory))
    return f"""\
# azlocal: the disks of an instance. Made by `up`, taken away by a destroy.
[Unit]
Description=Disks of azlocal machines in {where}
Before={_LIBVIRT}

[Mount]
What={what}
Where={where}
Type=xfs
Options={options}

[Install]
WantedBy=multi-user.target
"""


def _name(shell: Shell, directory: str) -> str:
    """Return the unit's name, which is the folder's as systemd writes it."""
    return shell.run(["systemd-escape", "--path", "--suffix=mount", "--", directory]).stdout.strip()
