"""What a lab has left on this machine, asked of the kernel and the file system themselves."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from infra.lab import groups, wire
from infra.lab.host import processes
from infra.lab.marks import GROUP, client_config, controller_link, folder, switch_namespace


def lab_leftovers(lab: str) -> list[str]:
    """Return a line for each thing of the lab that still stands; empty when it is proven gone."""
    return [
        *(f"process {pid}" for pid in processes(lab)),
        *(f"control group {group}" for group in groups.standing(lab)),
        *_processes_in_groups(lab),
        *(
            f"network namespace {namespace}"
            for namespace in wire.namespaces()
            if namespace == switch_namespace(lab)
        ),
        *(f"link {link}" for link in wire.links() if link == controller_link(lab)),
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
        f"loop device {device['name']} with {stores[key]}"
        for device in devices
        if (key := (int(device["back-ino"] or 0), str(device["back-maj:min"]))) in stores
    ]


def _identity(path: Path) -> tuple[int, str]:
    about = path.stat()
    return about.st_ino, f"{about.st_dev >> 8 & 0xFFF}:{about.st_dev & 0xFF}"


def _processes_in_groups(lab: str) -> list[str]:
    """Find what left its parent: a process's groups are for ever below its host's.

    One that has ended and waits for its parent is still said to be in its group of v2, which is gone: no process
    that lives lets a group be removed.
    """
    leftovers = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue  # it ended meanwhile
        if any(f":/{GROUP}/{lab}/" in line and not line.endswith(" (deleted)") for line in lines):
            leftovers.append(f"process {path.parent.name} in a group of the lab")
    return leftovers


def _mounts(lab: str) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [f"mount {line}" for line in lines if f"{folder(lab)}/" in line]
