"""A snapshot of etcd as a member sends it: JSON messages, one a line, whose end proves the rest.

etcd's `server/etcdserver/api/v3rpc/maintenance.go`, Snapshot: the database in pieces, each with how many bytes are
still to come, then its sha256. The file of a snapshot is both; `etcdutl snapshot restore` checks that again.
"""

from __future__ import annotations

import binascii
import hashlib
import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Any, Final

from infra.errors import UserError

_CHECKSUM_BYTES: Final = hashlib.sha256().digest_size


class SnapshotError(UserError):
    """What arrived is no whole snapshot."""


class EtcdSnapshot:
    """A snapshot on its way. It is whole only when all its parts were taken without an error.

    Attributes:
        revision: etcd's, at least: that of a moment before.
        size: Of the file, in bytes.
    """

    def __init__(self, chunks: Iterable[bytes], revision: int) -> None:
        """Read how large it is.

        Args:
            chunks: The answer, in pieces of any length.
            revision: etcd's.

        Raises:
            SnapshotError: It isn't one.
        """
        self.revision = revision
        self._messages = _messages(chunks)
        self._first, remaining = next(self._messages, (b"", 0))
        self._data = remaining + len(self._first)
        self.size = self._data + _CHECKSUM_BYTES
        self._sha256 = ""
        if not self._first:
            raise SnapshotError("etcd sent an empty snapshot")

    def __iter__(self) -> Iterator[bytes]:
        """Yield the file, part by part.

        Raises:
            SnapshotError: It ended too soon, etcd gave up, or its checksum says that it was damaged on the way.
        """
        left, data, file, checksum = self._data, hashlib.sha256(), hashlib.sha256(), b""
        for part in self._parts():
            data.update(part[:left])
            checksum += part[left:]
            left -= len(part[:left])
            file.update(part)
            yield part
        if left or len(checksum) < _CHECKSUM_BYTES:
            raise SnapshotError(f"the snapshot ended after {self._data - left} of {self._data} bytes")
        if checksum != data.digest():
            raise SnapshotError(
                f"the snapshot was damaged on the way: etcd's sha256 of it is {checksum.hex()}, and what arrived "
                f"has {data.hexdigest()}"
            )
        self._sha256 = file.hexdigest()

    @property
    def sha256(self) -> str:
        """Return the checksum of the file, once all of it was taken."""
        if not self._sha256:
            raise AssertionError("the snapshot wasn't taken to its end")
        return self._sha256

    def _parts(self) -> Iterator[bytes]:
        yield self._first
        for part, _ in self._messages:
            yield part


def _messages(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield what each message has of the file, and how many bytes of the database follow it."""
    for line in _lines(chunks):
        try:
            message: dict[str, Any] = json.loads(line)
            if "error" in message:
                raise SnapshotError(f"etcd gave the snapshot up: {message['error'].get('message', line[:300])}")
            result = message["result"]
            # Zero is left out, as in all JSON that is made of protobuf.
            yield b64decode(result.get("blob", ""), validate=True), int(result.get("remaining_bytes", 0))
        except (ValueError, KeyError, AttributeError, binascii.Error) as error:
            raise SnapshotError(f"etcd sent something else than a snapshot: {line[:100]!r}") from error


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from filter(None, lines)
    if rest.strip():
        yield rest
