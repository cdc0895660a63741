"""hosts/<site>.lock.yaml: which host every machine of the site is on, so that none moves without a reason.

Nodes that autoscaling may add are listed, too, with the host where each will be.

One line a machine, sorted, so that a git diff is the review. A site can carry several instances, so an owner is
`<instance>/<name>`; a machine's size stands beside it, because it takes that much from the others. A machine that
a plan moved keeps where it `was`, and why, until an `up` moves it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from infra.plan.lock_file import LockFile, broken_lock, lock_entries
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
        return {name.removeprefix(start): place for name, place in self.machines.items() if name.startswith(start)}

    def of_others(self, instance: str) -> dict[str, Place]:
        """Return the places of the other instances' machines by `<instance>/<name>`."""
        return {name: place for name, place in self.machines.items() if not name.startswith(f"{instance}/")}

    def record(self, instance: str, places: Mapping[str, Place]) -> "PlacementLock":
        """Return the lock after a plan of one instance: exactly its machines, and the others' as they were."""
        own = {f"{instance}/{name}": place for name, place in places.items()}
        return PlacementLock({**self.of_others(instance), **own})

    def release(self, instance: str, names: Iterable[str]) -> "PlacementLock":
        """Return the lock without the named machines of an instance; names as the plan has them."""
        gone = set(names)
        rest = {name: place for name, place in self.of_instance(instance).items() if name not in gone}
        return self.record(instance, rest)

    def hosts(self) -> dict[str, str]:
        """Return each machine's host: what `--frozen` keeps, while sizes and notes may change."""
        return {name: place.host for name, place in self.machines.items()}


def natural(name: str) -> list[tuple[str, int]]:
    """Return what to sort a name by, so that `a-10` comes after `a-9`."""
    parts = _NUMBER.split(name)
    return [(text, int(number or 0)) for text, number in zip(parts[::2], [*parts[1::2], ""], strict=True)]


def _parse(document: Document) -> PlacementLock:
    places = {}
    for name, entry in lock_entries(document, "machines").items():
        match entry:
            case {"host": str(host), "memoryMiB": int(memory), "diskGiB": int(disk)} if "/" in name:
                places[name] = Place(host, memory, disk, _text(entry, "was"), _text(entry, "because"))
            case _:
                raise broken_lock(document, "no {host, memoryMiB, diskGiB}", ("machines", name))
    return PlacementLock(places)


def _text(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    return value if isinstance(value, str) else None


def _content(lock: PlacementLock) -> dict[str, Any]:
    machines = {name: lock.machines[name].to_yaml() for name in sorted(lock.machines, key=natural)}
    return {"version": 1, "machines": machines}


PLACEMENT_LOCK: Final = LockFile("hosts", PlacementLock(), _parse, _content, _HEADER)
