"""The program that looks from a node, against real sockets on this machine."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from infra import certificates
from infra.arc.endpoints.probe import Answer, look_from
from infra.arc.endpoints.table import Endpoint
from infra.arc.errors import ArcError
from infra.arc.model import Proxy
from infra.ssh import CommandResult, LocalShell

HOST = "127.0.0.1"


@dataclass
class Authority:
    """Somebody who signs certificates."""

    name: str
    folder: Path

    def __post_init__(self) -> None:
        self.key = certificates.new_key()
        self.subject = certificates.x509_name(f"{self.name} Root", f"{self.name} Inc.")
        own = self._signed(self.subject, self.key, x509.BasicConstraints(ca=True, path_length=None))
        self.pem = certificates.certificate_pem(own)

    def context(self) -> ssl.SSLContext:
        key, name = certificates.new_key(), certificates.x509_name("server")
        signed = self._signed(name, key, certificates.alternative_names([HOST, "x.test"]))
        file = self.folder / f"{self.name}.pem"
        file.write_text(certificates.key_pem(key) + certificates.certificate_pem(signed))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now, month = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=30)
        return certificates.issue(
            name, key.public_key(), self.subject, self.key, now - month, now + month, extension
        )


@contextlib.contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Answer each connection in a thread of its own."""
    with socket.create_server((HOST, 0)) as server:

        def work() -> None:
            with contextlib.suppress(OSError):
                while True:
                    stream, _ = server.accept()
                    threading.Thread(target=serve, args=(stream,), daemon=True).start()

        def serve(stream: socket.socket) -> None:
            with contextlib.suppress(OSError), stream:
                answer(stream)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def speaks_tls(authority: Authority) -> Callable[[socket.socket], None]:
    context = authority.context()

    def answer(stream: socket.socket) -> None:
        with context.wrap_socket(stream, server_side=True) as inside:
            inside.recv(1)

    return answer


@pytest.fixture
def lab_ca(tmp_path: Path) -> Authority:
    return Authority("Lab", tmp_path)


def look(port: int, *, name: str = HOST, proxy: Proxy | None = None, authorities: str = "") -> Answer:
    endpoint = Endpoint(name, "x", port)
    found = look_from(LocalShell(), [endpoint, Endpoint("*.pattern", "y")], proxy, authorities)
    assert abs(found.time - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=1)
    ((_, answer),) = found.answers
    return answer


def test_an_endpoint_that_is_trusted(lab_ca: Authority) -> None:
    with listening(speaks_tls(lab_ca)) as port:
        answer = look(port, authorities=lab_ca.pem)
    assert (answer.stage, answer.error, answer.untrusted) == ("done", "", False)
    assert answer.issuer == "Lab Inc., Lab Root"
    assert answer.addresses == (HOST,)
    assert answer.version.startswith("TLSv1")
    assert answer.expires is not None


def test_a_signer_whom_the_node_does_not_trust_is_named(lab_ca: Authority, tmp_path: Path) -> None:
    with listening(speaks_tls(Authority("Zscaler", tmp_path))) as port:
        answer = look(port, authorities=lab_ca.pem)
    assert (answer.stage, answer.untrusted) == ("tls", True)
    assert answer.issuer == "Zscaler Inc., Zscaler Root"
    assert "certificate" in answer.error


def test_nobody_listens(lab_ca: Authority) -> None:
    with listening(speaks_tls(lab_ca)) as port:
        pass
    answer = look(port)
    assert (answer.stage, answer.error) == ("tcp", "Connection refused")


def test_a_name_that_there_is_not() -> None:
    answer = look(443, name="nowhere.invalid")
    assert answer.stage == "dns"
    assert answer.error


def test_something_cuts_tls_off() -> None:
    def hang_up(stream: socket.socket) -> None:
        stream.recv(1)

    with listening(hang_up) as port:
        answer = look(port)
    assert answer.stage == "tls"
    assert not answer.untrusted
    assert answer.error


def tunnels(
    port: int, heads: list[str], status: str = "200 Connection established"
) -> Callable[[socket.socket], None]:
    def answer(stream: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += stream.recv(1024)
        heads.append(head.decode())
        stream.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
        if not status.startswith("2"):
            return
        with socket.create_connection((HOST, port)) as other:
            back = threading.Thread(target=_pump, args=(other, stream), daemon=True)
            back.start()
            _pump(stream, other)
            back.join(5)

    return answer


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_proxy_is_taken_with_its_password_which_no_argument_shows(lab_ca: Authority) -> None:
    heads: list[str] = []
    with listening(speaks_tls(lab_ca)) as port, listening(tunnels(port, heads)) as way:
        proxy = Proxy(f"http://user:canary@{HOST}:{way}", certificate=lab_ca.pem)
        answer = look(port, name="x.test", proxy=proxy)
    assert (answer.stage, answer.by_proxy) == ("done", True)
    assert heads[0].startswith(f"CONNECT x.test:{port} ")
    assert "Proxy-Authorization: Basic dXNlcjpjYW5hcnk=" in heads[0]


def test_a_proxy_that_refuses_is_told_apart() -> None:
    with listening(tunnels(0, [], "407 Proxy Authentication Required")) as way:
        answer = look(443, name="x.test", proxy=Proxy(f"http://{HOST}:{way}"))
    assert answer.stage == "proxy"
    assert "407" in answer.error


@pytest.mark.parametrize("exempt", [HOST, "127.0.0.0/8", "*"])
def test_what_the_proxy_is_not_for_is_reached_without_it(lab_ca: Authority, exempt: str) -> None:
    with listening(speaks_tls(lab_ca)) as port:
        proxy = Proxy("http://127.0.0.1:1", no_proxy=("other.example", exempt), certificate=lab_ca.pem)
        answer = look(port, proxy=proxy)
    assert (answer.stage, answer.by_proxy) == ("done", False)


class Recorded(LocalShell):
    """Notes what was run, and may answer by itself."""

    def __init__(self, result: CommandResult | None = None) -> None:
        super().__init__()
        self.result = result
        self.argv: list[str] = []

    def run(self, argv, **more):  # type: ignore[no-untyped-def]
        self.argv += argv
        return self.result or super().run(argv, **more)


def test_the_proxys_password_is_in_no_argument() -> None:
    shell = Recorded()
    look_from(shell, [Endpoint(HOST, "x", 1)], Proxy("http://user:canary@127.0.0.1:1"))
    assert "canary" not in " ".join(shell.argv)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (CommandResult((), 127, "", "sh: python3: not found"), "python3 isn't installed"),
        (CommandResult((), 1, "", "Traceback\n  x\nMemoryError"), "MemoryError"),
    ],
)
def test_a_node_that_cannot_be_asked_is_told(result: CommandResult, reason: str) -> None:
    with pytest.raises(ArcError, match=reason):
        look_from(Recorded(result), [Endpoint(HOST, "x", 1)], Proxy("http://u:canary@p:1"), place="node-1")
