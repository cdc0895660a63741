"""Uploads keep a file's holes, and pools and volumes know whose they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.kvm.errors import HostError, NotOurs, is_missing
from infra.kvm.ownership import Mark
from infra.kvm.storage import (
    Volume,
    _SparseFile,
    clone_volume,
    create_volume,
    ensure_pool,
    find_pool,
    find_volume,
    open_pool,
    pool_directory,
    remove_pool,
    remove_volume,
)

BLOCK = 64 * 1024
MARK = Mark("local", "local", "urn")


@pytest.fixture
def connection() -> Iterator[libvirt.virConnect]:
    connection = libvirt.open("test:///default")
    yield connection
    connection.close()


def sections(path: Path) -> list[tuple[str, bytes | int]]:
    """Walk a file as virStreamSparseSendAll does."""
    found: list[tuple[str, bytes | int]] = []
    with path.open("rb", buffering=0) as file:
        sparse = _SparseFile(file.fileno(), path.stat().st_size, lambda _sent, _total: None)
        while True:
            in_data, length = sparse.section(None, None)
            if not in_data and length > 0:
                found.append(("hole", length))
                sparse.skip(None, length, None)
                continue
            data = sparse.read(None, min(length, 100_000), None)
            if not data:
                return found
            found.append(("data", data))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.booleans(), max_size=12), st.integers(0, BLOCK - 1))
def test_a_file_and_its_holes_arrive_whole(tmp_path: Path, blocks: list[bool], tail: int) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        for number, written in enumerate(blocks):
            if written:
                os.pwrite(file.fileno(), bytes([number + 1]) * BLOCK, number * BLOCK)
        file.truncate(len(blocks) * BLOCK + tail)
    rebuilt = b"".join(part if isinstance(part, bytes) else bytes(part) for _, part in sections(path))
    assert rebuilt == path.read_bytes()


def test_holes_are_not_sent_as_zeros(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        os.pwrite(file.fileno(), b"x" * BLOCK, 1 << 30)
    sent = sum(len(part) for kind, part in sections(path) if isinstance(part, bytes))
    assert sent == BLOCK


def test_progress_can_stop_an_upload(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * BLOCK)

    def stop(_sent: int, _total: int) -> None:
        raise HostError("stopped")

    with path.open("rb", buffering=0) as file, pytest.raises(HostError):
        _SparseFile(file.fileno(), BLOCK, stop).read(None, 10, None)


def test_a_pool_is_made_once_and_only_by_its_owner(connection: libvirt.virConnect) -> None:
    for _ in range(2):
        pool = ensure_pool(connection, "azlocal-local", "/var/lib/azlocal/local/volumes", MARK)
    assert pool.isActive()
    assert pool_directory(pool) == "/var/lib/azlocal/local/volumes"
    other = Mark("local", "another stack", "urn")
    with pytest.raises(NotOurs):
        ensure_pool(connection, "azlocal-local", "/elsewhere", other)
    with pytest.raises(NotOurs):
        remove_pool(connection, "azlocal-local", other)
    pool.destroy()
    assert open_pool(connection, "azlocal-local").isActive(), "a pool that a reboot stopped is started"
    for _ in range(2):
        remove_pool(connection, "azlocal-local", MARK)
    assert find_pool(connection, "azlocal-local") is None
    with pytest.raises(HostError, match="pulumi refresh"):
        open_pool(connection, "azlocal-local")


def test_a_half_made_volume_is_replaced_and_a_missing_image_is_named(connection: libvirt.virConnect) -> None:
    pool = ensure_pool(connection, "azlocal-local", "/var/lib/azlocal/local/volumes", MARK)
    create_volume(pool, Volume("m.raw", 1 << 20, "raw"))
    volume = create_volume(pool, Volume("m.raw", 2 << 20, "raw"))
    assert volume.info()[1] == 2 << 20
    with pytest.raises(HostError, match=r"image-1\.raw"):
        clone_volume(pool, Volume("n.raw", 1 << 20, "raw"), "image-1.raw")
    for _ in range(2):
        remove_volume(pool, "m.raw")
    assert find_volume(pool, "m.raw") is None


def test_only_libvirts_own_word_means_gone(connection: libvirt.virConnect) -> None:
    with pytest.raises(libvirt.libvirtError) as missing:
        connection.lookupByName("nobody")
    assert is_missing(missing.value)
    with pytest.raises(libvirt.libvirtError) as broken:
        connection.defineXML("<domain/>")
    assert not is_missing(broken.value)
