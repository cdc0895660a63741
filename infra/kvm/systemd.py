"""Units of ours on a host where systemd is the init; elsewhere nothing is done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from infra.ssh import Shell, read_if_there

_RUNS: Final = "/run/systemd/system"
"""There only where systemd is the init (sd_booted(3))."""
_UNITS: Final = "/etc/systemd/system"


def is_init(shell: Shell) -> bool:
    """Return whether a host's init is systemd."""
    return shell.exists(_RUNS)


def install_unit(shell: Shell, name: str, content: str) -> None:
    """Have a unit at each boot from the next one on; what runs now is left alone."""
    path = f"{_UNITS}/{name}"
    if read_if_there(shell, path) == content.encode():
        return
    shell.write_file(path, content.encode(), mode=0o644)
    shell.run(["systemctl", "daemon-reload"])
    shell.run(["systemctl", "--quiet", "enable", "--", name])


def remove_unit(shell: Shell, name: str) -> None:
    """Take a unit away, if it is there; what it started stays."""
    path = f"{_UNITS}/{name}"
    if not shell.exists(path):
        return
    shell.run(["systemctl", "--quiet", "disable", "--", name])
    shell.run(["rm", "--force", "--", path])
    shell.run(["systemctl", "daemon-reload"])


def quoted(text: str) -> str:
    """Return text as one word of a unit's line (systemd.syntax(7), systemd.unit(5) on specifiers)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def command_line(argv: Iterable[str]) -> str:
    """Return a command as ExecStart has it, where `$` would name a variable (systemd.service(5))."""
    return " ".join(quoted(word).replace("$", "$$") for word in argv)
