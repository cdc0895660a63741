"""Files of a host, over SFTP."""

from __future__ import annotations

import paramiko

from infra.ssh.errors import SshError
from infra.ssh.network import NETWORK_ERRORS
from infra.ssh.session import Session
from infra.ssh.shell import ASK_SECONDS


class FileSession(Session):
    """An SFTP session. paramiko's client would mix up the answers of several callers.

    Attributes:
        files: Reads and writes files.
    """

    def __init__(self, host: str, channel: paramiko.Channel) -> None:
        """Start SFTP."""
        super().__init__(host, channel)
        try:
            channel.invoke_subsystem("sftp")
            self.files = paramiko.SFTPClient(channel)
        except NETWORK_ERRORS as error:
            channel.close()
            raise SshError(f"{host}: sshd there serves no files (Subsystem sftp): {error}") from error

    def ask(self) -> None:
        """Have it answer.

        Raises:
            SshError: it doesn't.
        """
        try:
            self.channel.settimeout(ASK_SECONDS)
            self.files.normalize(".")
            self.channel.settimeout(None)
        except NETWORK_ERRORS as error:
            self.close()
            raise SshError(f"{self.host}: the SSH connection broke: {error}") from error
