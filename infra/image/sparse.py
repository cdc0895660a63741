"""Sparse files: read and copy what is in them and not the holes, which cost half a minute each time."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CHUNK: Final = 1 << 20


def data_ranges(descriptor: int) -> Iterator[tuple[int, int]]:
    """Yield where an open file's data starts and ends, hole by hole."""
    position, size = 0, os.fstat(descriptor).st_size
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, position


def copy_data(source: Path, target: Path, offset: int) -> None:
    """Copy a file's data into another one at an offset; its holes stay holes."""
    with source.open("rb") as reader, target.open("r+b") as writer:
        for start, end in data_ranges(reader.fileno()):
            position = start
            while position < end:
                position += os.copy_file_range(
                    reader.fileno(), writer.fileno(), end - position, position, offset + position
                )


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's content, holes being zeros, as `sha256sum` does."""
    zeros = bytes(_CHUNK)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        position = 0
        for start, end in data_ranges(file.fileno()):
            _feed_zeros(digest, start - position, zeros)
            file.seek(start)
            for chunk_start in range(start, end, _CHUNK):
                digest.update(file.read(min(_CHUNK, end - chunk_start)))
            position = end
        _feed_zeros(digest, os.fstat(file.fileno()).st_size - position, zeros)
    return digest.hexdigest()


def _feed_zeros(digest: hashlib._Hash, count: int, zeros: bytes) -> None:
    for _ in range(count // len(zeros)):
        digest.update(zeros)
    digest.update(zeros[: count % len(zeros)])
