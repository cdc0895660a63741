"""A host's storage pool: images, disks and seeds as libvirt volumes, local or over SSH alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import libvirt
from lxml import etree
from lxml.builder import E

from infra.kvm.errors import HostError, NotOurs, is_connection_lost, is_missing
from infra.kvm.ownership import Mark
from infra.model.image import DiskFormat

COMPLETE: Final = ".complete"
"""Ends the name of an empty volume beside an image that is whole: libvirt can neither rename nor label one."""


@dataclass(frozen=True)
class Volume:
    """A volume to be made: `capacity` in bytes; `backing` the path a qcow2 overlay lies on."""

    name: str
    capacity: int
    format: DiskFormat
    backing: str | None = None

    def to_xml(self) -> str:
        """Return libvirt's description; nothing is allocated before it is written."""
        volume = E.volume(
            E.name(self.name),
            E.capacity(str(self.capacity), unit="bytes"),
            E.allocation("0"),
            E.target(E.format(type=self.format)),
        )
        if self.backing:
            volume.append(E.backingStore(E.path(self.backing), E.format(type="qcow2")))
        return etree.tostring(volume, encoding="unicode")


def pool_xml(name: str, directory: str, mark: Mark) -> str:
    """Return libvirt's description of a directory pool."""
    pool = E.pool(E.name(name), E.uuid(mark.uuid("pool", name)), E.target(E.path(directory)), type="dir")
    return etree.tostring(pool, encoding="unicode")


def ensure_pool(connection: libvirt.virConnect, name: str, directory: str, mark: Mark) -> libvirt.virStoragePool:
    """Define and start the directory pool, or take the one an earlier run made."""
    pool = find_pool(connection, name)
    if pool is None:
        pool = connection.storagePoolDefineXML(pool_xml(name, directory, mark))
    elif not mark.owns("pool", name, pool.UUIDString()):
        raise NotOurs(mark.refusal("pool", name, connection.getURI()))
    if pool.isActive():
        pool.refresh()  # libvirt may have started it before its directory was mounted
    else:
        pool.create()
    if not pool.autostart():
        pool.setAutostart(True)
    return pool


def find_pool(connection: libvirt.virConnect, name: str) -> libvirt.virStoragePool | None:
    """Return the pool, None when libvirt says there is none."""
    try:
        return connection.storagePoolLookupByName(name)
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise


def open_pool(connection: libvirt.virConnect, name: str) -> libvirt.virStoragePool:
    """Return the pool, started.

    Raises:
        HostError: the pool is gone.
    """
    pool = find_pool(connection, name)
    if pool is None:
        raise HostError(
            f"{connection.getURI()}: storage pool {name!r} is gone; "
            "`pulumi refresh` and then `pulumi up` make it again"
        )
    if not pool.isActive():
        pool.create()
    return pool


def usable_pool(connection: libvirt.virConnect, name: str) -> libvirt.virStoragePool | None:
    """Return the pool, started; None when it is gone, or when a reboot left its directory unmounted."""
    pool = find_pool(connection, name)
    if pool is not None and not pool.isActive():
        try:
            pool.create()
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise
            return None
    return pool


def pool_directory(pool: libvirt.virStoragePool) -> str:
    """Return the folder on the host that the pool lists."""
    return etree.fromstring(pool.XMLDesc().encode()).findtext("target/path", "")


def remove_pool(connection: libvirt.virConnect, name: str, mark: Mark) -> None:
    """Forget the pool; its directory and files are not libvirt's to delete."""
    pool = find_pool(connection, name)
    if pool is None:
        return
    if not mark.owns("pool", name, pool.UUIDString()):
        raise NotOurs(mark.refusal("pool", name, connection.getURI()))
    if pool.isActive():
        pool.destroy()
    pool.undefine()


def find_volume(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    """Return the volume, None when libvirt says there is none."""
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise


def capacity_of(volume: libvirt.virStorageVol) -> int:
    """Return the size that a volume shows, in bytes."""
    capacity: int = volume.info()[1]
    return capacity


def overlays_of(pool: libvirt.virStoragePool, name: str) -> list[str]:
    """Return the volumes that only hold what differs from this one."""
    base = find_volume(pool, name)
    if base is None:
        return []
    path = base.path()
    return sorted(volume.name() for volume in pool.listAllVolumes() if _base_of(volume) == path)


def _base_of(volume: libvirt.virStorageVol) -> str | None:
    """Return the path of the volume that this one is built on; None where there is none, or where it went.

    libvirt lists also what somebody removed from the pool's folder.
    """
    try:
        return etree.fromstring(volume.XMLDesc().encode()).findtext("backingStore/path")
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise


def remove_volume(pool: libvirt.virStoragePool, name: str) -> None:
    """Delete the volume if it is there."""
    volume = find_volume(pool, name)
    if volume is not None:
        try:
            volume.delete()
        except libvirt.libvirtError as error:
            if not is_missing(error):
                raise


def create_volume(pool: libvirt.virStoragePool, volume: Volume) -> libvirt.virStorageVol:
    """Make a volume, in place of a half-made one that an interrupted run may have left."""
    remove_volume(pool, volume.name)
    return pool.createXML(volume.to_xml())


def clone_volume(
    pool: libvirt.virStoragePool, volume: Volume, source: libvirt.virStorageVol
) -> libvirt.virStorageVol:
    """Copy a raw volume by reference (reflink): at once, and sharing blocks until they are written."""
    remove_volume(pool, volume.name)
    return pool.createXMLFrom(volume.to_xml(), source, libvirt.VIR_STORAGE_VOL_CREATE_REFLINK)


@contextmanager
def _finished(stream: libvirt.virStream) -> Iterator[None]:
    """Finish the stream; on an error abort it and report that error, not the abort's."""
    try:
        yield
        stream.finish()
    except BaseException:
        with suppress(libvirt.libvirtError):
            stream.abort()
        raise


def upload_bytes(connection: libvirt.virConnect, volume: libvirt.virStorageVol, data: bytes) -> None:
    """Send a small volume, a seed for instance, in one go."""
    stream = connection.newStream()
    volume.upload(stream, 0, len(data))
    position = 0

    def send(_stream: libvirt.virStream, count: int, _opaque: object) -> bytes:
        nonlocal position
        part = data[position : position + count]
        position += len(part)
        return part

    with _finished(stream):
        stream.sendAll(send, None)


def download_bytes(connection: libvirt.virConnect, volume: libvirt.virStorageVol, length: int) -> bytes:
    """Fetch the first bytes of a volume."""
    stream = connection.newStream()
    volume.download(stream, 0, length)
    received = bytearray()
    with _finished(stream):
        stream.recvAll(lambda _stream, data, _opaque: received.extend(data), None)
    return bytes(received)
