"""What people choose: pins name machines and hosts that are there, and fit (rules of our own)."""

from collections.abc import Iterator

from infra.plan.placement.plan import gib
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath, shown
from infra.spec.machine_names import plan_name
from infra.spec.near import nearest

_PINS: KeyPath = ("placement", "pins")


@rule("pin-unknown-machine", source="azlocal", part="placement")
def pin_unknown_machine(facts: Facts) -> Iterator[Fault]:
    """A pin names a machine of the plan."""
    owners = [machine.owner for machine in facts.machines if machine.held in (None, "autoscaling")]
    held = {machine.owner for machine in facts.machines} - {*owners}
    for written in facts.spec.stack.placement.pins:
        if plan_name(written, facts.spec.name, owners) is not None:
            continue
        owner = plan_name(written, facts.spec.name, held) or written
        near = nearest(owner.lower(), owners, 0.6)  # names of the plan have no capitals
        what = "is held and not there yet" if owner in held else "is no machine of this instance"
        remedy = f"did you mean {near}?" if near is not None and owner not in held else "take the pin away"
        yield Fault("stack", (*_PINS, written), f"{shown(written)} {what}", remedy)


@rule("placement-pin-twice", source="azlocal", part="placement")
def placement_pin_twice(facts: Facts) -> Iterator[Fault]:
    """A machine is pinned to one host, whichever of its names a pin has."""
    owners = {machine.owner for machine in facts.machines}
    first: dict[str, str] = {}
    for written, host in facts.spec.stack.placement.pins.items():
        owner = plan_name(written, facts.spec.name, owners) or written
        if first.setdefault(owner, host) != host:
            message = f"{owner} is pinned to {first[owner]}, and by its other name to {host}"
            yield Fault("stack", (*_PINS, written), message, "remove one of the two")


@rule("pin-unknown-host", source="azlocal", part="placement")
def pin_unknown_host(facts: Facts) -> Iterator[Fault]:
    """A pin names a host of the site that takes machines."""
    rooms = {room.name: room for room in facts.placement.rooms}
    taking = ", ".join(room.name for room in facts.taking) or "none"
    for written, host in facts.spec.stack.placement.pins.items():
        owner = plan_name(written, facts.spec.name, facts.placement.hosts) or written
        if host not in rooms:
            message = f"{owner} is pinned to {shown(host)}, which isn't in hosts/{facts.spec.site}.yaml"
        elif rooms[host].leaving and facts.placement.hosts.get(owner) != host:
            message = f"{owner} is pinned to {host}, which {rooms[host].leaving}"
        else:
            continue
        yield Fault("stack", (*_PINS, written), message, f"pin it to one of: {taking}; or take the pin away")


@rule("pin-without-room", source="§5.4", part="placement")
def pin_without_room(facts: Facts) -> Iterator[Fault]:
    """A pinned machine fits into its host."""
    taking = {room.name for room in facts.taking}
    pins = facts.spec.placement_pins({planned.owner for planned in facts.machines})
    for machine in facts.placement.unplaced:
        host = pins.get(machine.owner)
        if host not in taking or host is None:
            continue
        able = [name for name in sorted(taking) if facts.ledger.has_room(machine, name)]
        lacks = f"{gib(machine.memory_mib)} GiB; {gib(max(0, facts.ledger.memory[host]))} are left"
        message = f"{machine.owner} is pinned to {host}, and takes {lacks} there"
        remedy = "no host has room; use a smaller vmSize"
        if able:
            remedy = f"pin it to one with room: {', '.join(able)}"
        place = (*_PINS, facts.pins.get(machine.owner, machine.owner))
        yield Fault("stack", place, message, f"{remedy}; or take the pin away")
