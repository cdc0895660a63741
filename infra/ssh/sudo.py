"""A host as root, whoever logs in: each command through `sudo -n` where the login isn't root's."""

from __future__ import annotations

import base64
import posixpath
import secrets
import threading
from collections.abc import Sequence
from typing import Final

from infra.ssh.errors import CommandError, FileError, FileMissing, LoginRefused
from infra.ssh.process import Process
from infra.ssh.shell import COMMAND_SECONDS, DIAL_SECONDS, CommandResult, Connection, Shell, checked, removal

_ROOT: Final = "root"
_SUDO: Final = ("sudo", "-n", "env", "LC_ALL=C")
"""sudo drops the environment; messages stay in English."""


class RootShell:
    """A shell as root; finds out at its first use whether it takes sudo for that."""

    def __init__(self, shell: Shell) -> None:
        """Wrap the shell of whoever logs in."""
        self._shell = shell
        self._asking = threading.Lock()
        self._allowed: str | None = None

    @property
    def host(self) -> str:
        """Return the host's name, as messages show it."""
        return self._shell.host

    @property
    def ssh_arguments(self) -> Sequence[str] | None:
        """Return what tells the ssh command the way to the host."""
        return self._shell.ssh_arguments

    def login(self) -> str | None:
        """Return who logs in; None for root.

        Raises:
            LoginRefused: it isn't root, and sudo wants a password or forbids it.
        """
        with self._asking:
            name = self._shell.login_name()
            if name not in (_ROOT, self._allowed):
                self._require_sudo(name)
                self._allowed = name
        return None if name == _ROOT else name

    def login_name(self) -> str:
        """Return root, as whom commands run."""
        return _ROOT

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout: float = COMMAND_SECONDS,
        check: bool = True,
    ) -> CommandResult:
        """Run a command as root."""
        if self.login() is None:
            return self._shell.run(argv, input=input, timeout=timeout, check=check)
        return self._shell.run([*_SUDO, *argv], input=input, timeout=timeout, check=check)

    def start(self, argv: Sequence[str]) -> Process:
        """Start a command as root."""
        return self._shell.start(argv if self.login() is None else [*_SUDO, *argv])

    def read_file(self, path: str) -> bytes:
        """Return a file's content."""
        if self.login() is None:
            return self._shell.read_file(path)
        if not self.exists(path):
            raise FileMissing(f"{self.host}: {path} can't be read: no such file or folder")
        # Commands answer with text; base64 brings the bytes through.
        coded = self._file_command(["base64", "--wrap=0", "--", path], f"{path} can't be read").stdout
        return base64.b64decode(coded)

    def write_file(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file beside its place, then move it there."""
        if self.login() is None:
            self._shell.write_file(path, data, mode)
            return
        folder, name = posixpath.split(path)
        temporary = posixpath.join(folder, f".{name}.{secrets.token_hex(6)}")
        what = f"{path} can't be written"
        try:
            install = ["install", f"--mode={mode:o}", "--no-target-directory", "--", "/dev/stdin", temporary]
            self._file_command(install, what, data)
            self._file_command(["mv", "--no-target-directory", "--", temporary, path], what)
        except FileError:
            self.run(["rm", "--force", "--", temporary], check=False)
            raise

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        """Make a folder and its parents."""
        if self.login() is None:
            self._shell.make_directory(path, mode)
        else:
            self.run(["install", "--directory", f"--mode={mode:o}", "--", path])

    def remove_tree(self, path: str) -> None:
        """Remove a file or a folder."""
        self.run(removal(self.host, path), timeout=600)

    def exists(self, path: str) -> bool:
        """Return whether there is something at the path."""
        if self.login() is None:
            return self._shell.exists(path)
        # `test -e` follows links, and a broken one is something as well.
        done = self.run(["find", path, "-maxdepth", "0", "-printf", "x"], check=False)
        return done.stdout == "x"

    def dial(self, address: str, port: int, *, timeout: float = DIAL_SECONDS) -> Connection:
        """Open a connection as the host itself would."""
        return self._shell.dial(address, port, timeout=timeout)

    def close(self) -> None:
        """Release what is open."""
        self._shell.close()

    def _require_sudo(self, name: str) -> None:
        tried = self._shell.run(["sudo", "-n", "true"], check=False)
        if tried.exit_code != 0:
            output = (tried.stderr or tried.stdout).strip()
            raise LoginRefused(
                f"{self.host}: {name} isn't root, and sudo there runs no commands for {name} without a password "
                f"({output or 'sudo is missing'}). Log in as root, or allow it: `{name} ALL=(ALL) NOPASSWD: ALL` "
                f"in /etc/sudoers.d/{name} (visudo)"
            )

    def _file_command(self, argv: Sequence[str], what: str, data: bytes | None = None) -> CommandResult:
        try:
            return checked(self.host, self.run(argv, input=data, check=False), check=True)
        except CommandError as error:
            raise FileError(f"{self.host}: {what}: {(error.stderr or error.stdout).strip()}") from error
