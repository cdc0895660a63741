"""What a disk image is made of: chunks that are compared, sent, checked and written with their holes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.kvm import chunks
from infra.kvm.chunks import Malformed, chunk_count, frames, hashes, receive

CHUNK = 256 << 10
"""Small enough for files of many chunks; a chunk is four blocks."""

BLOCK = 64 << 10


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK", CHUNK)
    monkeypatch.setattr(chunks, "_NOTHING", bytes(CHUNK))


def write(path: Path, blocks: list[int | None], tail: int) -> Path:
    """Write a block for each number; none is a hole, 0 a block of zeros that takes room."""
    with path.open("wb") as file:
        for place, value in enumerate(blocks):
            if value is not None:
                os.pwrite(file.fileno(), bytes([value]) * BLOCK, place * BLOCK)
        file.truncate(len(blocks) * BLOCK + tail)
    return path


def hashes_of(path: Path) -> dict[int, str]:
    with path.open("rb") as file:
        return dict(hashes(file.fileno(), path.stat().st_size))


def reader(parts: Iterator[bytes]) -> Callable[[int], bytes]:
    buffer = bytearray()

    def read(count: int) -> bytes:
        while len(buffer) < count:
            buffer.extend(next(parts))
        data = bytes(buffer[:count])
        del buffer[:count]
        return data

    return read


def copy(source: Path, target: Path, wanted: dict[int, str]) -> dict[int, bool]:
    with source.open("rb") as here, target.open("r+b") as there:
        size = source.stat().st_size
        chunks.set_size(there.fileno(), size)
        sent = reader(frames(here.fileno(), size, wanted))
        return dict(receive(sent, there.fileno(), size, wanted))


BLOCKS = st.lists(st.none() | st.integers(0, 3), max_size=20)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(BLOCKS, st.integers(0, BLOCK - 1), BLOCKS, st.integers(0, BLOCK - 1))
def test_what_differs_makes_any_file_equal(
    tmp_path: Path, new: list[int | None], new_tail: int, old: list[int | None], old_tail: int
) -> None:
    source, target = write(tmp_path / "new", new, new_tail), write(tmp_path / "old", old, old_tail)
    size = source.stat().st_size
    with target.open("r+b") as there:
        chunks.set_size(there.fileno(), size)
    before, wanted = hashes_of(target), hashes_of(source)
    assert len(wanted) == chunk_count(size)
    differs = {number: one for number, one in wanted.items() if before[number] != one}
    assert copy(source, target, differs) == dict.fromkeys(differs, True)
    assert target.read_bytes() == source.read_bytes()
    assert hashes_of(target) == wanted


def test_holes_are_neither_sent_nor_written(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.touch()
    os.truncate(source, 1 << 30)
    with source.open("r+b") as file:
        os.pwrite(file.fileno(), b"x" * BLOCK, 512 << 20)
    wanted = hashes_of(source)
    assert sum(1 for one in wanted.values() if one != chunks.ZEROS) == 1
    with source.open("rb") as file:
        sent = sum(map(len, frames(file.fileno(), 1 << 30, wanted)))
    assert sent < BLOCK + 100_000
    target.touch()
    copy(source, target, wanted)
    assert target.stat().st_blocks * 512 <= 2 * BLOCK


def test_zeros_that_take_room_arrive_as_holes(tmp_path: Path) -> None:
    source, target = write(tmp_path / "source", [0, 0, 0, 0, 1, 0, 0, 0], 0), tmp_path / "target"
    target.touch()
    assert copy(source, target, hashes_of(source)) == {0: True, 1: True}
    assert target.stat().st_blocks * 512 <= 2 * BLOCK


def test_a_damaged_chunk_is_refused_and_nothing_of_it_written(tmp_path: Path) -> None:
    source, target = write(tmp_path / "source", [1] * 8, 0), write(tmp_path / "target", [2] * 8, 0)
    wanted = hashes_of(source)
    write(source, [1, 1, 1, 1, 1, 1, 3, 1], 0)
    assert copy(source, target, wanted) == {0: True, 1: False}
    assert target.read_bytes() == bytes([1]) * CHUNK + bytes([2]) * CHUNK


@pytest.mark.parametrize(
    "sent",
    [
        chunks._CHUNK_HEADER.pack(7, 1),
        chunks._CHUNK_HEADER.pack(0, 1 << 31),
        chunks._CHUNK_HEADER.pack(0, 1) + chunks._PIECE_HEADER.pack(CHUNK, 1),
        chunks._CHUNK_HEADER.pack(0, 1) + chunks._PIECE_HEADER.pack(0, CHUNK + 1),
        chunks._CHUNK_HEADER.pack(0, 1) + chunks._PIECE_HEADER.pack(2**63, 2**31),
    ],
)
def test_what_is_no_chunk_is_refused(tmp_path: Path, sent: bytes) -> None:
    target = write(tmp_path / "target", [1] * 4, 0)
    with target.open("r+b") as file, pytest.raises(Malformed):
        list(receive(reader(iter([sent])), file.fileno(), CHUNK, {0: "ab"}))
    assert target.read_bytes() == bytes([1]) * CHUNK


class Program:
    """The file as a host runs it: by its path, with an order on the input."""

    def __init__(self, *before: str, **order: object) -> None:
        command = [*before, sys.executable, "-I", chunks.__file__]
        logged_in = {**os.environ, "SSH_CONNECTION": "192.0.2.1 40000 127.0.0.1 22"}
        self.process = subprocess.Popen(
            command,
            text=True,
            bufsize=1,
            env=logged_in,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[int, str]:
        with self.process:
            code = self.process.wait(30)  # its input stays open: it ends by itself
            assert self.process.stderr is not None
            return code, self.process.stderr.read().strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "source", [1, None, 2, 0], 7)


def serving(source: Path, *before: str, address: str | None = "127.0.0.1") -> tuple[Program, int]:
    where = {"path": str(source), "size": source.stat().st_size, "address": address}
    program = Program(*before, do="serve", numbers=[0], token="t" * 32, **where)
    port, found = program.line().split()
    assert found == "127.0.0.1"
    return program, int(port)


def fetching(source: Path, target: Path, port: int, wanted: dict[int, str]) -> Program:
    where = {"address": "127.0.0.1", "port": port, "token": "t" * 32}
    return Program(do="fetch", path=str(target), size=source.stat().st_size, wanted=wanted, **where)


@pytest.fixture
def whole(source: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    monkeypatch.undo()  # the program has chunks of its own size
    return hashes_of(source)


def test_one_host_fetches_from_another(tmp_path: Path, source: Path, whole: dict[int, str]) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"anything")
    server, port = serving(source)
    client = fetching(source, target, port, whole)
    assert [client.line(), client.line()] == ["0 good", "done"]
    assert client.end() == (0, "")
    assert server.end() == (0, "")
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    "before", [(), ("sh", "-c", 'env -u SSH_CONNECTION "$0" "$@"; exit "$?"')], ids=["root", "sudo"]
)
def test_a_host_is_asked_where_it_was_logged_in_to(
    tmp_path: Path, source: Path, whole: dict[int, str], before: tuple[str, ...]
) -> None:
    (tmp_path / "target").touch()
    server, port = serving(source, *before, address=None)
    client = fetching(source, tmp_path / "target", port, whole)
    assert (client.end(), server.end()) == ((0, ""), (0, ""))


def test_who_has_no_token_gets_nothing_and_is_in_nobodys_way(
    tmp_path: Path, source: Path, whole: dict[int, str]
) -> None:
    server, port = serving(source)
    for said in (b"GET / HTTP/1.1\r\n\r\n" + b" " * 32, b""):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(said)
            stranger.shutdown(socket.SHUT_WR)
            assert stranger.recv(1) == b""
    (tmp_path / "target").touch()
    client = fetching(source, tmp_path / "target", port, whole)
    assert client.line() == "0 good"
    assert (client.end(), server.end()) == ((0, ""), (0, ""))


def test_a_listener_ends_with_who_started_it(source: Path, whole: dict[int, str]) -> None:
    server, port = serving(source)
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.end()[0] == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_connection_that_ends_early_leaves_what_was_there(
    tmp_path: Path, source: Path, whole: dict[int, str]
) -> None:
    target = tmp_path / "target"
    target.write_bytes(source.read_bytes()[::-1])
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(32)
                connection.sendall(chunks._CHUNK_HEADER.pack(0, 1) + b"half")

        thread = threading.Thread(target=cut)
        thread.start()
        client = fetching(source, target, server.getsockname()[1], whole)
        code, errors = client.end()
        thread.join()
    assert code == 1
    assert "Traceback" not in errors
    assert "ends before its end" in errors or "Connection reset" in errors
    assert target.read_bytes() == source.read_bytes()[::-1]


def test_nobody_there_is_told(tmp_path: Path, source: Path, whole: dict[int, str]) -> None:
    (tmp_path / "target").touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    code, errors = fetching(source, tmp_path / "target", port, whole).end()
    assert (code, errors) == (1, "ConnectionRefusedError: [Errno 111] Connection refused")
