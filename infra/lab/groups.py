"""A host's control groups: one group in each hierarchy, which the host then takes for the top.

Cgroup v1 with its controllers, and v2 beside them (as in CI), or v2 alone. Containers mount hierarchies that
this machine hasn't mounted (`container-init` in the node image), so a host is in a group of its own in those too.
Runs as a command, in mounts of its own: `groups.py join|remove LAB HOST [COMMAND …]`. Only the standard library.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.lab.marks import GROUP, LabError

_TOP: Final = Path("/sys/fs/cgroup")
_ANYWHERE: Final = Path("/mnt")
_LOCK: Final = Path("/run/azlocal-lab-groups.lock")
_EMPTY_SECONDS: Final = 10.0
_SESSIONS: Final = 4
"""How many logins' share of the processors machines get together, labs' hosts and libvirt's own alike.

A group gets what one login gets, else: all machines together as much as each run of the engine.
"""
_PERIOD_MICROSECONDS: Final = 20_000
"""Short, so that a host with little of a processor is slow, and doesn't stand still and run in turns."""


@dataclass(frozen=True)
class Hierarchy:
    """One tree of groups: `options` mount it; `target` is where this machine has it, None where it hasn't."""

    type: str
    options: str
    target: Path | None


def hierarchies(cgroup: str, mountinfo: str) -> list[Hierarchy]:
    """Read /proc/self/cgroup and /proc/self/mountinfo: v2 where it stands alone, else v1's and v2 beside them."""
    mounted = dict(_mounted(mountinfo))
    if mounted.get(frozenset()) == _TOP:
        return [Hierarchy("cgroup2", "", _TOP)]
    listed = []
    for line in cgroup.splitlines():
        controllers = line.split(":", 2)[1]
        if not controllers:
            listed.append(Hierarchy("cgroup2", "", mounted.get(frozenset())))
            continue
        options = f"none,{controllers}" if controllers.startswith("name=") else controllers
        listed.append(Hierarchy("cgroup", options, mounted.get(frozenset(controllers.split(",")))))
    return listed


def _mounted(mountinfo: str) -> Iterator[tuple[frozenset[str], Path]]:
    plain = {"rw", "xattr", "noprefix", "clone_children", "cpuset_v2_mode"}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup":
            words = {word for word in options.split(",") if not word.startswith("release_agent=")}
            yield frozenset(words - plain), Path(left.split()[4])
        elif kind == "cgroup2":
            yield frozenset(), Path(left.split()[4])


def here() -> list[Hierarchy]:
    """Return this machine's hierarchies."""
    return hierarchies(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())


def join(lab: str, host: str) -> None:
    """Put this process into the host's groups, which it makes."""
    for hierarchy in here():
        with _top_of(hierarchy) as top:
            group = top
            for name in (GROUP, lab, host):
                parent, group = group, group / name
                _hand_down(hierarchy, parent)
                group.mkdir(exist_ok=True)
                if "cpuset" in hierarchy.options.split(","):
                    _inherit_processors(parent, group)
            prefer(top / GROUP)
            (group / "cgroup.procs").write_text(str(os.getpid()))


def remove(lab: str, host: str) -> None:
    """Remove the groups of a host whose processes are gone, and the lab's with the last of them.

    Raises:
        OSError: something still runs in one of them.
    """
    for hierarchy in here():
        with _top_of(hierarchy) as mounted:
            top = mounted / GROUP
            own = top / lab / host
            below = [group for group in own.rglob("*") if group.is_dir()]
            for group in sorted(below, key=lambda path: -len(path.parts)):
                _remove_group(group)
            _remove_group(own)
            for group in (top / lab, top):
                if group.is_dir() and not any(path.is_dir() for path in group.iterdir()):
                    group.rmdir()


def standing(lab: str) -> list[Path]:
    """Return the groups of a lab that stand, as far as this machine has their hierarchies mounted."""
    tops = [hierarchy.target / GROUP / lab for hierarchy in here() if hierarchy.target]
    return [top for top in tops if top.is_dir()]


def limit_processors(lab: str, host: str, count: float) -> None:
    """Let a host's processes have so much of this machine's processors together, such as half of one.

    Raises:
        LabError: this machine has no groups that limit processors.
    """
    allowed = round(count * _PERIOD_MICROSECONDS)
    for hierarchy in here():
        group = hierarchy.target / GROUP / lab / host if hierarchy.target else None
        if group and (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{allowed} {_PERIOD_MICROSECONDS}")
            return
        if group and (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(str(allowed))
            return
    raise LabError("no control group here limits processors: the kernel needs CONFIG_CFS_BANDWIDTH")


def prefer(group: Path) -> None:
    """Give a group with machines in it several logins' share of the processors."""
    for name, one_login in (("cpu.shares", 1024), ("cpu.weight", 100)):
        if (group / name).exists():
            (group / name).write_text(str(_SESSIONS * one_login))


def mount_own(folder: str) -> None:
    """Mount what this machine has mounted, as seen from a group namespace, where a host looks for it."""
    mounted = [hierarchy for hierarchy in here() if hierarchy.target]
    if [hierarchy.type for hierarchy in mounted] == ["cgroup2"]:
        _mount("cgroup2", "", folder)
        # No group with processes may hand controllers down.
        leaf = Path(folder, "host")
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()))
        _hand_down(mounted[0], Path(folder))
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder], check=True)
    for hierarchy in mounted:
        if hierarchy.type == "cgroup2":
            continue  # libvirt_lxc fails where it sees v2 beside v1 (infra/kvm/daemon.py hides it as well)
        target = Path(folder, hierarchy.target.name if hierarchy.target else "")
        target.mkdir()
        _mount(hierarchy.type, hierarchy.options, str(target))


@contextmanager
def _top_of(hierarchy: Hierarchy) -> Iterator[Path]:
    if hierarchy.target:
        yield hierarchy.target
        return
    _mount(hierarchy.type, hierarchy.options, str(_ANYWHERE))
    yield _ANYWHERE
    subprocess.run(["umount", str(_ANYWHERE)], check=True)


def _mount(kind: str, options: str, target: str) -> None:
    chosen = ["-o", options] if options else []
    subprocess.run(["mount", "-t", kind, *chosen, kind, target], check=True)


def _hand_down(hierarchy: Hierarchy, group: Path) -> None:
    if hierarchy.type == "cgroup2":
        for controller in (group / "cgroup.controllers").read_text().split():
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _inherit_processors(parent: Path, group: Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (group / name).read_text().strip():
            (group / name).write_text((parent / name).read_text())


def _remove_group(group: Path) -> None:
    deadline = time.monotonic() + _EMPTY_SECONDS
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)  # the last of its processes is still going
        else:
            return


def main(verb: str, lab: str, host: str, *command: str) -> None:
    """Do one of the two; then become `command`."""
    with _LOCK.open("w") as file:  # else one removes the groups over its own while another adds there
        fcntl.flock(file, fcntl.LOCK_EX)
        (join if verb == "join" else remove)(lab, host)
    if command:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
