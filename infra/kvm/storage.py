"""A host's storage pool: images, disks and seeds as libvirt volumes, local or over SSH alike."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import libvirt
from lxml import etree
from lxml.builder import E

from infra.kvm.errors import HostError, NotOurs, is_missing
from infra.kvm.ownership import Mark

Format = Literal["raw", "qcow2"]


@dataclass(frozen=True)
class Volume:
    """A volume to be made: `capacity` in bytes; `backing` the path a qcow2 overlay lies on."""

    name: str
    capacity: int
    format: Format
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


def ensure_pool(connection: libvirt.virConnect, name: str, directory: str, mark: Mark) -> libvirt.virStoragePool:
    """Define and start the directory pool, or take the one an earlier run made."""
    xml = etree.tostring(
        E.pool(E.name(name), E.uuid(mark.uuid("pool", name)), E.target(E.path(directory)), type="dir"),
        encoding="unicode",
    )
    pool = find_pool(connection, name)
    if pool is None:
        pool = connection.storagePoolDefineXML(xml)
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


def overlays_of(pool: libvirt.virStoragePool, name: str) -> list[str]:
    """Return the volumes that only hold what differs from this one."""
    base = find_volume(pool, name)
    if base is None:
        return []
    path = base.path()
    return sorted(
        volume.name()
        for volume in pool.listAllVolumes()
        if etree.fromstring(volume.XMLDesc().encode()).findtext("backingStore/path") == path
    )


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


def clone_volume(pool: libvirt.virStoragePool, volume: Volume, source: str) -> libvirt.virStorageVol:
    """Copy a raw volume by reference (reflink): at once, and sharing blocks until they are written."""
    remove_volume(pool, volume.name)
    original = find_volume(pool, source)
    if original is None:
        raise HostError(
            f"{pool.name()}: image volume {source!r} is gone; "
            "`pulumi refresh` and then `pulumi up` upload it again"
        )
    return pool.createXMLFrom(volume.to_xml(), original, libvirt.VIR_STORAGE_VOL_CREATE_REFLINK)


def upload_file(
    connection: libvirt.virConnect,
    volume: libvirt.virStorageVol,
    source: Path,
    progress: Callable[[int, int], None],
) -> None:
    """Send a file into a volume, its holes as holes.

    Args:
        progress: called with bytes sent so far and bytes in all; may raise to stop.
    """
    stream = connection.newStream()
    # Unbuffered: positions in the file are asked of the kernel and of Python in turn.
    with source.open("rb", buffering=0) as file:
        size = source.stat().st_size
        volume.upload(stream, 0, size, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
        state = _SparseFile(file.fileno(), size, progress)
        with _finished(stream):
            stream.sparseSendAll(state.read, state.section, state.skip, None)


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


@dataclass(frozen=True)
class _SparseFile:
    """Answers libvirt's three questions about an open file: what's next, is it a hole, skip it."""

    file: int
    size: int
    progress: Callable[[int, int], None]

    def read(self, _stream: libvirt.virStream, count: int, _opaque: object) -> bytes:
        data = os.read(self.file, count)
        self.progress(os.lseek(self.file, 0, os.SEEK_CUR), self.size)
        return data

    def section(self, _stream: libvirt.virStream, _opaque: object) -> tuple[bool, int]:
        """Return whether the position lies in data, and how many bytes stay like that."""
        here = os.lseek(self.file, 0, os.SEEK_CUR)
        try:
            data = os.lseek(self.file, here, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # "no data from here to the end"
                raise
            data = self.size
        end = os.lseek(self.file, here, os.SEEK_HOLE) if data == here < self.size else data
        os.lseek(self.file, here, os.SEEK_SET)
        return data == here < self.size, end - here

    def skip(self, _stream: libvirt.virStream, count: int, _opaque: object) -> int:
        return os.lseek(self.file, count, os.SEEK_CUR)


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
