"""An image on its way to hosts: what is sent, from where, and what is said. Hosts are folders of this machine."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.errors import Interrupted
from infra.kvm.chunks import CHUNK
from infra.kvm.connection import Hosts
from infra.kvm.errors import HostError
from infra.kvm.image_copy import ImageCopies, Target
from infra.model.host import ImageNeighbour
from infra.model.work import Work
from infra.ssh import CommandResult, LocalShell, Process, Shell

COMPLETE = "image.complete"


class FolderShell(LocalShell):
    """Takes a folder for its host's pool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def host(self) -> str:
        return self.folder.name

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout: float = 60,
        check: bool = True,
    ) -> CommandResult:
        assert argv[:5] == ["virsh", "--quiet", "--connect", "qemu:///system", "vol-path"]
        found = self.folder / argv[-1]
        return CommandResult(tuple(argv), 0 if found.exists() else 1, f"{found}\n" if found.exists() else "", "")


class Folders(Hosts):
    """Hosts that are folders."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def shell(self, connection: str) -> Shell:
        return FolderShell(self._root / connection.removeprefix("qemu+ssh://").removesuffix("/system"))


@dataclass
class Said:
    """Hears what is said; says that it isn't wanted any more once the word was heard."""

    stop_at: str = "\0"
    texts: list[str] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def status(self, text: str) -> None:
        self.texts.append(text)
        if re.search(self.stop_at, text):
            self.stopped.set()

    @property
    def work(self) -> Work:
        return Work(cancelled=self.stopped, status=self.status, info=self.infos.append)

    @property
    def sources(self) -> set[str]:
        return {found[1] for text in self.texts if (found := re.search(r"% from ([\w ]+),", text))}


@dataclass
class Site:
    """A few hosts, and an image here."""

    root: Path
    image: Path
    hosts: Hosts
    copies: ImageCopies

    def connection(self, name: str) -> str:
        return "qemu:///system" if name == "local" else f"qemu+ssh://{name}/system"

    def volume(self, name: str) -> Path:
        return self.root / name / "image"

    def bring(self, name: str, *neighbours: str, said: Said | None = None, address: str = "127.0.0.1") -> Said:
        """Bring the image to a host, as the Image kind does."""
        said = said or Said()
        (self.root / name).mkdir(exist_ok=True)
        self.volume(name).touch()
        path, connection = str(self.volume(name)), self.connection(name)
        shell = FolderShell(self.root / name)
        others = [ImageNeighbour(name=one, connection=self.connection(one), address=address) for one in neighbours]
        target = Target(connection, shell, "pool", "image", path)
        self.copies.bring(self.image, target, others, COMPLETE, said.work)
        assert self.volume(name).read_bytes() == self.image.read_bytes()
        (self.root / name / COMPLETE).touch()
        return said

    def again(self) -> None:
        """Be another process."""
        self.copies = ImageCopies(self.hosts)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    image = tmp_path / "image.raw"
    with image.open("wb") as file:
        file.truncate(6 * CHUNK + 5)
        for number in (0, 2, 5):
            os.pwrite(file.fileno(), os.urandom(100_000), number * CHUNK + 70_000)
    hosts = Folders(tmp_path)
    return Site(tmp_path, image, hosts, ImageCopies(hosts))


def damage(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), b"damage", offset)


@pytest.mark.parametrize("name", ["local", "a"])
def test_a_host_gets_it_from_here(site: Site, name: str) -> None:
    said = site.bring(name)
    assert said.infos == []
    assert said.texts[0] == "node image: reading it here, 0 %"
    assert all(re.fullmatch(r"node image: .*(\d+ %|\d+ s)", one) for one in said.texts)
    assert said.sources <= {"this machine"}
    assert site.volume(name).stat().st_blocks * 512 < 2 << 20


class FullShell(FolderShell):
    """Has a disk without room for what is copied here."""

    def start(self, argv: Sequence[str]) -> Process:
        return super().start([*argv[:-1], "/dev/full"] if argv[0] == "cp" else argv)


def test_a_full_disk_here_is_the_hosts_error(site: Site) -> None:
    (site.root / "local").mkdir()
    site.volume("local").touch()
    shell = FullShell(site.root / "local")
    target = Target(site.connection("local"), shell, "pool", "image", str(site.volume("local")))
    with pytest.raises(HostError, match="No space left on device"):
        site.copies.bring(site.image, target, [], COMPLETE, Work())


def test_a_file_is_read_for_its_hashes_once_and_again_when_it_changes(site: Site) -> None:
    site.bring("a")
    site.again()
    assert "reading it here" not in " ".join(site.bring("b").texts)
    damage(site.image, 5)
    assert "reading it here" in " ".join(site.bring("c").texts)


def test_hosts_that_come_later_get_it_from_one_that_has_it(site: Site) -> None:
    site.bring("a")
    assert site.bring("b", "a").sources <= {"a"}
    site.again()
    assert site.bring("c", "b", "d").sources <= {"b"}, "it is asked who has it from before"


def test_many_at_once_all_get_it(site: Site) -> None:
    names = [f"h{number}" for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: site.bring(name, *(one for one in names if one != name)), names))


def test_a_neighbour_that_is_not_complete_is_not_asked_for_it(site: Site) -> None:
    (site.root / "a").mkdir()
    (site.root / "a/image").write_bytes(b"half")
    said = site.bring("b", "a")
    assert (said.infos, said.sources - {"this machine"}) == ([], set())


def test_what_a_neighbour_cannot_give_comes_from_here(site: Site) -> None:
    site.bring("a")
    said = site.bring("b", "a", address="192.0.2.1")  # nobody's
    (info,) = said.infos
    assert info.startswith("the node image comes from this machine and not from a: a: ")
    assert "Cannot assign requested address" in info


def test_what_is_damaged_at_a_neighbour_comes_from_here(site: Site) -> None:
    site.bring("a")
    damage(site.volume("a"), 2 * CHUNK + 80_000)
    assert site.bring("b", "a").infos == []


def test_only_what_differs_is_sent(site: Site) -> None:
    site.bring("a")
    before = site.volume("a").stat().st_ino
    damage(site.volume("a"), 2 * CHUNK + 80_000)
    damage(site.volume("a"), 3 * CHUNK)
    os.truncate(site.volume("a"), 5 * CHUNK)
    said = site.bring("a")
    assert site.volume("a").stat().st_ino == before
    assert not any(re.search(r" (0|33) % from", one) for one in said.texts)


def test_an_interrupted_run_is_gone_on_with(site: Site) -> None:
    for moment in ("reading it here", "looking|checking"):
        site.again()
        with pytest.raises(Interrupted):
            site.bring("a", said=Said(stop_at=moment))
        assert not (site.root / "a" / COMPLETE).exists()
    site.bring("a")


def test_an_image_that_changes_meanwhile_is_never_called_whole(site: Site) -> None:
    site.bring("a")
    about = site.image.stat()
    damage(site.image, 80_000)
    os.utime(site.image, ns=(about.st_atime_ns, about.st_mtime_ns))  # what was read of it before still counts
    site.again()
    with pytest.raises(HostError, match="azlocal image verify"):
        site.bring("b")
    assert not (site.root / "b" / COMPLETE).exists()
