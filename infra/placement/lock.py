"""hosts/<site>.lock.yaml: which host every machine of the site is on, so that none moves without a reason.

One line a machine, sorted, so that a git diff is the review. A site can carry several instances, so an owner is
`<instance>/<name>`; a machine's size stands beside it, because it takes that much from the others. A machine that
a plan moved keeps where it `was`, and why, until an `up` moves it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.lock_file import broken_lock, lock_entries, read_lock_document, update_file, write_yaml
from infra.spec.tree import Document

_HEADER = (
    "# Which host every machine of this site is on. azlocal writes it: review the diff, commit it.\n"
    "# A machine moves only when its host drains or is gone, or a pin says so; `was`: its move waits for `up`.\n"
)
_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a machine is.

    Attributes:
        host: The host.
        memory_mib: The memory it takes.
        disk_gib: What its disk can grow to.
        was: The host it was on, as long as no `up` has moved it.
        because: Why it moves.
    """

    host: str
    memory_mib: int
    disk_gib: int
    was: str | None = None
    because: str | None = None

    def to_yaml(self) -> dict[str, Any]:
        """Return its line of the file."""
        line = {"host": self.host, "memoryMiB": self.memory_mib, "diskGiB": self.disk_gib}
        return line | ({"was": self.was, "because": self.because} if self.was else {})


@dataclass(frozen=True, slots=True)
class PlacementLock:
    """What the file says: places by `<instance>/<name>`."""

    machines: Mapping[str, Place] = field(default_factory=dict)

    def of_instance(self, instance: str) -> dict[str, Place]:
        """Return the places of one instance's machines by their names."""
        start = f"{instance}/"
        return {name.removeprefix(start): one for name, one in self.machines.items() if name.startswith(start)}

    def of_others(self, instance: str) -> dict[str, Place]:
        """Return the places of the other instances' machines by `<instance>/<name>`."""
        return {name: one for name, one in self.machines.items() if not name.startswith(f"{instance}/")}

    def record(self, instance: str, places: Mapping[str, Place]) -> "PlacementLock":
        """Return the lock after a plan of one instance: exactly its machines, and the others' as they were."""
        own = {f"{instance}/{name}": one for name, one in places.items()}
        return PlacementLock({**self.of_others(instance), **own})

    def release(self, instance: str, names: Iterable[str]) -> "PlacementLock":
        """Return the lock without the named machines of an instance; names as the plan has them."""
        gone = set(names)
        kept = {name: one for name, one in self.of_instance(instance).items() if name not in gone}
        return self.record(instance, kept)

    def hosts(self) -> dict[str, str]:
        """Return each machine's host: what `--frozen` keeps, while sizes and notes may change."""
        return {name: one.host for name, one in self.machines.items()}


def read_placement_lock(path: Path) -> PlacementLock:
    """Read the lock; a file that isn't there is an empty lock.

    Raises:
        SpecError: The file is not a lock.
    """
    document = read_lock_document(path, f"hosts/{path.name}")
    return PlacementLock() if document is None else _parse(document)


def write_placement_lock(path: Path, lock: PlacementLock) -> None:
    """Replace the lock file in one step; call it under `update_placement_lock` only."""
    machines = {name: lock.machines[name].to_yaml() for name in sorted(lock.machines, key=natural)}
    write_yaml(path, _HEADER, {"version": 1, "machines": machines})


def update_placement_lock(path: Path, change: Callable[[PlacementLock], PlacementLock]) -> PlacementLock:
    """Read, change and write the lock while no other process does.

    Args:
        path: The lock file; its folder must exist.
        change: Returns the new lock; the file is written only if it differs.

    Raises:
        SpecError: The file is not a lock, or can't be written.
    """
    return update_file(path, f"hosts/{path.name}", read_placement_lock, change, write_placement_lock)


def natural(name: str) -> list[tuple[str, int]]:
    """Return what to sort a name by, so that `a-10` comes after `a-9`."""
    parts = _NUMBER.split(name)
    return [(text, int(number or 0)) for text, number in zip(parts[::2], [*parts[1::2], ""], strict=True)]


def _parse(document: Document) -> PlacementLock:
    found = {}
    for name, entry in lock_entries(document, "machines").items():
        match entry:
            case {"host": str(host), "memoryMiB": int(memory), "diskGiB": int(disk)} if "/" in name:
                found[name] = Place(host, memory, disk, _text(entry, "was"), _text(entry, "because"))
            case _:
                raise broken_lock(document, "no {host, memoryMiB, diskGiB}", ("machines", name))
    return PlacementLock(found)


def _text(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    return value if isinstance(value, str) else None
