"""A host over SSH: one connection, many channels."""

from __future__ import annotations

import contextlib
import posixpath
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import paramiko

from infra.ssh.command_loop import CommandLoop
from infra.ssh.errors import MOST_BYTES, FileError, FileMissing, SshError, TooMuchOutput
from infra.ssh.file_session import FileSession
from infra.ssh.login import log_in
from infra.ssh.network import NETWORK_ERRORS
from infra.ssh.options import SshOptions, SshTarget, resolve
from infra.ssh.process import Process, ssh_command
from infra.ssh.session_pool import SessionPool
from infra.ssh.shared import Shared
from infra.ssh.shell import (
    COMMAND_SECONDS,
    DIAL_SECONDS,
    USER_NAME,
    CommandResult,
    Connection,
    Dial,
    checked,
    removal,
)

_FORBIDDEN: Final = 1
"""What a server answers that administratively prohibits a channel (RFC 4254)."""
_PART_BYTES: Final = 1 << 15
_Result = TypeVar("_Result")


class _Broken(SshError):
    """A connection that stood broke."""


class SshShell:
    """Commands and files of a host over SSH, by the user's own SSH configuration, keys and known hosts."""

    def __init__(self, target: SshTarget, options: SshOptions | None = None, dial: Dial | None = None) -> None:
        """Reach a host by the user's configuration, or by `options` instead; by `dial`, where that is given."""
        self._target = target
        self._options = options
        self._dial = dial
        self._client = Shared(self._log_in, _is_active, paramiko.SSHClient.close)
        self._known_user: tuple[paramiko.Transport, str] | None = None
        self._sessions = SessionPool(self.host, self._connected)

    @property
    def host(self) -> str:
        """Return the host's name, as the user wrote it."""
        return str(self._target)

    @property
    def ssh_arguments(self) -> list[str]:
        """Return what tells the ssh command the way to the host, by the same configuration."""
        return self._options.arguments() if self._options else self._target.arguments()

    def login_name(self) -> str:
        """Return who logs in; each connection is asked once: the next may be to a host that was replaced."""
        connection = self._connected()
        if self._known_user is None or self._known_user[0] is not connection:
            self._known_user = connection, self.run(USER_NAME).stdout.strip()
        return self._known_user[1]

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout: float = COMMAND_SECONDS,
        check: bool = True,
    ) -> CommandResult:
        """Run a command."""
        with self._sessions.lend(CommandLoop) as loop:
            result = loop.run(argv, input, timeout)
        return checked(self.host, result, check)

    def start(self, argv: Sequence[str]) -> Process:
        """Start a command over a connection of its own, by the ssh command: it carries far more than paramiko."""
        return Process(self.host, argv, ssh_command(self.ssh_arguments, argv), over_ssh=True)

    def read_file(self, path: str) -> bytes:
        """Return a file's content."""

        def read(sftp: paramiko.SFTPClient) -> bytes:
            with sftp.open(path, "rb") as file:
                data, size = bytearray(), file.stat().st_size or 0
                if size <= MOST_BYTES:
                    file.prefetch(size)
                    while len(data) <= MOST_BYTES:  # the host may not have told the truth
                        part = file.read(_PART_BYTES)
                        if not part:
                            return bytes(data)
                        data += part
            raise TooMuchOutput(self.host, path)

        return self._looking(f"{path} can't be read", read)

    def write_file(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file beside its place, then move it there."""
        folder, name = posixpath.split(path)
        temporary = posixpath.join(folder, f".{name}.{secrets.token_hex(6)}")

        def write(sftp: paramiko.SFTPClient) -> None:
            try:
                with sftp.open(temporary, "wx") as file:
                    file.chmod(mode)
                    file.set_pipelined(True)
                    file.write(data)
                sftp.posix_rename(temporary, path)
            except BaseException:
                with contextlib.suppress(*NETWORK_ERRORS):
                    sftp.remove(temporary)
                raise

        self._with_files(f"{path} can't be written", write)

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        """Make a folder and its parents."""
        self.run(["install", "--directory", f"--mode={mode:o}", "--", path])

    def remove_tree(self, path: str) -> None:
        """Remove a file or a folder."""
        self.run(removal(self.host, path), timeout=600)

    def exists(self, path: str) -> bool:
        """Return whether there is something at the path."""
        try:
            self._looking(f"{path} can't be looked at", lambda sftp: sftp.lstat(path))
        except FileMissing:
            return False
        return True

    def dial(self, address: str, port: int, *, timeout: float = DIAL_SECONDS) -> Connection:
        """Open a TCP connection from the host to an address it reaches.

        Raises:
            OSError: the host says why it can't.
            SshError: the host itself doesn't answer, or forbids such connections.
        """
        deadline = time.monotonic() + timeout
        transport = self._connected()
        try:
            return transport.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=timeout)
        except paramiko.ChannelException as error:
            if error.code == _FORBIDDEN:
                raise SshError(
                    f"{self.host}: sshd there forbids connections through it, and machines are checked that way: "
                    "set `AllowTcpForwarding yes` in /etc/ssh/sshd_config"
                ) from error
            raise OSError(f"{self.host} can't connect to it") from error
        except (paramiko.SSHException, EOFError) as error:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{self.host} gets no answer from {address}") from error
            raise ConnectionError(f"{self.host}: {error}") from error

    def close(self) -> None:
        """End the connection; the next use opens a new one."""
        self._sessions.close()
        self._client.forget()

    def _log_in(self) -> paramiko.SSHClient:
        return log_in(self._target, self._options or resolve(self._target), self._dial)

    def _connected(self) -> paramiko.Transport:
        transport = self._client.get().get_transport()
        if transport is None:
            raise SshError(f"{self.host}: the SSH connection broke right after the login")
        return transport

    def _looking(self, what: str, action: Callable[[paramiko.SFTPClient], _Result]) -> _Result:
        """Do what changes nothing, and so may be done once more where the connection breaks meanwhile."""
        try:
            return self._with_files(what, action)
        except _Broken:
            return self._with_files(what, action)

    def _with_files(self, what: str, action: Callable[[paramiko.SFTPClient], _Result]) -> _Result:
        with self._sessions.lend(FileSession) as session:
            try:
                return action(session.files)
            except FileNotFoundError as error:
                raise FileMissing(f"{self.host}: {what}: no such file or folder") from error
            except OSError as error:
                raise FileError(f"{self.host}: {what}: {error.strerror or error}") from error
            except (paramiko.SSHException, EOFError) as error:
                session.close()
                raise _Broken(f"{self.host}: {what}: the SSH connection broke: {error}") from error


def _is_active(client: paramiko.SSHClient) -> bool:
    transport = client.get_transport()
    return transport is not None and transport.is_active()
