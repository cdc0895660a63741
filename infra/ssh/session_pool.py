"""The sessions of one SSH connection: as many as the server allows, and each used again by the next caller."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import paramiko

from infra.ssh.errors import SshError
from infra.ssh.network import NETWORK_ERRORS
from infra.ssh.session import Session
from infra.ssh.shell import DIAL_SECONDS

_SESSIONS: Final = 8
"""Below sshd's MaxSessions (10); libvirt's own connections don't count, they are separate."""

_OPENING_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.05
_DOUBT_SECONDS: Final = 1.0
"""After so long the host may have restarted without a word, and is asked before something is done there."""


_Kind = TypeVar("_Kind", bound=Session)


class SessionPool:
    """Lends sessions. Thread-safe."""

    def __init__(self, host: str, connected: Callable[[], paramiko.Transport]) -> None:
        """Lend sessions of a connection, which is opened, or opened again, when it is needed."""
        self._host, self._connected = host, connected
        self._slots = threading.BoundedSemaphore(_SESSIONS)
        self._lock = threading.Lock()
        self._lent = 0
        self._idle: list[Session] = []

    @contextmanager
    def lend(self, kind: type[_Kind]) -> Iterator[_Kind]:
        """Lend a session, waiting while all are lent.

        Raises:
            SshError: the connection can't be opened, or the server opens no session.
        """
        with self._slots:
            with self._lock:
                self._lent += 1
            session: _Kind | None = None
            try:
                session = self._idle_one(kind) or kind(self._host, self._channel())
                yield session
            finally:
                with self._lock:
                    self._lent -= 1
                    if session is not None and session.stands:
                        session.idle_since = time.monotonic()
                        self._idle.append(session)

    def close(self) -> None:
        """End those that nobody has."""
        self._leave_idle(0)

    def _idle_one(self, kind: type[_Kind]) -> _Kind | None:
        while True:
            with self._lock:
                session = next(
                    (candidate for candidate in reversed(self._idle) if isinstance(candidate, kind)), None
                )
                if session is None:
                    return None
                self._idle.remove(session)
            with contextlib.suppress(SshError):
                if time.monotonic() - session.idle_since > _DOUBT_SECONDS:
                    session.ask()
                if session.stands:
                    return session
            session.close()

    def _channel(self) -> paramiko.Channel:
        """Open a channel; a connection found dead is opened again once, since nothing was sent over it yet."""
        transport = self._connected()
        try:
            return self._open(transport)
        except SshError:
            if transport.is_active():
                raise
        return self._open(self._connected())

    def _open(self, transport: paramiko.Transport) -> paramiko.Channel:
        deadline = time.monotonic() + _OPENING_SECONDS
        self._leave_idle(_SESSIONS - self._lent)
        while True:
            try:
                return transport.open_session(timeout=DIAL_SECONDS)
            except NETWORK_ERRORS as error:
                if not transport.is_active():
                    raise SshError(f"{self._host}: the SSH connection broke: {error}") from error
                # sshd counts a closed session until its command's process is gone, so room may be a moment away.
                # Which refusal it is can't be told: of threads that are refused together, paramiko tells one.
                if time.monotonic() > deadline:
                    raise SshError(
                        f"{self._host}: sshd opens no further session: {error} (MaxSessions?)"
                    ) from error
            # An idle session may take the room; others may have gone idle since.
            self._leave_idle(0)
            time.sleep(_PAUSE_SECONDS)

    def _leave_idle(self, count: int) -> None:
        with self._lock:
            surplus = self._idle[: max(0, len(self._idle) - count)]
            del self._idle[: len(surplus)]
        for session in surplus:
            session.close()
