"""Files of a host, over SFTP."""

from __future__ import annotations

import time

import paramiko

from infra.ssh.errors import NETWORK_ERRORS, SshError
from infra.ssh.shell import ASK_SECONDS


class FileSession:
    """An SFTP session. One caller's at a time: paramiko's client mixes up the answers of several."""

    def __init__(self, host: str, channel: paramiko.Channel) -> None:
        """Start it on a channel that nothing was asked of yet, which it then owns.

        Raises:
            SshError: the server has no SFTP, or the connection broke.
        """
        self._host, self._channel = host, channel
        try:
            channel.invoke_subsystem("sftp")
            self._client = paramiko.SFTPClient(channel)
        except NETWORK_ERRORS as error:
            channel.close()
            raise SshError(f"{host}: sshd there serves no files (Subsystem sftp): {error}") from error
        self._used = time.monotonic()

    @property
    def files(self) -> paramiko.SFTPClient:
        """Return what reads and writes files."""
        self._used = time.monotonic()
        return self._client

    @property
    def stands(self) -> bool:
        """Return whether it may be used on."""
        return not (self._channel.closed or self._channel.eof_received)

    @property
    def idle_seconds(self) -> float:
        """Return for how long nothing was asked of it."""
        return time.monotonic() - self._used

    def ask(self) -> None:
        """Have it answer.

        Raises:
            SshError: it doesn't.
        """
        try:
            self._channel.settimeout(ASK_SECONDS)
            self._client.normalize(".")
            self._channel.settimeout(None)
        except NETWORK_ERRORS as error:
            self.close()
            raise SshError(f"{self._host}: the SSH connection broke: {error}") from error

    def close(self) -> None:
        """End it."""
        self._client.close()
