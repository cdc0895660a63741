"""What a server does for us in one channel of an SSH connection."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

import paramiko


class Session(ABC):
    """One caller's at a time, and used again by the next.

    Attributes:
        idle_since: When its last caller was done with it, by the monotonic clock.
    """

    def __init__(self, host: str, channel: paramiko.Channel) -> None:
        """Begin on a channel that nothing was asked of yet, which it then owns.

        Raises:
            SshError: the server refuses it, or the connection broke.
        """
        self.host, self.channel = host, channel
        self.idle_since = time.monotonic()

    @property
    def stands(self) -> bool:
        """Return whether it may be used on."""
        return not (self.channel.closed or self.channel.eof_received)

    @abstractmethod
    def ask(self) -> None:
        """Have it answer.

        Raises:
            SshError: it doesn't.
        """

    def close(self) -> None:
        """End it; what is under way on the host goes on there."""
        self.channel.close()
