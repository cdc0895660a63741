"""Room: every machine fits into a host, and all of them into all hosts (azure_local_facts.md §5.3-5.4).

That is about memory. Disks are thin, so what they may grow to refuses nothing; see `disk-overcommitted`.
"""

import math
from collections.abc import Iterator, Sequence

from infra.counting import counted
from infra.plan.inventory import PlannedMachine
from infra.plan.placement.plan import Placed, gib, memory_of
from infra.plan.placement.room import HostRoom
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.vm_sizes import VmSize

_LISTED = 5


@rule("vm-larger-than-host", source="§5.4", part="placement")
def vm_larger_than_host(facts: Facts) -> Iterator[Fault]:
    """Each machine's memory fits into one host."""
    seen = set()
    for machine in facts.machines:
        if machine.size.name in seen or not _is_too_large(facts, machine):
            continue
        seen.add(machine.size.name)
        memory = max((_capacity(facts, room) for room in facts.taking), default=0)
        less = " for machines" if facts.placement.reserve.is_kept else ""
        message = (
            f"{machine.size.name} has {gib(machine.memory_mib)} GiB; the largest host has {gib(memory)}{less}"
        )
        larger = f"a host with memoryGiB {_host_gib(facts, machine.memory_mib)} or more"
        yield Fault(
            "stack", machine.size_path, message, _either(_size_within(facts, machine.size, memory), larger)
        )


@rule("no-room", source="§5.4", part="placement")
def no_room(facts: Facts) -> Iterator[Fault]:
    """Every machine finds room on a host."""
    sets: dict[str, list[PlannedMachine]] = {}
    pins = facts.pins
    for machine in facts.placement.unplaced:
        if machine.owner not in pins and facts.taking and not _is_too_large(facts, machine):
            sets.setdefault(machine.availability_set, []).append(machine)
    for name, left in sets.items():
        first = left[0]
        members = sum(planned.availability_set == name and planned.held is None for planned in facts.machines)
        best = max(facts.taking, key=lambda room: facts.ledger.memory[room.name])
        message = (
            f"no room for {_these(left)} ({len(left)} of {members} in {name}): "
            f"each takes {gib(first.memory_mib)} GiB; "
            f"the most that is left is {gib(max(0, facts.ledger.memory[best.name]))} GiB on {best.name}"
        )
        yield Fault("stack", first.size_path, message, _either(_smaller_size(facts, first), *_more(facts, first)))


@rule("host-overfull", source="§5.4", part="placement")
def host_overfull(facts: Facts) -> Iterator[Fault]:
    """The machines that are on a host, where they stay, fit into it."""
    for room in facts.taking:
        there = facts.placement.on(room.name)
        if not there or facts.ledger.memory[room.name] >= 0:
            continue
        limit = room.memory_for_machines(keep_reserve=facts.placement.reserve.is_kept)
        taken = f"{gib(memory_of(there))} GiB; there are {gib(max(0, limit))}"
        larger = f"memoryGiB {_host_gib(facts, memory_of(there) + room.others_mib)} or more"
        message = f"the machines on {room.name} take {taken} for them"
        path = facts.host_path(room.name, "memoryGiB")
        remedy = _either(_pin(facts, room, there), f"give {room.name} {larger}", "use a smaller vmSize")
        yield Fault("hosts", path, message, remedy)


@rule("disk-overcommitted", source="SCALE, NEW", severity="warning", part="placement")
def disk_overcommitted(facts: Facts) -> Iterator[Fault]:
    """A host's disk holds its machines' disks at their full size; they are thin, so this is no must."""
    for room in facts.placement.rooms:
        there = facts.placement.on(room.name)
        if not there or room.disk_gib is None or facts.ledger.disk[room.name] >= 0:
            continue
        total = sum(placed.machine.disk_gib for placed in there) + room.others_gib
        others = f", {room.others_gib} of them other instances'" if room.others_gib else ""
        message = f"the disks on {room.name} may grow to {total} GiB{others}; it has {room.disk_gib}"
        largest = max(there, key=lambda placed: placed.machine.disk_gib).machine
        if largest.disk_gib > room.disk_gib:
            message += f", less than {largest.owner} alone may fill ({largest.disk_gib})"
        remedy = (
            "disks are thin, so machines run until they have written that much: watch the host's free disk, "
            f"give it diskGiB {total}, or choose a vmSize of the site's own (vmSizes) with a smaller diskGiB"
        )
        yield Fault("hosts", facts.host_path(room.name, "diskGiB"), message, remedy)


@rule("every-host-drains", source="azlocal", part="placement")
def every_host_drains(facts: Facts) -> Iterator[Fault]:
    """One host at least takes machines."""
    rooms = facts.placement.rooms
    if rooms and not facts.taking:
        name, key = rooms[0].name, "lost" if rooms[0].lost else "drain"
        count = sum(machine.held is None for machine in facts.machines)
        reasons = " or ".join(sorted({str(room.leaving) for room in rooms}))
        what = f"{name} {reasons}, and it is the only host" if len(rooms) == 1 else f"every host {reasons}"
        message = f"{what}: nothing is left to run {counted(count, 'machine')}"
        remedy = f"add the host that they must move to, or take `{rooms[0].key}` away"
        yield Fault("hosts", facts.host_path(name, key), message, remedy)


@rule("capacity-unknown", source="azlocal", severity="info", part="placement")
def capacity_unknown(facts: Facts) -> Iterator[Fault]:
    """Room is limited where it is known: all hosts say what they have, or none does and nothing asks for it."""
    placement = facts.spec.stack.placement
    is_asked = placement.headroom == "host" or placement.reserve_percent is not None
    unknown = [room.name for room in facts.taking if room.memory_mib is None]
    if unknown and (is_asked or len(unknown) < len(facts.taking)):
        names = ", ".join(unknown[:_LISTED]) + _more_than(unknown)
        message = f"memoryGiB of {names} isn't known: nothing limits it"
        note = "; azlocal:placement asks for room that nobody can check" if is_asked else ""
        path = facts.host_path(unknown[0], "memoryGiB")
        remedy = "write it into the hosts file"
        yield Fault("hosts", path, message + note, remedy, "warning" if is_asked else None)


def _is_too_large(facts: Facts, machine: PlannedMachine) -> bool:
    """Tell whether no host is large enough for a machine, even an empty one; hosts of unknown size are."""
    return bool(facts.taking) and not any(
        room.memory_mib is None or machine.memory_mib <= _capacity(facts, room) for room in facts.taking
    )


def _capacity(facts: Facts, room: HostRoom) -> float:
    if room.memory_mib is None:
        return math.inf
    return room.memory_mib - (room.reserve_mib if facts.placement.reserve.is_kept else 0)


def _host_gib(facts: Facts, mib: int) -> int:
    """Return the memoryGiB of a host whose room for machines is that much."""
    percent = facts.placement.reserve.percent if facts.placement.reserve.is_kept else 0
    return math.ceil(mib / 1024 * 100 / (100 - percent))


def _size_within(facts: Facts, size: VmSize, memory: float) -> str | None:
    """Say which VM size fits into the largest host, and can be what machines of this size are."""
    roles = {machine.role for machine in facts.machines if machine.size == size}
    fitting = [
        other
        for other in facts.spec.vm_sizes().values()
        if other.memory_mib <= memory
        and ("controlPlane" not in roles or other.for_control_plane)
        and bool(other.gpus) <= bool(size.gpus)
    ]
    best = max(fitting, key=_by_size, default=None)
    return f"use vmSize {best.name} ({gib(best.memory_mib)} GiB)" if best else None


def _smaller_size(facts: Facts, machine: PlannedMachine) -> str | None:
    """Say which VM size would fit all machines of a set: the largest that does."""
    members = [other for other in facts.machines if other.availability_set == machine.availability_set]
    count = sum(other.held is None for other in members)
    hosts = [room.name for room in facts.taking]
    there = [
        other for other in facts.placement.placed if other.machine.availability_set == machine.availability_set
    ]
    for other in there:
        facts.ledger.free(other.machine, other.host)
    fitting = [
        size
        for size in facts.spec.vm_sizes().values()
        if size.memory_mib < machine.memory_mib
        and (machine.role != "controlPlane" or size.for_control_plane)
        and bool(size.gpus) <= bool(machine.size.gpus)
        and facts.ledger.fits(size.memory_mib, hosts) >= count
    ]
    for other in there:
        facts.ledger.take(other.machine, other.host)
    best = max(fitting, key=_by_size, default=None)
    return f"use vmSize {best.name} ({gib(best.memory_mib)} GiB), which fits" if best else None


def _by_size(size: VmSize) -> tuple[int, int, str]:
    return size.memory_mib, size.vcpus, size.name


def _more(facts: Facts, first: PlannedMachine) -> Iterator[str]:
    """Say which host would hold all machines that find no room, and what else would make some."""
    left = facts.placement.unplaced
    memory = _host_gib(facts, sum(machine.memory_mib for machine in left))
    yield f"add a host with memoryGiB {memory} or more, for all that finds none"
    draining = [room for room in facts.placement.rooms if room.drain and not room.lost]
    if draining:
        yield f"take `{draining[0].key}` away from {draining[0].name}"
    if facts.placement.reserve.is_kept and any(
        facts.ledger.memory[room.name] + room.reserve_mib >= first.memory_mib for room in facts.taking
    ):
        yield "keep a smaller reservePercent"
    if any(room.others_mib for room in facts.taking):
        yield "free what an instance that is gone still holds, with `azlocal release`"


def _pin(facts: Facts, room: HostRoom, there: Sequence[Placed]) -> str | None:
    """Say which one machine could move where, so that the rest fits."""
    memory = -facts.ledger.memory[room.name]
    for placed in sorted(there, key=lambda candidate: candidate.machine.memory_mib):
        if placed.machine.memory_mib < memory:
            continue
        for other in facts.taking:
            if other.name != room.name and facts.ledger.has_room(placed.machine, other.name):
                return f"move one: azlocal:placement.pins: {{{placed.machine.owner}: {other.name}}}"
    return None


def _these(left: Sequence[PlannedMachine]) -> str:
    names = [machine.owner for machine in left]
    return ", ".join(names[:_LISTED]) + _more_than(names)


def _more_than(names: Sequence[str]) -> str:
    return f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""


def _either(*ways: str | None) -> str:
    known = [way for way in ways if way]
    return "; or ".join(known)
