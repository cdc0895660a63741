"""What can be done on a host, whichever way it is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from infra.ssh.errors import CommandError, FileError, FileMissing
from infra.ssh.process import Process

COMMAND_SECONDS: Final = 60.0
DIAL_SECONDS: Final = 10.0
ASK_SECONDS: Final = 10.0
USER_NAME: Final = ("id", "--user", "--name")


@dataclass(frozen=True)
class CommandResult:
    """What a command did."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str


class Connection(Protocol):
    """A byte stream to an address: a socket, or a channel through an SSH connection."""

    def recv(self, count: int, /) -> bytes:
        """Return at most `count` bytes; none at the end."""

    def send(self, data: bytes, /) -> int:
        """Send some of the bytes; return how many."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Limit each following call."""

    def close(self) -> None:
        """End it."""


class Dial(Protocol):
    """Opens a connection from where the host stands. Failing, it raises OSError with the network's own reason."""

    def __call__(self, address: str, port: int, *, timeout: float = DIAL_SECONDS) -> Connection:
        """Open a connection to the address."""


class Shell(Protocol):
    """Commands and files on one host. Thread-safe."""

    @property
    def host(self) -> str:
        """Return the host's name, as messages show it."""

    @property
    def ssh_arguments(self) -> Sequence[str] | None:
        """Return what tells the ssh command the way to the host; None for this machine."""

    def login_name(self) -> str:
        """Return the name of whoever commands run as."""

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout: float = COMMAND_SECONDS,
        check: bool = True,
    ) -> CommandResult:
        """Run a command, untouched by any shell, with messages in English.

        Raises:
            CommandError: it failed (unless `check` is False), or didn't end within `timeout` seconds.
            TooMuchOutput: a host over SSH told more than this machine should keep.
        """

    def start(self, argv: Sequence[str]) -> Process:
        """Start a command that takes its input and tells its output as it goes; it is the caller's to close.

        Raises:
            SshError: it can't be started.
        """

    def read_file(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            FileMissing: there is none.
            TooMuchOutput: over SSH, it is larger than this machine should keep.
        """

    def write_file(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file, so that others see the old content or the new one and nothing between."""

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        """Make a folder and its parents; one that is there gets the mode."""

    def remove_tree(self, path: str) -> None:
        """Remove a file, or a folder with all it holds on its own file system; nothing there is fine."""

    def exists(self, path: str) -> bool:
        """Return whether there is something at the path."""

    def dial(self, address: str, port: int, *, timeout: float = DIAL_SECONDS) -> Connection:
        """Open a connection as the host itself would."""

    def close(self) -> None:
        """Release what is open. The shell may be used again afterwards."""


def read_if_there(shell: Shell, path: str) -> bytes | None:
    """Return a file's content, None where there is none."""
    try:
        return shell.read_file(path)
    except FileMissing:
        return None


def checked(host: str, result: CommandResult, check: bool) -> CommandResult:
    """Return the result of a command that was allowed to fail, or didn't.

    Raises:
        CommandError: it failed and wasn't allowed to.
    """
    if check and result.exit_code != 0:
        raise CommandError(host, result.argv, result.exit_code, result.stdout, result.stderr)
    return result


def removal(host: str, path: str) -> list[str]:
    """Return the command that removes a tree; it never follows a mount into another file system.

    Raises:
        FileError: the path is one that nobody can mean.
    """
    if not path.startswith("/") or not path.strip("/") or ".." in path.split("/"):
        raise FileError(f"{host}: refusing to remove {path!r}: not a full path below /")
    return ["rm", "--recursive", "--force", "--one-file-system", "--", path]
