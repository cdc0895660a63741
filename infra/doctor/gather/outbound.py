"""Reach something outside by TLS, from where a host stands, with nothing but sshd needed there.

Connections go through the SSH connection (RFC 4254 §7.2), TLS is spoken from here. Names are resolved on the
host by `getent`, whose time can be limited: sshd resolves while the whole SSH connection waits.
"""

from __future__ import annotations

import ssl
from ipaddress import AddressValueError, IPv4Address
from typing import Any, Final, cast

from urllib3.util.ssltransport import SSLTransport

from infra.doctor.facts import EndpointAnswer
from infra.doctor.gather.commands import Commands, Unlearned, time_for
from infra.doctor.wanted import Endpoint, ProxySettings
from infra.hosts.endpoint_probe import Proxy, is_direct, reason, trusting
from infra.ssh import Connection, ShellError

_SECONDS: Final = 5.0


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
    way = Proxy(proxy.url) if proxy and not is_direct(endpoint.name, proxy.exceptions) else None
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
        return EndpointAnswer(endpoint.name, endpoint.port, f"{_by(way)}{reason(error)}")
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
        inside = SSLTransport(cast(Any, self), trusting(authorities), server_hostname=name)
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


def _open(commands: Commands, endpoint: Endpoint, proxy: Proxy | None) -> _Stream:
    if proxy is None:
        return _dialled(commands, endpoint.name, endpoint.port)
    stream = _dialled(commands, proxy.host, proxy.port)
    try:
        inner = stream.secured(proxy.host) if proxy.is_secured else stream
        status = proxy.connect(inner, f"{endpoint.name}:{endpoint.port}")
        if not status.startswith("2"):
            raise ConnectionRefusedError(None, f"it says {status}")
    except BaseException:
        stream.close()
        raise
    return inner


def _dialled(commands: Commands, name: str, port: int) -> _Stream:
    address = _resolved(commands, name)
    return _Stream(commands.shell.dial(address, port, timeout=time_for(commands.work, _SECONDS)))


def _resolved(commands: Commands, name: str) -> str:
    try:
        return str(IPv4Address(name))
    except AddressValueError:
        pass
    try:
        # The host ends it: a silent DNS server is no sign that the host itself hangs.
        words = commands.output(["timeout", str(_SECONDS), "getent", "ahostsv4", name]).split()
    except Unlearned as error:
        raise Unlearned(f"the host can't resolve {name}") from error
    return words[0]


def _by(proxy: Proxy | None) -> str:
    return f"by the proxy {proxy.host}: " if proxy else ""
