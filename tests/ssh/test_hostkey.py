"""Waiting for one machine's SSH server, and noticing another's."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from infra.model.work import Work
from infra.ssh import (
    Connection,
    HostKeyRefused,
    HostKeyTimeout,
    HostKeyWaitCancelled,
    NotSsh,
    WrongHostKey,
    fingerprint,
    wait_for_host_key,
)
from tests.ports import free_port
from tests.ssh.conftest import Server
from tests.waiting import takes_less_than

OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEpCk6+dC5z7AqTCQitm9mRDMzK1q8jWWip3gCN2LX96"


@contextmanager
def _speaker(says: bytes, *, holds: bool) -> Iterator[int]:
    """Say something to whoever connects; then close the connection, or hold it for as long as the test takes."""
    done = threading.Event()
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            while not done.is_set():
                try:
                    stream, _ = listener.accept()
                except OSError:
                    return
                with stream:
                    stream.sendall(says)
                    if holds:
                        done.wait(60)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for somebody
            thread.join()


def test_key_by_exchange_alone(server: Server) -> None:
    wait_for_host_key("127.0.0.1", server.public_key, Work().within(15), port=server.port)


@pytest.mark.parametrize(
    ("says", "holds", "error"),
    [
        (b"", False, HostKeyRefused),
        (b"", True, HostKeyTimeout),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, NotSsh),
        (b"220 mail.example ready\r\n", True, NotSsh),
        (b"SSH-2.0-half\r\n", False, HostKeyRefused),
        (b"SSH-2.0-half\r\n", True, HostKeyTimeout),
    ],
)
def test_what_answers_is_told_apart(says: bytes, holds: bool, error: type[Exception]) -> None:
    with _speaker(says, holds=holds) as port, pytest.raises(HostKeyTimeout) as caught:
        wait_for_host_key("127.0.0.1", OTHER, Work().within(0.5), port=port)
    assert type(caught.value.__cause__) is error


def test_fingerprint_is_opensshs_own(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(OTHER + "\n")
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(tmp_path / "key")], capture_output=True, text=True, check=True
    )
    assert fingerprint(OTHER + " comment") == shown.stdout.split()[1]
    with pytest.raises(ValueError, match="not an SSH public key"):
        fingerprint("ssh-ed25519")


def test_waits_until_it_answers(server: Server) -> None:
    seen: list[str] = []
    failures = iter([ConnectionRefusedError(), TimeoutError(), OSError(113, "No route to host")])

    def dial(address: str, port: int, *, timeout: float = 1) -> Connection:
        for failure in failures:
            raise failure
        return socket.create_connection((address, server.port), timeout)

    wait_for_host_key("127.0.0.1", server.public_key + " comment", Work(status=seen.append).within(10), dial)
    assert [text.rsplit(": ", 1)[1] for text in seen] == [
        "no SSH server listens on port 22 yet (connection refused)",
        "no answer",
        "No route to host",
    ]


def test_deadline_names_what_was_seen_last() -> None:
    with pytest.raises(HostKeyTimeout, match=r"no SSH within \d s: 127.0.0.1: no SSH server listens") as caught:
        wait_for_host_key("127.0.0.1", OTHER, Work().within(0.5), port=free_port())
    assert type(caught.value.__cause__) is HostKeyRefused


def test_another_machines_key_is_borne_for_a_while_then_named(server: Server) -> None:
    started = time.monotonic()
    with pytest.raises(WrongHostKey) as caught:
        wait_for_host_key(
            "127.0.0.1",
            OTHER,
            Work().within(30),
            port=server.port,
            grace=0.5,
        )
    assert 0.5 < time.monotonic() - started < 30
    assert caught.value.expected in str(caught.value)
    assert fingerprint(server.public_key) in str(caught.value)


def test_cancel_ends_the_wait_at_once() -> None:
    def wait() -> None:
        cancelled = threading.Event()
        threading.Timer(0.2, cancelled.set).start()
        with pytest.raises(HostKeyWaitCancelled):
            wait_for_host_key("127.0.0.1", OTHER, Work(cancelled=cancelled).within(30), port=free_port())

    assert takes_less_than(1, wait)


def test_cancel_ends_a_silent_key_exchange() -> None:
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    with _speaker(b"", holds=True) as port, pytest.raises(HostKeyWaitCancelled, match="during the key exchange"):
        wait_for_host_key("127.0.0.1", OTHER, Work(cancelled=cancelled).within(30), port=port)
