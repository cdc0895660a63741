"""Log in to a host: the way there, its host key, our keys; and a remedy for each way it can fail."""

from __future__ import annotations

import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, Protocol, cast

import paramiko

from infra.ssh.errors import LoginRefused, SshError
from infra.ssh.host_certificate import CERTIFIED, HostCertificate, parse_certificate
from infra.ssh.known_hosts import KnownHost
from infra.ssh.network import NETWORK_ERRORS
from infra.ssh.options import SshOptions, SshTarget
from infra.ssh.shell import Dial

_CONNECT_SECONDS: Final = 10.0
_BANNER_SECONDS: Final = 15.0
_LOGIN_SECONDS: Final = 30.0
_KEEPALIVE_SECONDS: Final = 15
_DEAD_AFTER_MILLISECONDS: Final = 45_000
_PROXY_END_SECONDS: Final = 2.0

# What goes wrong reaches the user by exceptions; without a handler, logging prints it to stderr as well.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class _Transport(paramiko.Transport):
    """A connection on which a host is asked for a key that can be recognised."""

    def __init__(self, known: KnownHost, *way: Any, **options: Any) -> None:
        super().__init__(*way, **options)
        self._known_host = known

    @property
    def preferred_keys(self) -> Sequence[str]:
        return self._known_host.preferred(super().preferred_keys)


class _Judge(paramiko.MissingHostKeyPolicy):
    """Judges every host key: paramiko, which reads no patterns, marks and authorities, is told none of them."""

    def __init__(self, known: KnownHost) -> None:
        self._known = known

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        self._known.require(key.get_name(), key.asbytes(), _certificate(key), time.time())


def log_in(
    target: SshTarget, options: SshOptions, dial: Dial | None = None, key: paramiko.PKey | None = None
) -> paramiko.SSHClient:
    """Return a connection that is logged in.

    Args:
        target: The host.
        options: How it is reached.
        dial: Opens the way to it, where that isn't by the user's configuration.
        key: The only key to log in with; None: those of the options.

    Raises:
        SshError: it can't be had; the message says what to do.
    """
    known = KnownHost(target, options)
    with ExitStack() as undo:
        way = _open_way(target, options) if dial is None else _Dialled(target, options, dial)
        undo.callback(way.socket.close)
        client = paramiko.SSHClient()
        undo.callback(client.close)
        client.set_missing_host_key_policy(_Judge(known))
        try:
            client.connect(
                options.hostname,
                options.port,
                options.user,
                sock=cast(Any, way.socket),  # any byte stream does
                pkey=key,
                # paramiko takes a list, says no stub
                key_filename=cast(Any, [] if key else list(options.identity_files)),
                allow_agent=options.use_agent and key is None,
                look_for_keys=False,
                timeout=_CONNECT_SECONDS,
                banner_timeout=_BANNER_SECONDS,
                auth_timeout=_LOGIN_SECONDS,
                transport_factory=partial(_Transport, known),
            )
        except (*NETWORK_ERRORS, ValueError) as error:
            undo.close()  # a proxy that is no longer used ends, and says why
            raise _kind(error)(f"{target}: {_remedy(options, error, way.complaint)}") from error
        transport = client.get_transport()
        if transport is not None:
            transport.set_keepalive(_KEEPALIVE_SECONDS)
        undo.pop_all()
    return client


class _Way(Protocol):
    """An open way to a host's SSH server."""

    @property
    def socket(self) -> Any:
        """Return the byte stream, as paramiko takes it."""

    def complaint(self) -> str:
        """Return what the way itself says of a failure."""


class _Dialled:
    """What somebody else opens, such as the host that a machine is on."""

    def __init__(self, target: SshTarget, options: SshOptions, dial: Dial) -> None:
        try:
            self.socket = dial(options.hostname, options.port, timeout=_CONNECT_SECONDS)
        except OSError as error:
            raise SshError(
                f"{target}: no connection to {options.hostname} port {options.port}: {error}"
            ) from error

    def complaint(self) -> str:
        return ""


class _Direct:
    def __init__(self, target: SshTarget, options: SshOptions) -> None:
        try:
            self.socket = socket.create_connection((options.hostname, options.port), _CONNECT_SECONDS)
        except (OSError, UnicodeError) as error:  # UnicodeError: no name of DNS's can look like that
            reason = getattr(error, "strerror", None) or error
            raise SshError(
                f"{target}: no connection to {options.hostname} port {options.port}: {reason}. "
                "Is the host on, is sshd running there, is the address right?"
            ) from error
        # Keepalives alone only send: this makes the kernel give up when nobody acknowledges them.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MILLISECONDS)
        # Or the kernel holds back a channel's opening until the host acknowledges the one before it: 40 ms later.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def complaint(self) -> str:
        return ""


class _Proxied:
    """The user's ProxyCommand or ProxyJump; the process ends by itself when our end of its socket closes."""

    def __init__(self, target: SshTarget, command: list[str]) -> None:
        self.socket, theirs = socket.socketpair()
        self._said = b""
        with theirs:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                self.socket.close()
                raise SshError(f"{target}: the proxy `{command[0]}` can't run: {error.strerror}") from error
        self._reaper = threading.Thread(target=self._follow, daemon=True)
        self._reaper.start()

    def complaint(self) -> str:
        self._reaper.join(_PROXY_END_SECONDS)
        output = self._said.decode(errors="replace").strip()[-500:]
        return f"; the proxy says: {output}" if output else "; it was tried through the proxy of ~/.ssh/config"

    def _follow(self) -> None:
        self._said = self._process.communicate()[1]


def _open_way(target: SshTarget, options: SshOptions) -> _Way:
    command = options.proxy()
    return _Direct(target, options) if command is None else _Proxied(target, command)


def _certificate(key: paramiko.PKey) -> HostCertificate | None:
    """Return what came with a host's key.

    Raises:
        ValueError: it is damaged, or not this key's.
    """
    shown = key.public_blob
    if shown is None or not shown.key_type.endswith(CERTIFIED):
        return None
    certificate = parse_certificate(shown.key_blob)
    if certificate.key != key.asbytes():
        raise ValueError("the host's certificate is of another key than the one it has")
    return certificate


def _kind(error: Exception) -> type[SshError]:
    return LoginRefused if isinstance(error, paramiko.AuthenticationException) else SshError


def _remedy(options: SshOptions, error: Exception, complaint: Callable[[], str]) -> str:
    if isinstance(error, paramiko.AuthenticationException):
        keys = ", ".join(options.identity_files) or "no key file"
        agent = "and the SSH agent" if options.use_agent else "and no agent, as ~/.ssh/config says"
        return (
            f"{options.user} may not log in ({error}); tried {keys} {agent}. Install your public key there: "
            f"`ssh-copy-id {options.user}@{options.hostname}`; a key with a passphrase must be in the agent"
        )
    return f"the SSH login failed: {error or type(error).__name__}{complaint()}"
