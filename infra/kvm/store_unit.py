"""systemd's unit that mounts a host's store after each boot, before libvirt starts what lies on it.

Without it, machines that start with their host wouldn't: their disks aren't there yet. Where no systemd runs, the
next `up` mounts the store and starts them.
"""

from __future__ import annotations

from typing import Final

from infra.ssh import FileMissing, Shell

_RUNS: Final = "/run/systemd/system"
"""There only where systemd is the init (sd_booted(3))."""
_UNITS: Final = "/etc/systemd/system"
_LIBVIRT: Final = "libvirtd.service virtqemud.service virtlxcd.service virtstoraged.service"


def install(shell: Shell, image: str, directory: str, options: str) -> None:
    """Have systemd mount the image onto the folder at each boot; it is left as it is now."""
    if not shell.exists(_RUNS):
        return
    path = _path(shell, directory)
    wanted = _unit(image, directory, options)
    if _content(shell, path) == wanted:
        return
    shell.write_file(path, wanted.encode(), mode=0o644)
    shell.run(["systemctl", "daemon-reload"])
    shell.run(["systemctl", "--quiet", "enable", "--", path.rpartition("/")[2]])


def uninstall(shell: Shell, directory: str) -> None:
    """Take the unit away; what is mounted stays so."""
    if not shell.exists(_RUNS):
        return
    path = _path(shell, directory)
    if not shell.exists(path):
        return
    shell.run(["systemctl", "--quiet", "disable", "--", path.rpartition("/")[2]])
    shell.run(["rm", "--force", "--", path])
    shell.run(["systemctl", "daemon-reload"])


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


def _path(shell: Shell, directory: str) -> str:
    """Return the unit's file: its name is the folder's, as systemd writes it."""
    name = shell.run(["systemd-escape", "--path", "--suffix=mount", "--", directory]).stdout.strip()
    return f"{_UNITS}/{name}"


def _content(shell: Shell, path: str) -> str:
    try:
        return shell.read_file(path).decode()
    except FileMissing:
        return ""
