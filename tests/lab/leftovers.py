"""What a lab has left on this machine, asked of the kernel and the file system themselves."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.lab import groups, wire
from tests.lab.host import processes
from tests.lab.marks import GROUP, client_config, controller_link, folder, switch_namespace


def lab_leftovers(lab: str) -> list[str]:
    """Return a line for each thing of the lab that still stands; empty when it is proven gone."""
    return [
        *(f"process {pid}" for pid in processes(lab)),
        *(f"control group {group}" for group in groups.standing(lab)),
        *_processes_in_groups(lab),
        *(f"network namespace {one}" for one in wire.namespaces() if one == switch_namespace(lab)),
        *(f"link {one}" for one in wire.links() if one == controller_link(lab)),
        *loop_devices(lab),
        *_mounts(lab),
        *(f"file {path}" for path in (folder(lab), client_config(lab)) if path.exists()),
    ]


def loop_devices(lab: str) -> list[str]:
    """Return the loop devices that hold a host's store. By file, not by name: hosts name theirs alike.

    A machine's root lies in its host's store, and holds that: where no store is held, no root is.
    """
    stores = {_identity(path): path for path in folder(lab).glob("*/var/lib/azlocal/**/*.xfs")}
    columns = "NAME,BACK-INO,BACK-MAJ:MIN"
    listed = subprocess.run(
        ["losetup", "--json", "--list", "--output", columns], check=True, capture_output=True, text=True
    )
    devices = json.loads(listed.stdout or '{"loopdevices": []}')["loopdevices"]
    return [
        f"loop device {one['name']} with {stores[key]}"
        for one in devices
        if (key := (int(one["back-ino"] or 0), str(one["back-maj:min"]))) in stores
    ]


def _identity(path: Path) -> tuple[int, str]:
    found = path.stat()
    return found.st_ino, f"{found.st_dev >> 8 & 0xFFF}:{found.st_dev & 0xFF}"


def _processes_in_groups(lab: str) -> list[str]:
    """Find what left its parent: a process's groups are for ever below its host's.

    One that has ended and waits for its parent is still said to be in its group of v2, which is gone: no process
    that lives lets a group be removed.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue  # it ended meanwhile
        if any(f":/{GROUP}/{lab}/" in line and not line.endswith(" (deleted)") for line in lines):
            found.append(f"process {path.parent.name} in a group of the lab")
    return found


def _mounts(lab: str) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [f"mount {line}" for line in lines if f"{folder(lab)}/" in line]
