"""A snapshot as etcd sends it: read in pieces of any length, and believed only with its checksum."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable

import pytest

from infra.kubernetes.etcd_snapshot import EtcdSnapshot, SnapshotError

DATA = bytes(range(256)) * 300
CHECKSUM = hashlib.sha256(DATA).digest()


def messages(data: bytes = DATA, checksum: bytes = CHECKSUM, step: int = 32768) -> list[bytes]:
    """Return what etcd's gateway sends: zero is left out of JSON."""
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    left, lines = len(data), []
    for part in [*parts, checksum]:
        left = max(0, left - len(part))
        result = {"blob": b64encode(part).decode()} | ({"remaining_bytes": str(left)} if left else {})
        lines.append(json.dumps({"result": result | {"version": "3.6.0"}}).encode() + b"\n")
    return lines


def in_chunks(lines: Iterable[bytes], size: int) -> list[bytes]:
    text = b"".join(lines)
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1000, 65536, 10_000_000])
def test_it_is_the_database_and_its_checksum_however_it_comes(size: int) -> None:
    snapshot = EtcdSnapshot(in_chunks(messages(), size), revision=7)
    assert snapshot.size == len(DATA) + 32, "known before the first part is taken"
    content = b"".join(snapshot)
    assert content == DATA + CHECKSUM
    assert snapshot.sha256 == hashlib.sha256(content).hexdigest()
    assert snapshot.revision == 7


def test_it_is_never_in_memory_as_a_whole() -> None:
    taken: list[int] = []

    def coming() -> Iterable[bytes]:
        for number, line in enumerate(messages()):
            taken.append(number)
            yield line

    parts = iter(EtcdSnapshot(coming(), 1))
    next(parts)
    assert taken == [0], "no message is read before it is needed"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (messages(checksum=bytes(32)), "damaged on the way: etcd's sha256 of it is 0000"),
        (messages(DATA[:-1] + b"\0"), "damaged on the way"),
        (messages()[:-1], "ended after 76800 of 76800 bytes"),
        (messages()[:1], "ended after 32768 of 76800 bytes"),
        (
            [*messages()[:1], b'{"error":{"code":14,"message":"etcdserver: stopped"}}\n'],
            "gave the snapshot up: etcds",
        ),
        ([*messages()[:1], b"<html>\n"], "something else than a snapshot: b'<html>'"),
        ([*messages()[:1], b'{"result":{"blob":"*"}}\n'], "something else than a snapshot"),
        ([], "an empty snapshot"),
    ],
    ids=["checksum", "data", "no checksum", "short", "error", "not json", "not base64", "nothing"],
)
def test_what_is_not_whole_is_no_snapshot(lines: list[bytes], reason: str) -> None:
    def take() -> None:
        for _ in EtcdSnapshot(lines, 1):
            pass

    with pytest.raises(SnapshotError, match=reason):
        take()
