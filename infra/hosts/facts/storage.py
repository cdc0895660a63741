"""Drives, file systems, loop devices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.hosts.facts.fact import Fact


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A mounted file system; sizes in bytes."""

    target: str
    source: str
    kind: str
    size: int
    available: int


@dataclass(frozen=True, slots=True)
class Disk:
    """A whole drive; size in bytes.

    Attributes:
        mount_points: Where it, its partitions and what lies on them are mounted.
    """

    name: str
    size: int
    model: str | None
    mount_points: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Storage:
    """Drives, file systems, and which files are behind loop devices."""

    disks: tuple[Disk, ...]
    file_systems: tuple[FileSystem, ...]
    loop_files: tuple[tuple[str, str], ...]

    def holding(self, path: str) -> FileSystem | None:
        """Return the file system that holds a path, whether that exists yet or not."""
        parts = path.rstrip("/").split("/")
        for length in range(len(parts), 0, -1):
            prefix = "/".join(parts[:length]) or "/"
            mounted = [system for system in self.file_systems if system.target == prefix]
            if mounted:
                return mounted[-1]  # the last one mounted there covers the others
        return None

    def below(self, holding: FileSystem) -> FileSystem | None:
        """Return what holds the sparse file that a file system is in; None where it is in no file."""
        file = dict(self.loop_files).get(holding.source)
        return self.holding(file) if file else None

    def available(self, holding: FileSystem) -> int:
        """Return the bytes that can really be written: a sparse file has no more than what is below it."""
        below = self.below(holding)
        return min(holding.available, below.available) if below else holding.available


def parse_file_systems(text: str) -> tuple[FileSystem, ...]:
    """Read `findmnt --json --bytes`."""
    return tuple(_file_systems(json.loads(text)["filesystems"]))


def parse_disks(text: str) -> tuple[Disk, ...]:
    """Read `lsblk --json --bytes`: whole drives that hold something."""
    return tuple(
        Disk(row["name"], int(row["size"]), row.get("model"), tuple(_mount_points(row)))
        for row in json.loads(text)["blockdevices"]
        if row["type"] == "disk" and int(row["size"]) > 0
    )


def parse_loop_files(text: str) -> tuple[tuple[str, str], ...]:
    """Read `losetup --json`, which prints nothing where there are no loop devices."""
    return tuple(
        (row["name"], row["back-file"].removesuffix(" (deleted)"))
        for row in json.loads(text.strip() or '{"loopdevices": []}')["loopdevices"]
        if row.get("back-file")
    )


FILE_SYSTEMS: Final = Fact(
    ("findmnt", "--json", "--bytes", "--real", "--output", "TARGET,SOURCE,FSTYPE,SIZE,AVAIL"), parse_file_systems
)
DISKS: Final = Fact(("lsblk", "--json", "--bytes", "--output", "NAME,TYPE,SIZE,MODEL,MOUNTPOINTS"), parse_disks)
LOOP_FILES: Final = Fact(
    ("losetup", "--json", "--list", "--output", "NAME,BACK-FILE"), parse_loop_files, as_root=True
)


def _file_systems(rows: list[Mapping[str, Any]]) -> Iterator[FileSystem]:
    for row in rows:
        yield FileSystem(
            row["target"], row["source"] or "", row["fstype"], int(row["size"] or 0), int(row["avail"] or 0)
        )
        yield from _file_systems(row.get("children", []))


def _mount_points(row: Mapping[str, Any]) -> Iterator[str]:
    yield from (point for point in row.get("mountpoints", []) if point)
    for child in row.get("children", []):
        yield from _mount_points(child)
