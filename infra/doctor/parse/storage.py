"""Drives, file systems, loop devices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from infra.doctor.facts import Disk, FileSystem, Storage


def storage(findmnt: str, lsblk: str, losetup: str) -> Storage:
    """Read `findmnt --json`, `lsblk --json` and `losetup --json`, sizes in bytes; the last two may be empty."""
    return Storage(
        disks=tuple(_disks(json.loads(lsblk or '{"blockdevices": []}')["blockdevices"])),
        file_systems=tuple(_file_systems(json.loads(findmnt)["filesystems"])),
        loop_files=tuple(
            (one["name"], one["back-file"].removesuffix(" (deleted)"))
            for one in json.loads(losetup.strip() or '{"loopdevices": []}')["loopdevices"]
            if one.get("back-file")
        ),
    )


def _file_systems(rows: list[Mapping[str, Any]]) -> Iterator[FileSystem]:
    for row in rows:
        yield FileSystem(
            row["target"], row["source"] or "", row["fstype"], int(row["size"] or 0), int(row["avail"] or 0)
        )
        yield from _file_systems(row.get("children", []))


def _disks(rows: list[Mapping[str, Any]]) -> Iterator[Disk]:
    for row in rows:
        if row["type"] == "disk" and int(row["size"]) > 0:
            yield Disk(row["name"], int(row["size"]), row.get("model"), tuple(_mount_points(row)))


def _mount_points(row: Mapping[str, Any]) -> Iterator[str]:
    yield from (point for point in row.get("mountpoints", []) if point)
    for child in row.get("children", []):
        yield from _mount_points(child)
