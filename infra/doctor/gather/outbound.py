"""Reach something outside by TLS, from where a host stands, with nothing but sshd needed there.

Connections go through the SSH connection (RFC 4254 §7.2), TLS is spoken from here. Names are resolved on the
host by `getent`, whose time can be limited: sshd resolves while the whole SSH connection waits.
"""

from __future__ import annotations

import base64
import ssl
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any, Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

from urllib3.util.ssltransport import SSLTransport

from infra.doctor.facts import EndpointAnswer
from infra.doctor.gather.commands import Commands, Unlearned
from infra.doctor.wanted import HTTPS, Endpoint, ProxySettings
from infra.ssh import Connection, ShellError

_SECONDS: Final = 5.0
_LONGEST_ANSWER: Final = 8192
_HTTP: Final = 80


def reach_endpoint(
    commands: Commands, endpoint: Endpoint, proxy: ProxySettings | None, authorities: str = ""
) -> EndpointAnswer:
    """Try one endpoint, by the site's proxy where there is one for it.

    Args:
        commands: Of the host.
        endpoint: What to reach.
        proxy: The site's proxy.
        authorities: PEM of those that sign for the endpoint beside the public ones.
    """
    way = proxy if proxy and not _is_exempt(endpoint.name, proxy.exceptions) else None
    try:
        stream = _open(commands, endpoint, way)
        with stream:
            stream.secured(endpoint.name, authorities)
    except ssl.SSLCertVerificationError as error:
        return EndpointAnswer(
            endpoint.name, endpoint.port, f"its certificate isn't trusted: {error.verify_message}", untrusted=True
        )
    except (Unlearned, ShellError) as error:
        return EndpointAnswer(endpoint.name, endpoint.port, str(error))
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        return EndpointAnswer(endpoint.name, endpoint.port, f"{_by(way)}{reason}")
    return EndpointAnswer(endpoint.name, endpoint.port, None)


class _Stream:
    """A connection through a shell with the few socket methods that urllib3's TLS asks for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.settimeout(_SECONDS)

    def recv(self, count: int) -> bytes:
        return self._connection.recv(count)

    def recv_into(self, buffer: Any, count: int | None = None) -> int:
        data = self._connection.recv(count or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            sent = self._connection.send(bytes(rest))
            if sent == 0:
                raise ConnectionResetError("the connection was closed")
            rest = rest[sent:]

    def secured(self, name: str, authorities: str = "") -> _Stream:
        """Return the same connection with TLS spoken over it.

        Raises:
            ssl.SSLCertVerificationError: nobody vouches for the other end.
            OSError: no TLS is spoken there.
        """
        context = ssl.create_default_context()
        if authorities:
            context.load_verify_locations(cadata=authorities)
        inside = SSLTransport(cast(Any, self), context, server_hostname=name)
        return _Stream(cast(Connection, inside))

    def settimeout(self, seconds: float | None) -> None:
        self._connection.settimeout(seconds)

    def send(self, data: bytes) -> int:
        return self._connection.send(data)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(commands: Commands, endpoint: Endpoint, proxy: ProxySettings | None) -> _Stream:
    if proxy is None:
        return _dialled(commands, endpoint.name, endpoint.port)
    parts = urlsplit(proxy.url)
    secure = parts.scheme == "https"
    stream = _dialled(commands, parts.hostname or "", parts.port or (HTTPS if secure else _HTTP))
    try:
        inner = stream.secured(parts.hostname or "") if secure else stream
        _ask_proxy(inner, f"{endpoint.name}:{endpoint.port}", _credentials(parts))
    except BaseException:
        stream.close()
        raise
    return inner


def _dialled(commands: Commands, name: str, port: int) -> _Stream:
    address = _resolved(commands, name)
    return _Stream(commands.shell.dial(address, port, timeout=commands.deadline.left(_SECONDS)))


def _resolved(commands: Commands, name: str) -> str:
    try:
        return str(IPv4Address(name))
    except AddressValueError:
        pass
    try:
        # The host ends it: a silent DNS server is no sign that the host itself hangs.
        found = commands.output(["timeout", str(_SECONDS), "getent", "ahostsv4", name]).split()
    except Unlearned as error:
        raise Unlearned(f"the host can't resolve {name}") from error
    return found[0]


def _ask_proxy(stream: _Stream, target: str, credentials: str | None) -> None:
    """Ask an HTTP proxy for a tunnel (RFC 9110 §9.3.6)."""
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if credentials is not None:
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    stream.sendall("\r\n".join((*lines, "", "")).encode("ascii"))
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = stream.recv(1)  # not a byte further: what follows is TLS
        if not data or len(answer) > _LONGEST_ANSWER:
            raise ConnectionResetError("the proxy closed the connection")
        answer += data
    status = answer.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 1)[-1]
    if not status.startswith("2"):
        raise ConnectionRefusedError(None, f"it says {status}")


def _credentials(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return base64.b64encode(pair.encode()).decode("ascii")


def _is_exempt(name: str, exceptions: tuple[str, ...]) -> bool:
    """Return whether a name is reached without the proxy, as most programs read `no_proxy`."""
    for one in exceptions:
        if one == "*" or name == one or name.endswith(f".{one.removeprefix('*').removeprefix('.')}"):
            return True
        try:
            if IPv4Address(name) in IPv4Network(one, strict=False):
                return True
        except ValueError:
            continue
    return False


def _by(proxy: ProxySettings | None) -> str:
    return f"by the proxy {urlsplit(proxy.url).hostname}: " if proxy else ""
