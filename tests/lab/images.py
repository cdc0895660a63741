"""An image on its way to a lab's hosts, by the Image kind itself; as a program, so that it can be killed, too.

`python -m tests.lab.images LAB FILE` brings the file to every host of a lab and tells of it in lines.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from infra.kvm.chunks import CHUNK
from infra.kvm.connection import Hosts
from infra.kvm.ownership import Mark
from infra.kvm.storage import ensure_pool
from infra.lab import lab as labs
from infra.lab.host import LabHost
from infra.lab.lab import Lab
from infra.model.work import Work
from infra.plugin.operation import Operation
from infra.provider.kind import Made
from infra.provider.kinds.image import ImageKind
from infra.resources.image import ImageInputs, ImageState

VOLUMES: Final = "/var/lib/azlocal/images/volumes"
_POOL: Final = "azlocal-images"
_ROOT: Final = Path(__file__).resolve().parents[2]
_PROGRESS: Final = re.compile(r"node image: (\d+) % from ([\w ]+), \d+ s")


def make_image(path: Path, data: int, holes: int) -> Path:
    """Write an image of so many chunks of data, with that many of nothing before and among them."""
    with path.open("wb") as file:
        file.truncate((data + holes) * CHUNK + 4096)
        for number in range(data):
            place = holes // 2 + number + (holes // 2 if number >= data // 2 else 0)
            os.pwrite(file.fileno(), os.urandom(CHUNK - 8192), place * CHUNK + 4096)
    return path


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class Log:
    """What one host's image was said to do."""

    name: str
    aloud: bool
    said: list[str] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)

    def status(self, urn: str, text: str) -> None:
        self.said.append(text)
        if self.aloud:
            print(f"{self.name}: {text}", flush=True)  # noqa: T201

    def info(self, urn: str, text: str) -> None:
        self.infos.append(text)

    warning = info

    def debug(self, text: str) -> None:
        self.infos.append(text)

    @property
    def progress(self) -> list[tuple[int, str]]:
        """Return how far it was, and from where it came, each time it was said."""
        return [(int(found[1]), found[2]) for text in self.said if (found := _PROGRESS.fullmatch(text))]

    @property
    def sources(self) -> set[str]:
        return {source for _, source in self.progress}


@dataclass
class Delivery:
    """One host's image being made, in a thread."""

    host: LabHost
    log: Log
    cancelled: threading.Event
    seconds: float = 0.0
    made: Made[ImageState] | None = None
    error: Exception | None = None
    thread: threading.Thread = field(default_factory=threading.Thread)

    @property
    def volume(self) -> Path:
        """Return the image's file on the host's disk."""
        (found,) = (self.host.disk / VOLUMES.lstrip("/")).glob("image-*.raw")
        return found

    @property
    def is_complete(self) -> bool:
        return bool(list((self.host.disk / VOLUMES.lstrip("/")).glob("*.complete")))

    def wait(self, seconds: float = 300) -> Delivery:
        self.thread.join(seconds)
        assert not self.thread.is_alive()
        return self


class Deliveries:
    """The Image kind as one plugin process has it."""

    def __init__(self, lab: Lab, image: Path, *, aloud: bool = False) -> None:
        self._lab, self._aloud = lab, aloud
        self._hosts = Hosts()
        self._kind = ImageKind(self._hosts)
        size = image.stat().st_size
        self._artifact = {"path": str(image), "sha256": sha256_of(image), "format": "raw", "virtualSize": size}

    def start(self, *hosts: LabHost) -> list[Delivery]:
        """Make the image on hosts (on all of them when none is named), all at once."""
        started = [
            Delivery(host, Log(host.name, self._aloud), threading.Event()) for host in hosts or self._lab.hosts
        ]
        for delivery in started:
            delivery.thread = threading.Thread(target=self._make, args=(delivery,))
            delivery.thread.start()
        return started

    def run(self, *hosts: LabHost) -> dict[str, Delivery]:
        """Make the image on hosts and return what became of it, by host."""
        done = {one.host.name: one.wait() for one in self.start(*hosts)}
        for one in done.values():
            if one.error is not None:
                raise one.error
        return done

    def _make(self, delivery: Delivery) -> None:
        started = time.monotonic()
        operation = Operation("urn:pulumi:lab::azlocal::azlocal:index:Image::x", delivery.log, delivery.cancelled)
        try:
            self._make_pool(delivery.host)
            delivery.made = self._kind.create(operation, self._inputs(delivery.host))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            delivery.error = error
        delivery.seconds = time.monotonic() - started

    def _make_pool(self, host: LabHost) -> None:
        with self._hosts.session(host.connection, Work(status=print)) as session:
            session.shell.make_directory(VOLUMES)
            ensure_pool(session.qemu, _POOL, VOLUMES, Mark("images", "lab", "urn"))

    def _inputs(self, host: LabHost) -> ImageInputs:
        others = [
            {"name": one.name, "connection": one.connection, "address": None}
            for one in self._lab.hosts
            if one != host
        ]
        wanted: dict[str, Any] = {
            "instance": "images",
            "connection": host.connection,
            "pool": _POOL,
            "machineType": "container",
            "container": self._artifact,
            "neighbours": others,
        }
        checked, faults = self._kind.contract.check(wanted, frozenset())
        assert not faults
        assert not self._kind.check(checked, frozenset())
        return ImageInputs.model_validate(checked)


def start_process(lab: Lab, image: Path) -> subprocess.Popen[str]:
    """Bring an image to all hosts from a process of its own; its output tells what it does."""
    command = [sys.executable, "-m", "tests.lab.images", lab.name, str(image)]
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)


def workers(host: LabHost) -> list[str]:
    """Return the processes on a host that copy images."""
    found = host.run("pgrep", "--list-full", "--full", "sys.stdin.buffer.read", check=False).stdout
    return [line for line in found.splitlines() if "pgrep" not in line]


def followed(lines: Iterator[str]) -> Iterator[tuple[str, int]]:
    """Yield a host's name and how many percent it has, for each such line."""
    for line in lines:
        name, _, text = line.strip().partition(": ")
        found = _PROGRESS.fullmatch(text)
        if found:
            yield name, int(found[1])


def main(arguments: Sequence[str]) -> None:
    lab = labs.find(arguments[0])
    assert lab is not None
    Deliveries(lab, Path(arguments[1]), aloud=True).run()


if __name__ == "__main__":
    main(sys.argv[1:])
