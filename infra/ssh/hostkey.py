"""Whose SSH server answers at an address: the key exchange alone, without logging in."""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
import time
from typing import TYPE_CHECKING, Any, Final, cast

from infra.model.work import Work
from infra.ssh.local import LocalShell
from infra.ssh.shell import Connection, Dial

if TYPE_CHECKING:
    import paramiko

_KEY_TYPE: Final = "ssh-ed25519"
_GRACE_SECONDS: Final = 20.0
_EXCHANGE_SECONDS: Final = 15.0
"""Under emulation a key exchange takes seconds."""
_FIRST_STEP: Final = 0.1
_LONGEST_STEP: Final = 1.0
_FIRST_DIAL: Final = 0.5
_LONGEST_DIAL: Final = 2.0


class HostKeyError(Exception):
    """The expected SSH server doesn't answer at an address."""


class HostKeyRefused(HostKeyError):
    """The machine answers, and no SSH server listens there (yet)."""


class HostKeyTimeout(HostKeyError):
    """Nothing answers at the address."""


class NotSsh(HostKeyError):
    """Something answers that isn't an SSH server with an ed25519 host key."""


class HostKeyWaitCancelled(HostKeyError):
    """The caller asked to stop waiting."""


class WrongHostKey(HostKeyError):
    """Another machine's host key answers at the address."""

    def __init__(self, address: str, expected: str, found: str) -> None:
        self.expected = fingerprint(expected)
        self.found = fingerprint(found)
        super().__init__(
            f"{address}: another machine answers there: expected host key {self.expected}, found {self.found}. "
            f"Find out who uses the address (`ip neigh show {address}` on the host tells its MAC address) "
            "and give one of the two another address"
        )


def wait_for_host_key(
    address: str,
    expected: str,
    work: Work,
    dial: Dial | None = None,
    port: int = 22,
    grace: float = _GRACE_SECONDS,
) -> None:
    """Wait until the expected host key answers.

    Another key is borne for `grace` seconds: an earlier machine at that address may still be going down.

    Raises:
        WrongHostKey: another key kept answering.
        HostKeyTimeout: the deadline came; the message has what was seen last, which is its cause.
        HostKeyWaitCancelled: the work was cancelled.
    """
    wanted = " ".join(expected.split()[:2])
    started = time.monotonic()
    wrong_since: float | None = None
    step, patience = _FIRST_STEP, _FIRST_DIAL
    while True:
        seen: HostKeyError
        try:
            key = _fetch(address, port, dial or LocalShell().dial, patience, work.within(_EXCHANGE_SECONDS))
        except HostKeyWaitCancelled:
            raise
        except HostKeyError as error:
            seen, wrong_since = error, None
        else:
            if key == wanted:
                return
            seen = WrongHostKey(address, wanted, key)
            wrong_since = wrong_since or time.monotonic()
            if time.monotonic() - wrong_since > grace:
                raise seen
        work.status(f"waiting for SSH: {seen}")
        if work.remaining <= step:
            if isinstance(seen, WrongHostKey):
                raise seen
            waited = time.monotonic() - started
            raise HostKeyTimeout(f"no SSH within {waited:.0f} s: {seen}") from seen
        if work.cancelled.wait(step):
            raise HostKeyWaitCancelled(f"{address}: stopped on request while waiting for SSH: {seen}")
        step, patience = min(step * 1.5, _LONGEST_STEP), min(patience * 1.5, _LONGEST_DIAL)


def fingerprint(public_key: str) -> str:
    """Return the fingerprint of a public key as OpenSSH shows it."""
    try:
        blob = base64.b64decode(public_key.split()[1], validate=True)
    except (IndexError, binascii.Error) as error:
        raise ValueError(f"not an SSH public key: {public_key!r}") from error
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _fetch(address: str, port: int, dial: Dial, patience: float, work: Work) -> str:
    """Return the key of the server that answers, as `ssh-ed25519 AAAA…`.

    Raises:
        HostKeyRefused: nobody listens there.
        HostKeyTimeout: nothing answers in time.
        NotSsh: what answers isn't SSH, or has no ed25519 key.
        HostKeyWaitCancelled: the work was cancelled.
    """
    try:
        connection = dial(address, port, timeout=patience)
    except ConnectionRefusedError as error:
        raise HostKeyRefused(
            f"{address}: no SSH server listens on port {port} yet (connection refused)"
        ) from error
    except TimeoutError as error:
        raise HostKeyTimeout(f"{address}: no answer") from error
    except OSError as error:
        raise HostKeyTimeout(f"{address}: {error.strerror or error}") from error
    from infra.ssh.network import (
        NETWORK_ERRORS,
    )  # and with it paramiko, which a run that waits for nobody needn't load

    watched = _Watched(connection)
    try:
        key = _exchange(watched, address, work)
    except NETWORK_ERRORS as error:
        raise _explained(address, port, watched.first, error) from error
    finally:
        watched.close()
    return f"{key.get_name()} {key.get_base64()}"


def _exchange(connection: _Watched, address: str, work: Work) -> paramiko.PKey:
    import paramiko

    transport = paramiko.Transport(cast(Any, connection))  # it documents any object with these four methods
    try:
        transport.get_security_options().key_types = (_KEY_TYPE,)
        transport.banner_timeout = _EXCHANGE_SECONDS * 2  # the deadline below decides
        done = threading.Event()
        transport.start_client(event=done)
        while not done.wait(0.05) and transport.is_active():
            if work.cancelled.is_set():
                raise HostKeyWaitCancelled(f"{address}: stopped on request during the key exchange")
            if not work.remaining:
                raise TimeoutError
        failure = transport.get_exception()
        if failure is not None:
            raise failure
        return transport.get_remote_server_key()
    finally:
        transport.close()


def _explained(address: str, port: int, first: bytes, error: Exception) -> HostKeyError:
    import paramiko

    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return NotSsh(f"{address}: the SSH server on port {port} has no ed25519 host key ({error})")
    if first and b"SSH-" not in first:
        return NotSsh(f"{address}: what answers on port {port} isn't SSH: it says {first[:40]!r}")
    if isinstance(error, TimeoutError):
        return HostKeyTimeout(
            f"{address}: port {port} is open, and the SSH server doesn't finish the key exchange"
        )
    return HostKeyRefused(f"{address}: port {port} closed the connection during the key exchange")


class _Watched:
    """A connection that remembers its first bytes: paramiko's errors don't tell silence from another protocol."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._closed = False  # paramiko looks for this attribute of sockets
        self.first = b""

    def recv(self, count: int) -> bytes:
        data = self._connection.recv(count)
        if len(self.first) < 1024:
            self.first += data[:1024]
        return data

    def send(self, data: bytes) -> int:
        return self._connection.send(data)

    def settimeout(self, seconds: float | None) -> None:
        self._connection.settimeout(seconds)

    def close(self) -> None:
        self._closed = True
        self._connection.close()
