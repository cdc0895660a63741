"""Hosts on which nothing is made: what libvirt and a machine's seed are told is kept, up to the definition."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from types import SimpleNamespace
from typing import Any

import libvirt
import pycdlib
from lxml import etree

from infra.model.work import Work
from infra.ssh.shell import CommandResult

HOST_MEMORY_MIB = 65536
IMAGE_BYTES = 4 << 30
SEED = "/seeds/"


class Defined(BaseException):
    """The definition is told, which is where nothing more is asked of a host. No kind may answer it."""


class Missing(libvirt.libvirtError):  # type: ignore[misc]  # untyped
    """Nothing of that name is there."""

    def __init__(self, code: int) -> None:
        super().__init__("not there")
        self.code = code

    def get_error_code(self) -> int:
        return self.code


class Volume:
    """A file in the pool."""

    def __init__(self, path: str, capacity: int = IMAGE_BYTES) -> None:
        self._path, self._capacity = path, capacity
        self.content = b""

    def path(self) -> str:
        return self._path

    def info(self) -> list[int]:
        return [0, self._capacity, 0]

    def upload(self, stream: Any, offset: int, length: int, flags: int = 0) -> None:
        stream.volume = self


class Stream:
    """Takes what a volume is filled with."""

    volume: Volume | None = None

    def sendAll(self, send: Callable[[Any, int, Any], bytes], opaque: Any) -> None:
        assert self.volume is not None
        while part := send(self, 1 << 20, opaque):
            self.volume.content += part

    def finish(self) -> None:
        pass


class Pool:
    """The storage pool of an instance; an image lies in it, whatever its name."""

    def __init__(self, name: str, host: Host) -> None:
        self._name, self._host = name, host
        self.directory = f"/var/lib/azlocal/{name}/volumes"

    def name(self) -> str:
        return self._name

    def isActive(self) -> bool:
        return True

    def XMLDesc(self, flags: int = 0) -> str:
        return f"<pool><target><path>{self.directory}</path></target></pool>"

    def storageVolLookupByName(self, name: str) -> Volume:
        if name.startswith("image-"):
            return Volume(f"{self.directory}/{name}")
        if name not in self._host.volumes:
            raise Missing(libvirt.VIR_ERR_NO_STORAGE_VOL)
        return self._host.volumes[name]

    def createXML(self, xml: str, flags: int = 0) -> Volume:
        self._host.told.append(xml)
        root = etree.fromstring(xml.encode())
        name = root.findtext("name", "")
        self._host.volumes[name] = Volume(f"{self.directory}/{name}", int(root.findtext("capacity", "0")))
        return self._host.volumes[name]

    def createXMLFrom(self, xml: str, source: Volume, flags: int = 0) -> Volume:
        return self.createXML(xml, flags)


class Host:
    """One host, as a session is to it: libvirt, and a shell on which every command succeeds."""

    def __init__(self, connection: str, *, has_pool: bool = True) -> None:
        self.connection, self.has_pool = connection, has_pool
        self.told: list[str] = []
        self.volumes: dict[str, Volume] = {}
        self.files: dict[str, bytes] = {}
        self.starting = Lock()
        self.qemu = self.lxc = self.shell = self

    # -- libvirt

    def hypervisor(self, driver: str) -> Host:
        return self

    def getURI(self) -> str:
        return self.connection

    def getInfo(self) -> list[Any]:
        return ["x86_64", HOST_MEMORY_MIB, 16]

    def lookupByName(self, name: str) -> Any:
        raise Missing(libvirt.VIR_ERR_NO_DOMAIN)

    def networkLookupByName(self, name: str) -> Any:
        raise Missing(libvirt.VIR_ERR_NO_NETWORK)

    def storagePoolLookupByName(self, name: str) -> Any:
        if not self.has_pool:
            raise Missing(libvirt.VIR_ERR_NO_STORAGE_POOL)
        return Pool(name, self)

    def storagePoolDefineXML(self, xml: str) -> Any:
        return self.defineXML(xml)

    def newStream(self) -> Stream:
        return Stream()

    def defineXML(self, xml: str) -> Any:
        self.told.append(xml)
        raise Defined

    def networkDefineXML(self, xml: str) -> Any:
        self.told.append(xml)
        raise Defined

    # -- the shell

    def run(self, argv: Sequence[str], **how: Any) -> CommandResult:
        return CommandResult(tuple(argv), 0, "", "")

    def exists(self, path: str) -> bool:
        return False

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        pass

    def remove_tree(self, path: str) -> None:
        pass

    def write_file(self, path: str, data: bytes, mode: int = 0o600) -> None:
        self.files[path] = data

    def seed(self) -> dict[str, bytes]:
        """Return the files of the seed that was placed, of a container or of a VM."""
        for name, volume in self.volumes.items():
            if name.endswith(".iso"):
                return _in_iso(volume.content)
        return {path.rpartition("/")[2]: data for path, data in self.files.items() if SEED in path}


class Hosts:
    """Lends a new host for each object."""

    def __init__(self) -> None:
        self.last = Host("")

    @contextmanager
    def session(self, connection: str, work: Work) -> Iterator[Host]:
        if connection != self.last.connection:
            self.last = Host(connection)
        yield self.last

    def is_lost(self, connection: str) -> bool:
        return False

    def give_up(self, connection: str) -> None:
        pass

    def told_by(self, act: Callable[[], object]) -> Host:
        """Run what ends with a definition; return the host that was told it."""
        self.last = Host("")
        try:
            act()
        except Defined:
            return self.last
        raise AssertionError("nothing was defined")


class Silent(SimpleNamespace):
    """A log that nobody reads."""

    def status(self, urn: str, text: str) -> None:
        pass

    info = warning = status


def _in_iso(content: bytes) -> dict[str, bytes]:
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(content))
    found = {}
    for child in iso.list_children(joliet_path="/"):
        if child.is_file():
            name = child.file_identifier().decode("utf-16-be")
            out = io.BytesIO()
            iso.get_file_from_iso_fp(out, joliet_path=f"/{name}")
            found[name] = out.getvalue()
    iso.close()
    return found
