"""Pools and volumes know whose they are."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import libvirt
import pytest

from infra.kvm.connection import HostSession
from infra.kvm.container import Container
from infra.kvm.errors import HostError, NotOurs, is_missing
from infra.kvm.ownership import Mark
from infra.kvm.storage import (
    Volume,
    create_volume,
    ensure_pool,
    find_pool,
    find_volume,
    open_pool,
    pool_directory,
    remove_pool,
    remove_volume,
)

MARK = Mark("local", "local", "urn")


@pytest.fixture
def connection() -> Iterator[libvirt.virConnect]:
    connection = libvirt.open("test:///default")
    yield connection
    connection.close()


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
    host = SimpleNamespace(qemu=connection, connection="test:///default")
    with pytest.raises(HostError, match=r"image-1\.raw"):
        Container(cast("HostSession", host), "azlocal-local", "n", MARK).create_disk("image-1.raw", 1)
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
