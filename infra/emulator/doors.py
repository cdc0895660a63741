"""The sockets that the emulator listens at: each lets in so many connections, none of which is idle for long.

A connection costs a quarter of a MiB before it has said a word (asyncio's buffer for TLS), and a file descriptor.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import weakref
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

CONNECTIONS: Final = 128
# Longer than a kept connection may be idle (`server`).
STALL_SECONDS: Final = 90.0
_SAY_SECONDS: Final = 60.0
# Linux lets an address be listened on before it exists: the bridge that carries the agents' comes and goes.
_IP_FREEBIND: Final = 15

_LOG: Final = logging.getLogger(__name__)


class Door(socket.socket):
    """A socket that listens, and closes what it accepts beyond a number of connections that are open."""

    def __init__(self, address: str, port: int, most: int = CONNECTIONS) -> None:
        """Listen at an address of this machine, which may come later."""
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._most = most
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._said = -_SAY_SECONDS
        try:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            self.bind((address, port))
            self.listen(most)
        except BaseException:
            self.close()
            raise

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            BlockingIOError: There was none, or none that is let in.
        """
        connection, peer = super().accept()
        if sum(earlier.fileno() >= 0 for earlier in self._open) >= self._most:
            connection.close()
            self._say(peer)
            raise BlockingIOError
        self._open.add(connection)
        return connection, peer

    def _say(self, peer: Any) -> None:
        now = time.monotonic()
        if now - self._said >= _SAY_SECONDS:
            self._said = now
            _LOG.warning(
                "%s connections are open, more aren't let in; the first of them is of %s", self._most, peer
            )


class Bounded(H11Protocol):
    """HTTP on a connection that ends when neither a request nor an answer gets on."""

    stall_seconds = STALL_SECONDS
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """End watching."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def _look_later(self) -> None:
        self._watch = self.loop.call_later(self.stall_seconds, self._look, self.cycle)

    def _look(self, seen: RequestResponseCycle | None) -> None:
        """End the connection if the client is to act and has not since the last look; a handler may take long."""
        if self.cycle is seen and (seen is None or seen.response_started):
            self.transport.abort()
        else:
            self._look_later()
