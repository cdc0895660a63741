"""This machine as a host."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from infra.files import replace_file
from infra.ssh.errors import NOT_FOUND, CommandError, FileError, FileMissing
from infra.ssh.process import Process
from infra.ssh.shell import (
    COMMAND_SECONDS,
    DIAL_SECONDS,
    USER_NAME,
    CommandResult,
    Connection,
    checked,
    removal,
)

_AFTER_KILL_SECONDS: Final = 5


class LocalShell:
    """Commands and files of this machine."""

    _user: str | None = None

    @property
    def host(self) -> str:
        """Return the name that messages show."""
        return "this machine"

    @property
    def ssh_arguments(self) -> None:
        """Return None: no ssh leads to this machine."""
        return None

    def login_name(self) -> str:
        """Return the name of whoever this process runs as."""
        if self._user is None:
            self._user = self.run(USER_NAME).stdout.strip()
        return self._user

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout: float = COMMAND_SECONDS,
        check: bool = True,
    ) -> CommandResult:
        """Run a command in a process group of its own, so that a timeout ends its children too."""
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError) as error:
            return checked(self.host, CommandResult(tuple(argv), NOT_FOUND, "", str(error)), check)
        with process:
            try:
                stdout, stderr = process.communicate(input, timeout)
            except subprocess.TimeoutExpired as error:
                os.killpg(process.pid, signal.SIGKILL)
                stdout, stderr = _rest(process)
                raise CommandError(self.host, argv, None, _text(stdout), _text(stderr)) from error
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        result = CommandResult(tuple(argv), process.returncode, _text(stdout), _text(stderr))
        return checked(self.host, result, check)

    def start(self, argv: Sequence[str]) -> Process:
        """Start a command."""
        return Process(self.host, argv, argv, over_ssh=False)

    def read_file(self, path: str) -> bytes:
        """Return a file's content."""
        try:
            return Path(path).read_bytes()
        except FileNotFoundError as error:
            raise FileMissing(f"{self.host}: {path}: no such file") from error
        except OSError as error:
            raise FileError(f"{self.host}: {path} can't be read: {error.strerror}") from error

    def write_file(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file beside its place, then move it there."""
        try:
            replace_file(Path(path), data, mode)
        except OSError as error:
            raise FileError(f"{self.host}: {path} can't be written: {error.strerror}") from error

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        """Make a folder and its parents."""
        try:
            Path(path).mkdir(parents=True, exist_ok=True)
            Path(path).chmod(mode)
        except OSError as error:
            raise FileError(f"{self.host}: the folder {path} can't be made: {error.strerror}") from error

    def remove_tree(self, path: str) -> None:
        """Remove a file or a folder."""
        self.run(removal(self.host, path), timeout=600)

    def exists(self, path: str) -> bool:
        """Return whether there is something at the path."""
        return os.path.lexists(path)

    def dial(self, address: str, port: int, *, timeout: float = DIAL_SECONDS) -> Connection:
        """Open a TCP connection."""
        return socket.create_connection((address, port), timeout)

    def close(self) -> None:
        """Nothing stays open."""


def _rest(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Collect what a killed command said; a child that left its group could hold the pipes open for ever."""
    try:
        return process.communicate(timeout=_AFTER_KILL_SECONDS)
    except subprocess.TimeoutExpired as error:
        return error.stdout or b"", error.stderr or b""


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
