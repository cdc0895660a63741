"""Ports of one host on another, by real sshds."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.ssh import LocalShell, SshError, SshShell, port_tunnel
from infra.ssh.options import SshTarget
from tests.ports import free_port
from tests.ssh.conftest import Server, make_server


@pytest.fixture
def remote(server: Server) -> Iterator[SshShell]:
    shell = SshShell(SshTarget("node1"), server.options)
    yield shell
    shell.close()


@pytest.fixture
def answering() -> Iterator[int]:
    """Return a port at which somebody repeats, in capitals, what is said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    with listener.accept()[0] as connection:
                        connection.sendall(connection.recv(100).upper())
                except OSError:
                    return

        threading.Thread(target=answer, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def said(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"hello")
        return connection.recv(100)


def test_this_machine_reaches_a_port_of_another(remote: SshShell, answering: int) -> None:
    port = free_port()
    with port_tunnel(LocalShell(), remote, {port: answering}):
        assert said(port) == b"HELLO"
    with pytest.raises(OSError):
        said(port)


def test_another_machine_reaches_a_port_of_this_one(remote: SshShell, answering: int) -> None:
    port = free_port()
    with port_tunnel(remote, LocalShell(), {port: answering}):
        assert said(port) == b"HELLO"


def test_two_machines_without_a_way_to_each_other_meet_here(
    remote: SshShell, answering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = {free_port(): answering, free_port(): answering}
    with tempfile.TemporaryDirectory() as name:  # not pytest's: its paths are too long for a socket
        monkeypatch.setattr("tempfile.tempdir", name)
        with port_tunnel(remote, remote, ports):
            assert [said(port) for port in ports] == [b"HELLO", b"HELLO"]
            (private,) = Path(name).iterdir()
            assert private.stat().st_mode & 0o77 == 0
        assert not list(Path(name).iterdir())


def test_a_port_that_is_in_use_there_is_an_error_at_once(remote: SshShell, answering: int) -> None:
    refused = pytest.raises(SshError, match=rf"remote port forwarding failed for listen port {answering}")
    with refused, port_tunnel(remote, LocalShell(), {answering: answering}):
        raise AssertionError("it stands")


def test_a_server_that_forbids_forwarding_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "strict"
    folder.mkdir()
    server = make_server(folder, "AllowTcpForwarding no")
    process = server.start()
    shell = SshShell(SshTarget("node1"), server.options)
    try:
        refused = pytest.raises(SshError, match="remote port forwarding failed")
        with refused, port_tunnel(shell, LocalShell(), {free_port(): free_port()}):
            raise AssertionError("it stands")
    finally:
        shell.close()
        process.kill()
        process.wait()
