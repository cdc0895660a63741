"""Commands, files and addresses of a host, be it this machine or one over SSH.

paramiko, a tenth of a second of imports, is loaded where a host is really reached over SSH: most are this machine.
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit as _urlsplit

from infra.ssh.errors import (
    CommandError,
    FileError,
    FileMissing,
    HostKeyChanged,
    HostKeyRevoked,
    HostKeyUnknown,
    LoginRefused,
    ShellError,
    SshError,
    TooMuchOutput,
)
from infra.ssh.hostkey import (
    HostKeyError,
    HostKeyRefused,
    HostKeyTimeout,
    HostKeyWaitCancelled,
    NotSsh,
    WrongHostKey,
    fingerprint,
    wait_for_host_key,
)
from infra.ssh.local import LocalShell
from infra.ssh.machine import MachineTarget, machine_shell
from infra.ssh.options import parse_target
from infra.ssh.process import Process
from infra.ssh.shared import Shared
from infra.ssh.shell import DIAL_SECONDS, CommandResult, Connection, Dial, Shell, read_if_there
from infra.ssh.sudo import RootShell
from infra.ssh.tunnel import port_tunnel

if TYPE_CHECKING:
    from infra.ssh.remote import SshShell

__all__ = [
    "DIAL_SECONDS",
    "CommandError",
    "CommandResult",
    "Connection",
    "Dial",
    "FileError",
    "FileMissing",
    "HostKeyChanged",
    "HostKeyError",
    "HostKeyRefused",
    "HostKeyRevoked",
    "HostKeyTimeout",
    "HostKeyUnknown",
    "HostKeyWaitCancelled",
    "LocalShell",
    "LoginRefused",
    "MachineTarget",
    "NotSsh",
    "Process",
    "RootShell",
    "Shared",
    "Shell",
    "ShellError",
    "SshError",
    "SshShell",
    "TooMuchOutput",
    "WrongHostKey",
    "fingerprint",
    "machine_shell",
    "port_tunnel",
    "read_if_there",
    "root_shell",
    "shell_for",
    "wait_for_host_key",
]

_LOCAL = frozenset({"", "unix"})
_OVER_SSH = frozenset({"ssh", "libssh", "libssh2"})


def shell_for(connection: str) -> Shell:
    """Return the shell of the host that a libvirt URI names.

    Raises:
        SshError: libvirt's way to that host carries no commands.
    """
    transport = connection.partition(":")[0].partition("+")[2]
    if transport in _OVER_SSH:
        from infra.ssh.remote import SshShell

        return SshShell(parse_target(connection))
    parts = _urlsplit(connection)
    if transport in _LOCAL and not parts.netloc:
        return LocalShell()
    raise SshError(
        f"{connection}: azlocal needs commands and files of the host beside libvirt, which this way doesn't "
        f"carry: write qemu+ssh://root@{parts.hostname or 'HOST'}/system"
    )


def root_shell(connection: str) -> Shell:
    """Return the shell of a host as root: over SSH through sudo, where another user logs in.

    Raises:
        SshError: as `shell_for`.
    """
    shell = shell_for(connection)
    return shell if isinstance(shell, LocalShell) else RootShell(shell)


def __getattr__(name: str) -> object:
    if name == "SshShell":
        from infra.ssh.remote import SshShell

        return SshShell
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
