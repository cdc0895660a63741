"""The outside as a host sees it, real and on loopback: endpoints, proxies, DNS servers."""

from __future__ import annotations

import base64
import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import dns.message
import dns.rcode
import pytest
from cryptography import x509

from infra import certificates
from infra.doctor.gather.commands import Commands
from infra.doctor.gather.names import ask
from infra.doctor.gather.outbound import reach_endpoint
from infra.doctor.wanted import Endpoint, ProxySettings
from infra.model.work import Work
from infra.ssh import (
    LocalShell,
    SshShell,
)
from infra.ssh.options import SshTarget
from tests.ssh.conftest import make_server

LOOPBACK = IPv4Address("127.0.0.1")
NAME = "endpoint.test"


def local() -> Commands:
    return Commands(LocalShell(), Work().within(20), ())


@contextmanager
def listening(serve: Callable[[socket.socket], None], address: str = "127.0.0.1") -> Iterator[int]:
    """Serve each connection in a thread; yield the port."""
    listener = socket.create_server((address, 0))

    def handle(connection: socket.socket) -> None:
        with connection:
            try:
                serve(connection)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return a server's TLS, whose certificate this process trusts."""
    key, name, now = certificates.new_key(), certificates.x509_name(NAME), datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    names, authority = certificates.alternative_names([NAME, str(LOOPBACK)]), x509.BasicConstraints(True, None)
    made = certificates.issue(name, key.public_key(), name, key, now - day, now + day, names, authority)
    path = tmp_path / "tls.pem"
    path.write_text(certificates.key_pem(key) + certificates.certificate_pem(made))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server


def tls(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    return serve


@dataclass
class Proxy:
    """An HTTP proxy that knows one endpoint."""

    port: int
    answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"
    heard: list[bytes] = field(default_factory=list)

    def __call__(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(4096)
        self.heard.append(request)
        connection.sendall(self.answer)
        if b" 200 " in self.answer:
            with socket.create_connection(("127.0.0.1", self.port)) as beyond:
                threads = [threading.Thread(target=pump, args=pair, daemon=True)
                           for pair in ((connection, beyond), (beyond, connection))]  # fmt: skip
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(5)


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(4096):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def test_an_endpoint_that_answers(context: ssl.SSLContext) -> None:
    with listening(tls(context)) as port:
        answer = reach_endpoint(local(), Endpoint("127.0.0.1", port), None)
    assert (answer.problem, answer.untrusted) == (None, False)


def test_somebody_elses_certificate(context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with listening(tls(context)) as port:
        answer = reach_endpoint(local(), Endpoint("127.0.0.1", port), None)
    assert answer.untrusted
    assert "isn't trusted" in str(answer.problem)


def test_an_endpoint_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert reach_endpoint(local(), Endpoint("127.0.0.1", port), None).problem == "Connection refused"


def test_an_endpoint_that_speaks_no_tls() -> None:
    with listening(lambda connection: connection.sendall(b"220 hello\r\n")) as port:
        answer = reach_endpoint(local(), Endpoint("127.0.0.1", port), None)
    assert answer.problem
    assert not answer.untrusted


def test_a_name_that_nobody_knows() -> None:
    answer = reach_endpoint(local(), Endpoint("nothing.invalid"), None)
    assert answer.problem == "the host can't resolve nothing.invalid"


def test_by_a_proxy_that_wants_a_password(context: ssl.SSLContext) -> None:
    with listening(tls(context)) as beyond:
        proxy = Proxy(beyond)
        with listening(proxy) as port:
            settings = ProxySettings(f"http://ann:s%20cret@127.0.0.1:{port}", ("other.test",))
            answer = reach_endpoint(local(), Endpoint(NAME), settings)  # only the proxy knows that name
    assert answer.problem is None
    head = proxy.heard[0].decode()
    assert head.startswith(f"CONNECT {NAME}:443 HTTP/1.1\r\nHost: {NAME}:443\r\n")
    assert base64.b64encode(b"ann:s cret").decode() in head


def test_a_proxy_that_refuses_is_named_without_its_password() -> None:
    with listening(Proxy(0, b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")) as port:
        settings = ProxySettings(f"http://ann:secret@127.0.0.1:{port}", ())
        answer = reach_endpoint(local(), Endpoint(NAME), settings)
    assert answer.problem == "by the proxy 127.0.0.1: it says 407 Proxy Authentication Required"


def test_by_a_proxy_that_speaks_tls_itself(context: ssl.SSLContext) -> None:
    with listening(tls(context)) as beyond:
        proxy = Proxy(beyond)

        def serve(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as secured:
                proxy(secured)

        with listening(serve) as port:
            answer = reach_endpoint(local(), Endpoint(NAME), ProxySettings(f"https://127.0.0.1:{port}", ()))
    assert answer.problem is None


@pytest.mark.parametrize("exception", ["*", "127.0.0.1", "127.0.0.0/8"])
def test_exceptions_go_without_the_proxy(context: ssl.SSLContext, exception: str) -> None:
    with listening(tls(context)) as port:
        settings = ProxySettings("http://127.0.0.1:1", (exception,))
        assert reach_endpoint(local(), Endpoint("127.0.0.1", port), settings).problem is None


def test_through_ssh(context: ssl.SSLContext, tmp_path: Path) -> None:
    server = make_server(tmp_path)
    process = server.start()
    shell = SshShell(SshTarget("node1"), server.options)
    try:
        with listening(tls(context)) as port:
            commands = Commands(shell, Work().within(20), ())
            assert reach_endpoint(commands, Endpoint("127.0.0.1", port), None).problem is None
        assert reach_endpoint(commands, Endpoint("127.0.0.1", port), None).problem
    finally:
        shell.close()
        process.kill()
        process.wait()


# -- DNS -------------------------------------------------------------------------------------------------


@contextmanager
def name_server(
    answer: Callable[[dns.message.Message], bytes | None], address: str = "127.0.0.1", port: int = 0
) -> Iterator[int]:
    """Answer questions; yield the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, port))

        def serve() -> None:
            while True:
                data, sender = server.recvfrom(4096)
                if not data:
                    return
                said = answer(dns.message.from_wire(data))
                if said is not None:
                    server.sendto(said, sender)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
                stopper.sendto(b"", server.getsockname())
            thread.join()


def coded(code: dns.rcode.Rcode) -> Callable[[dns.message.Message], bytes]:
    def answer(question: dns.message.Message) -> bytes:
        made = dns.message.make_response(question)
        made.set_rcode(code)
        return made.to_wire()

    return answer


@pytest.mark.parametrize("code", ["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED"])
def test_a_name_server_answers(code: str) -> None:
    with name_server(coded(dns.rcode.from_text(code))) as port:
        answer = ask(local(), LOOPBACK, NAME, port)
    assert (answer.problem, answer.code) == (None, code)


def test_a_lost_question_is_asked_again() -> None:
    heard: list[object] = []

    def answer(question: dns.message.Message) -> bytes | None:
        heard.append(question)
        return coded(dns.rcode.NOERROR)(question) if len(heard) > 1 else None

    with name_server(answer) as port:
        assert ask(local(), LOOPBACK, NAME, port).problem is None


def test_nobody_listens_there() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    assert ask(local(), LOOPBACK, NAME, port).problem == "no answer"


def test_what_answers_is_no_dns() -> None:
    with name_server(lambda _: b"hello") as port:
        assert "is no DNS" in str(ask(local(), LOOPBACK, NAME, port).problem)


def test_an_answer_to_another_question() -> None:
    with name_server(lambda _: coded(dns.rcode.NOERROR)(dns.message.make_query("other.test", "A"))) as port:
        assert "another question" in str(ask(local(), LOOPBACK, NAME, port).problem)
