"""A disk image on a host is made equal to the one here, chunk by chunk, from here or from a host that has it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from infra.kvm import chunks
from infra.kvm.chunk_worker import ImageFile
from infra.kvm.connection import Hosts
from infra.kvm.errors import HostError
from infra.kvm.spread import HERE, Spreads
from infra.model.host import ImageNeighbour
from infra.model.local_libvirt import QEMU
from infra.model.work import Work
from infra.ssh import CommandError, LocalShell, Shell, ShellError

_SIDE_SUFFIX: Final = ".chunks"
"""Of the file beside an image that keeps its chunks' hashes."""
_ROUNDS: Final = 4
_LOOK_SECONDS: Final = 20.0
_COPY_SECONDS: Final = 900.0
_TURN_SECONDS: Final = 0.25


@dataclass(frozen=True)
class Target:
    """The volume to be made: `connection` and `shell` are its host's."""

    connection: str
    shell: Shell
    pool: str
    volume: str
    path: str

    @property
    def content(self) -> str:
        """Return what the image is called on every host."""
        return content_name(self.pool, self.volume)


def content_name(pool: str, volume: str) -> str:
    """Return what an image is called, whatever the host."""
    return f"{pool}/{volume}"


class ImageCopies:
    """All images that this process brings to hosts. Thread-safe."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._reading = threading.Lock()
        self._known: dict[tuple[str, int, int], Mapping[int, str]] = {}
        self.spreads = Spreads()

    def bring(
        self, source: Path, target: Target, neighbours: Sequence[ImageNeighbour], complete: str, work: Work
    ) -> None:
        """Make a volume equal to a file here: what it has already stays, what differs is sent.

        Args:
            source: the file.
            target: the volume.
            neighbours: hosts from which it may come, too.
            complete: the name of the volume by whose presence a neighbour tells that it has the image whole.
            work: who waits.

        Raises:
            HostError: it can't be done; what arrived stays, and the next attempt goes on from there.
        """
        copy = _Copy(source, target, self._hashes(source, work), work)
        by_connection = {neighbour.connection: neighbour for neighbour in neighbours}
        for _ in range(_ROUNDS):
            missing = copy.missing()
            if not missing:
                return
            if not is_remote(target.connection) and copy.is_untouched(missing):
                copy.place()
                return
            self.spreads.lost(target.content, target.connection)
            if by_connection and is_remote(target.connection):
                self._ask(target, by_connection, complete, copy)
            with self._source(target, by_connection, copy) as chosen:
                if chosen == HERE:
                    self._offer_if(copy.send(missing), target)
                    continue
                neighbour, by_connection = by_connection[chosen], {}  # what fails there needn't fail from here
                path = self.spreads.path(target.content, chosen)
                try:
                    self._offer_if(copy.fetch(missing, neighbour, self._hosts.shell(chosen), path), target)
                except (HostError, ShellError) as error:
                    work.info(f"the node image comes from this machine and not from {neighbour.name}: {error}")
        raise HostError(
            f"{target.shell.host}: {target.path} isn't what was written to it, {_ROUNDS} times over: the disk "
            f"there is damaged, or {source} changes meanwhile (`azlocal image verify` reads it)"
        )

    def _offer_if(self, is_complete: bool, target: Target) -> None:
        """Let others fetch it from a host while that is checked once more: they check what they get themselves."""
        if is_complete:
            self.spreads.has(target.content, target.connection, target.path)

    def _source(
        self, target: Target, neighbours: Mapping[str, ImageNeighbour], copy: _Copy
    ) -> AbstractContextManager[str]:
        if not is_remote(target.connection):
            return nullcontext(HERE)  # no link that others need

        return self.spreads.source(target.content, target.connection, list(neighbours), copy.work)

    def _ask(self, target: Target, neighbours: Mapping[str, ImageNeighbour], complete: str, copy: _Copy) -> None:
        def path_on(connection: str) -> str | None:
            shell = self._hosts.shell(connection)
            paths = [_volume_path(shell, target.pool, name) for name in (complete, target.volume)]
            return paths[1] if all(paths) else None

        self.spreads.ask(target.content, list(neighbours), path_on, copy.work)

    def _hashes(self, source: Path, work: Work) -> Mapping[int, str]:
        """Read the file once, however many hosts get it, and keep what was found beside it for later runs.

        A file that was damaged meanwhile arrives nowhere: what is sent has other hashes.
        """
        text = "node image: reading it here"
        while not self._reading.acquire(timeout=_TURN_SECONDS):
            work.check(text)
        try:
            with source.open("rb") as file:
                about = source.stat()
                key = (str(source), about.st_size, about.st_mtime_ns)
                if key not in self._known:
                    self._known[key] = _kept_hashes(source, key[1:])
                if not self._known[key]:
                    hashes = {}
                    count = chunks.chunk_count(about.st_size)
                    for number, digest in chunks.hashes(file.fileno(), about.st_size):
                        work.check(text)
                        work.status(f"{text}, {number * 100 // count} %")
                        hashes[number] = digest
                    self._known[key] = hashes
                    _keep_hashes(source, key[1:], hashes)
                return self._known[key]
        finally:
            self._reading.release()


def _kept_hashes(source: Path, stamp: tuple[int, int]) -> Mapping[int, str]:
    try:
        stored = json.loads(_side_file(source).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return dict(enumerate(stored["chunks"])) if (stored["size"], stored["modified"]) == stamp else {}


def _keep_hashes(source: Path, stamp: tuple[int, int], hashes: Mapping[int, str]) -> None:
    size, modified = stamp
    content = {"size": size, "modified": modified, "chunks": [hashes[number] for number in range(len(hashes))]}
    with suppress(ShellError):  # somebody else's folder: then it is read again next time
        LocalShell().write_file(str(_side_file(source)), json.dumps(content).encode(), mode=0o644)


def _side_file(source: Path) -> Path:
    return source.with_name(f"{source.name}{_SIDE_SUFFIX}")


class _Copy:
    """One image on its way to one host.

    Attributes:
        work: Who waits for it: what is told there shows that it is of this image, and since when.
    """

    def __init__(self, source: Path, target: Target, wanted: Mapping[int, str], work: Work) -> None:
        self.work = replace(work, status=self._tell)
        self._source, self._wanted, self._status = source, wanted, work.status
        self._file = ImageFile(target.shell, target.path, source.stat().st_size, self._tick)
        self._data = sum(1 for digest in wanted.values() if digest != chunks.ZEROS)
        self._started = time.monotonic()
        self._text = "looking at what the host has"

    def missing(self) -> dict[int, str]:
        """Return the chunks that the host doesn't have as they should be."""
        hashes: dict[int, str] = {}
        for number, digest in self._file.compare():
            hashes[number] = digest
            self._text = f"checking it there, {len(hashes) * 100 // len(self._wanted)} %"
        return {number: digest for number, digest in self._wanted.items() if hashes.get(number) != digest}

    def is_untouched(self, missing: Mapping[int, str]) -> bool:
        """Return whether none of the image's data is there yet."""
        return len(missing) >= self._data

    def place(self) -> None:
        """Copy the whole file at the kernel's speed, on the machine that has it; what is done is on its disk.

        Nothing is compared afterwards: the copy would be read from the memory that it was just written from.
        """
        self._text = "copying it on this machine"
        copy = ["cp", "--sparse=always", "--", str(self._source), self._file.path]
        for command in (copy, ["sync", "--data", "--", self._file.path]):
            try:
                with self._file.shell.start(command) as process:
                    for _ in process.lines(patience=_COPY_SECONDS):
                        self._tick()
            except CommandError as error:
                raise HostError(str(error)) from error

    def send(self, missing: Mapping[int, str]) -> bool:
        """Send chunks from here; return whether all of them arrived as they should be."""
        return self._follow(self._file.take(self._source, missing), missing, "this machine")

    def fetch(self, missing: Mapping[int, str], neighbour: ImageNeighbour, shell: Shell, path: str) -> bool:
        """Have the host fetch chunks from another one; return whether all arrived as they should be."""
        theirs = ImageFile(shell, path, self._file.size, self._tick)
        with theirs.serving(missing, neighbour.address) as offer:
            return self._follow(self._file.fetch(offer, missing), missing, neighbour.name)

    def _follow(self, outcomes: Iterable[tuple[int, bool]], missing: Mapping[int, str], name: str) -> bool:
        left = dict(missing)
        for number, good in outcomes:
            if good:
                del left[number]
            there = self._data - sum(1 for digest in left.values() if digest != chunks.ZEROS)
            self._text = f"{there * 100 // max(1, self._data)} % from {name}"
        return not left

    def _tick(self) -> None:
        self.work.check(f"node image: {self._text}")
        self.work.status(self._text)

    def _tell(self, text: str) -> None:
        self._status(f"node image: {text}, {time.monotonic() - self._started:.0f} s")


def is_remote(connection: str) -> bool:
    """Return whether a libvirt URI leads to another machine."""
    return bool(urlsplit(connection).netloc)


def _volume_path(shell: Shell, pool: str, volume: str) -> str | None:
    """Return a volume's path; None when the host doesn't have it, or can't be asked: others can send it, too."""
    try:
        done = shell.run(
            ["virsh", "--quiet", "--connect", QEMU, "vol-path", "--pool", pool, volume],
            timeout=_LOOK_SECONDS,
            check=False,
        )
    except ShellError:
        return None
    return done.stdout.strip() if done.exit_code == 0 else None
