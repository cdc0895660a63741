"""The room that hosts have, and who takes it: the one arithmetic of capacity. Whole MiB of memory, GiB of disk.

Memory is a limit. Disk isn't: disks are thin and grow on demand (SCALE), so what they may grow to only says which
host is better. Processors aren't counted, since no ratio of virtual to real ones is published
(azure_local_facts.md §5.4).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from infra.plan.inventory import PlannedMachine
from infra.plan.placement.lock import PlacementLock, natural
from infra.spec.loader import InstanceSpec

# SEED4: keep 15 % of an instance free, so that the rest absorbs a lost machine (azure_local_facts.md §5.4).
DEFAULT_RESERVE_PERCENT = 15


@dataclass(frozen=True, slots=True)
class HostRoom:
    """A host's room.

    Attributes:
        name: The host.
        memory_mib: Its memory; None is unknown, and so not limited.
        disk_gib: Its room for disks; None is unknown.
        drain: Whether its machines move away.
        lost: Whether it is gone for good, so that they move, too, and nothing is asked of it.
        reserve_mib: Memory that stays free.
        others_mib: Memory that other instances of the site take.
        others_gib: Disk that other instances of the site take.
        live: Whether those that move away migrate as they run.
    """

    name: str
    memory_mib: int | None = None
    disk_gib: int | None = None
    drain: bool = False
    reserve_mib: int = 0
    others_mib: int = 0
    others_gib: int = 0
    lost: bool = False
    live: bool = False

    @property
    def takes(self) -> bool:
        """Tell whether machines are placed here."""
        return not (self.drain or self.lost)

    @property
    def leaving(self) -> str | None:
        """Say why its machines leave; None where they stay."""
        if self.lost:
            return "is lost"
        return ("drains live" if self.live else "drains") if self.drain else None

    @property
    def key(self) -> str:
        """Return what hosts/*.yaml says of it when its machines leave: `drain: live`."""
        return "lost: true" if self.lost else f"drain: {'live' if self.live else 'true'}"

    def memory_for_machines(self, *, keep_reserve: bool) -> float:
        """Return the memory that this instance's machines may take, in MiB; infinite where it isn't known."""
        if self.memory_mib is None:
            return math.inf
        return self.memory_mib - self.others_mib - (self.reserve_mib if keep_reserve else 0)

    @property
    def disk_for_machines(self) -> float:
        """Return the disk that others leave this instance's machines, in GiB; infinite where it isn't known."""
        return math.inf if self.disk_gib is None else self.disk_gib - self.others_gib


@dataclass(frozen=True, slots=True)
class Reserve:
    """How much of each host's memory stays free, and whether that is a rule or only better."""

    percent: int
    is_kept: bool


NO_RESERVE = Reserve(0, is_kept=False)


def reserve_of(spec: InstanceSpec) -> Reserve:
    """Return the reserve: what people wrote, else 15 % where a second host could need it."""
    written = spec.stack.placement.reserve_percent
    if written is not None:
        return Reserve(written, is_kept=True)
    return Reserve(DEFAULT_RESERVE_PERCENT if len(spec.hosts.hosts) > 1 else 0, is_kept=False)


def build_rooms(spec: InstanceSpec, lock: PlacementLock) -> list[HostRoom]:
    """Return each host's room, in the order of the names."""
    percent = reserve_of(spec).percent
    memory: Counter[str] = Counter()
    disk: Counter[str] = Counter()
    for place in lock.of_others(spec.name).values():
        memory[place.host] += place.memory_mib
        disk[place.host] += place.disk_gib
    rooms = {
        host.name: HostRoom(
            host.name,
            host.memory_gib * 1024 if host.memory_gib is not None else None,
            host.disk_gib,
            bool(host.drain),
            (host.memory_gib or 0) * 1024 * percent // 100,
            memory[host.name],
            disk[host.name],
            host.lost,
            host.drains_live,
        )
        for host in spec.hosts.hosts
    }
    return [rooms[name] for name in sorted(rooms, key=natural)]


class Ledger:
    """Who has taken how much of which host; placing one machine changes it."""

    def __init__(self, rooms: Sequence[HostRoom], *, keep_reserve: bool) -> None:
        self.memory = {room.name: room.memory_for_machines(keep_reserve=keep_reserve) for room in rooms}
        self.disk = {room.name: room.disk_for_machines for room in rooms}
        self.members: Counter[tuple[str, str]] = Counter()

    def has_room(self, machine: PlannedMachine, host: str) -> bool:
        """Tell whether a host has the memory for a machine."""
        return self.memory[host] >= machine.memory_mib

    def has_disk(self, machine: PlannedMachine, host: str) -> bool:
        """Tell whether a host holds all disks, should they grow to their full size: better, but no must."""
        return self.disk[host] >= machine.disk_gib

    def take(self, machine: PlannedMachine, host: str) -> None:
        """Give a machine room on a host, whether that has it or not."""
        self.memory[host] -= machine.memory_mib
        self.disk[host] -= machine.disk_gib
        self.members[machine.availability_set, host] += 1

    def free(self, machine: PlannedMachine, host: str) -> None:
        """Give a machine's room back."""
        self.memory[host] += machine.memory_mib
        self.disk[host] += machine.disk_gib
        self.members[machine.availability_set, host] -= 1

    def count(self, availability_set: str, host: str) -> int:
        """Return how many machines of a set are on a host."""
        return self.members[availability_set, host]

    def fits(self, memory_mib: int, hosts: Iterable[str]) -> float:
        """Return how many machines of a size still fit on hosts together; infinite where nothing limits them."""
        total = 0.0
        for host in hosts:
            count = max(0.0, self.memory[host] / memory_mib if memory_mib else math.inf)
            total += count if math.isinf(count) else math.floor(count)
        return total
