"""A disk image in chunks: their hashes, how they travel, how they are written.

This file is used here, and runs on hosts as well (see `chunk_worker`): only the standard library, Python 3.9.

A chunk that is nothing but zeros has no hash and carries no data: on a disk it is a hole. What travels is, for
each chunk, its number and how many pieces of data it has, then each piece with its offset and length.

As a program it reads its orders as one line of JSON, tells what it did in lines on its output, and ends when its
input does: so it never outlives whoever started it. A line with a dot says every few seconds that it lives.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

CHUNK = 16 << 20
"""Bytes. Of the node image's root 2.1 GB are data: in chunks of 64 MiB 2.9 GB aren't zeros, of 16 MiB 2.3 GB."""

ZEROS = ""
"""Stands in place of a hash."""

_BLOCK = 64 << 10
_PIECE = 1 << 20
_CHUNK_HEADER = struct.Struct("!QI")
_PIECE_HEADER = struct.Struct("!QI")
_NOTHING = bytes(CHUNK)
_MOST_PIECES = CHUNK // 512

Hashes = dict[int, str]
Read = Callable[[int], bytes]


class Malformed(Exception):
    """What arrives is no image: who sends it isn't who was asked."""


def chunk_count(size: int) -> int:
    """Return into how many chunks so many bytes go; the last one may be shorter."""
    return -(-size // CHUNK)


def chunk_length(size: int, number: int) -> int:
    """Return a chunk's length in bytes."""
    return min(CHUNK, size - number * CHUNK)


def data_ranges(file: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where data begins and ends between two offsets of an open file; the rest is holes."""
    while start < end:
        try:
            start = os.lseek(file, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end of the file
                return
            raise
        if start >= end:
            return
        stop = min(os.lseek(file, start, os.SEEK_HOLE), end)
        yield start, stop
        start = stop


def hashes(file: int, size: int) -> Iterator[tuple[int, str]]:
    """Yield the number and the sha256 of each chunk of an open file, of which the first `size` bytes count."""
    for number in range(chunk_count(size)):
        content = _read(file, number * CHUNK, chunk_length(size, number))
        yield number, _hash(content) if content else ZEROS


def frames(file: int, size: int, numbers: Iterable[int]) -> Iterator[bytes]:
    """Yield what has to be sent for some chunks of an open file."""
    for number in numbers:
        start = number * CHUNK
        pieces = list(_pieces(data_ranges(file, start, start + chunk_length(size, number))))
        yield _CHUNK_HEADER.pack(number, len(pieces))
        for offset, length in pieces:
            yield _PIECE_HEADER.pack(offset - start, length)
            yield _exactly(file, offset, length)


def receive(read: Read, file: int, size: int, wanted: Hashes) -> Iterator[tuple[int, bool]]:
    """Write the chunks that arrive, and only what has the wanted hash.

    Args:
        read: returns exactly so many bytes, or raises.
        file: open for reading and writing.
        size: of the whole image.
        wanted: the chunks' numbers and hashes.

    Yields:
        A chunk's number, and whether it was what was wanted.

    Raises:
        Malformed: it isn't chunks of this image that arrive.
    """
    left = dict(wanted)
    while left:
        number, pieces = _CHUNK_HEADER.unpack(read(_CHUNK_HEADER.size))
        if number not in left or pieces > _MOST_PIECES:
            raise Malformed(f"chunk {number} in {pieces} pieces was not asked for")
        content = _assembled(read, chunk_length(size, number), pieces)
        good = _hash(content) == left.pop(number)
        if good:
            _write(file, number * CHUNK, content)
        yield number, good


def set_size(file: int, size: int) -> None:
    """Give a file its size, which libvirt's description of a volume may have made another."""
    if os.fstat(file).st_size != size:
        os.ftruncate(file, size)


def _hash(content: bytearray) -> str:
    if content == (_NOTHING if len(content) == CHUNK else bytes(len(content))):
        return ZEROS
    return hashlib.sha256(content).hexdigest()


def _read(file: int, start: int, length: int) -> bytearray:
    """Return a part of an open file; nothing for a hole."""
    ranges = list(data_ranges(file, start, start + length))
    content = bytearray(length if ranges else 0)
    for offset, count in _pieces(ranges):
        content[offset - start : offset - start + count] = _exactly(file, offset, count)
    return content


def _pieces(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for start, end in ranges:
        for offset in range(start, end, _PIECE):
            yield offset, min(_PIECE, end - offset)


def _exactly(file: int, offset: int, length: int) -> bytes:
    data = os.pread(file, length, offset)
    return data if len(data) == length else data.ljust(length, b"\0")  # cut off meanwhile: its hash will tell


def _assembled(read: Read, length: int, pieces: int) -> bytearray:
    content = bytearray(length)
    for _ in range(pieces):
        offset, count = _PIECE_HEADER.unpack(read(_PIECE_HEADER.size))
        if count > _PIECE or offset + count > length:
            raise Malformed(f"{count} bytes at {offset} of a chunk of {length}")
        content[offset : offset + count] = read(count)
    return content


def _write(file: int, start: int, content: bytearray) -> None:
    """Write a chunk; blocks of zeros stay holes, or become zeros where the file has something else."""
    for zeros, offset, end in _runs(content):
        if not zeros:
            _put(file, start + offset, memoryview(content)[offset:end])
            continue
        for data, data_end in list(data_ranges(file, start + offset, start + end)):
            _put(file, data, memoryview(_NOTHING)[: data_end - data])


def _runs(content: bytearray) -> list[tuple[bool, int, int]]:
    """Return where runs of blocks lie that are zeros, and that aren't."""
    runs: list[tuple[bool, int, int]] = []
    nothing = bytes(_BLOCK)
    for offset in range(0, len(content), _BLOCK):
        end = min(offset + _BLOCK, len(content))
        zeros = content[offset:end] == (nothing if end - offset == _BLOCK else nothing[: end - offset])
        if runs and runs[-1][0] == zeros:
            runs[-1] = (zeros, runs[-1][1], end)
        else:
            runs.append((zeros, offset, end))
    return runs


def _put(file: int, offset: int, data: memoryview) -> None:
    while data:
        written = os.pwrite(file, data, offset)
        offset, data = offset + written, data[written:]


# -- the program -------------------------------------------------------------------------------------------------

BEAT_SECONDS = 3.0
CONNECT_SECONDS = 5.0
ACCEPT_SECONDS = 20.0
IDLE_SECONDS = 20.0
"""How long the other side of a connection may say nothing."""


def serve(order: dict[str, Any]) -> None:
    """Send some chunks, once, to who knows the token; told is the address to ask at."""
    address = order["address"] or _login_address()
    family = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0][0]
    with socket.create_server((address, 0), family=family) as server, _opened(order, os.O_RDONLY) as file:
        _tell(f"{server.getsockname()[1]} {address}")
        with contextlib.closing(_accepted(server, order["token"].encode())) as connection:
            for part in frames(file, order["size"], order["numbers"]):
                connection.sendall(part)


def fetch(order: dict[str, Any]) -> None:
    """Ask another host for chunks and write them."""
    with socket.create_connection((order["address"], order["port"]), CONNECT_SECONDS) as connection:
        connection.settimeout(IDLE_SECONDS)
        connection.sendall(order["token"].encode())
        with connection.makefile("rb", buffering=_PIECE) as stream:
            _take_in(stream.read, order)


def take(order: dict[str, Any]) -> None:
    """Write the chunks that follow on the input."""
    _take_in(sys.stdin.buffer.read, order)


def compare(order: dict[str, Any]) -> None:
    """Give the image its size, then tell each chunk's hash."""
    with _opened(order, os.O_RDWR) as file:
        set_size(file, order["size"])
        for number, digest in hashes(file, order["size"]):
            _tell(f"{number} {digest}")


def main() -> None:
    """Follow one order."""
    order = json.loads(sys.stdin.buffer.readline())
    follow = {"serve": serve, "fetch": fetch, "take": take, "compare": compare}[order["do"]]
    threading.Thread(target=_beat, daemon=True).start()
    if follow is not take:
        threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        follow(order)
    except (OSError, EOFError, Malformed) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    _tell("done")


def _take_in(stream: Read, order: dict[str, Any]) -> None:
    def read(count: int) -> bytes:
        data = stream(count)
        if len(data) < count:
            raise EOFError("the image ends before its end")
        return data

    wanted = {int(number): digest for number, digest in order["wanted"].items()}
    with _opened(order, os.O_RDWR) as file:
        set_size(file, order["size"])
        for number, good in receive(read, file, order["size"], wanted):
            _tell(f"{number} {'good' if good else 'bad'}")
        os.fsync(file)  # what is called complete afterwards must be so after a power cut, too


@contextlib.contextmanager
def _opened(order: dict[str, Any], flags: int) -> Iterator[int]:
    file = os.open(order["path"], flags | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _login_address() -> str:
    """Return the address of this host that was logged in to; sudo hides it, so whoever called that is asked."""
    process = "self"
    while process != "0":
        about = Path("/proc", process)
        for entry in (about / "environ").read_bytes().split(b"\0"):
            name, _, value = entry.partition(b"=")
            if name == b"SSH_CONNECTION":
                return value.split()[2].decode()
        process = (about / "stat").read_text().rpartition(") ")[2].split()[1]
    raise OSError("it is unknown where other hosts reach this one")


def _accepted(server: socket.socket, token: bytes) -> socket.socket:
    deadline = time.monotonic() + ACCEPT_SECONDS
    while True:
        server.settimeout(max(0.01, deadline - time.monotonic()))
        connection, _ = server.accept()
        connection.settimeout(CONNECT_SECONDS)
        with contextlib.suppress(OSError):
            if hmac.compare_digest(connection.makefile("rb").read(len(token)), token):
                connection.settimeout(IDLE_SECONDS)
                return connection
        connection.close()  # a port scanner, perhaps


def _tell(line: str) -> None:
    os.write(sys.stdout.fileno(), f"{line}\n".encode())  # whole: shorter than PIPE_BUF


def _beat() -> None:
    with contextlib.suppress(OSError):
        while True:
            time.sleep(BEAT_SECONDS)
            _tell(".")
    os._exit(1)  # nobody listens any more


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), _BLOCK):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
