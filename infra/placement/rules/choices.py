"""What people choose: pins name machines and hosts that are there, and fit (rules of our own)."""

from collections.abc import Iterator
from difflib import get_close_matches

from infra.placement.plan import gib
from infra.placement.rules.base import Facts, rule
from infra.spec.findings import KeyPath, shown
from infra.spec.machine_names import plan_name
from infra.spec.rules import Fault

_PINS: KeyPath = ("placement", "pins")


@rule("pin-unknown-machine", source="azlocal")
def pin_unknown_machine(facts: Facts) -> Iterator[Fault]:
    """A pin names a machine of the plan."""
    owners = [one.owner for one in facts.demands if one.held is None]
    held = {one.owner for one in facts.demands if one.held is not None}
    for written in facts.spec.stack.placement.pins:
        if plan_name(written, facts.spec.name, owners) is not None:
            continue
        owner = plan_name(written, facts.spec.name, held) or written
        near = get_close_matches(owner, owners, n=1, cutoff=0.6)
        what = "is held and not there yet" if owner in held else "is no machine of this instance"
        remedy = f"did you mean {near[0]}?" if near and owner not in held else "take the pin away"
        yield Fault("stack", (*_PINS, written), f"{shown(written)} {what}", remedy)


@rule("placement-pin-twice", source="azlocal")
def placement_pin_twice(facts: Facts) -> Iterator[Fault]:
    """A machine is pinned to one host, whichever of its names a pin has."""
    owners = {one.owner for one in facts.demands}
    first: dict[str, str] = {}
    for written, host in facts.spec.stack.placement.pins.items():
        owner = plan_name(written, facts.spec.name, owners) or written
        if first.setdefault(owner, host) != host:
            message = f"{owner} is pinned to {first[owner]}, and by its other name to {host}"
            yield Fault("stack", (*_PINS, written), message, "remove one of the two")


@rule("pin-unknown-host", source="azlocal")
def pin_unknown_host(facts: Facts) -> Iterator[Fault]:
    """A pin names a host of the site that takes machines."""
    rooms = {one.name: one for one in facts.placement.rooms}
    taking = ", ".join(one.name for one in facts.taking) or "none"
    for written, host in facts.spec.stack.placement.pins.items():
        owner = plan_name(written, facts.spec.name, facts.placement.hosts) or written
        if host not in rooms:
            message = f"{owner} is pinned to {shown(host)}, which isn't in hosts/{facts.spec.site}.yaml"
        elif rooms[host].leaving and facts.placement.hosts.get(owner) != host:
            message = f"{owner} is pinned to {host}, which {rooms[host].leaving}"
        else:
            continue
        yield Fault("stack", (*_PINS, written), message, f"pin it to one of: {taking}; or take the pin away")


@rule("pin-without-room", source="§5.4")
def pin_without_room(facts: Facts) -> Iterator[Fault]:
    """A pinned machine fits into its host."""
    taking = {one.name for one in facts.taking}
    pins = facts.spec.placement_pins({one.owner for one in facts.demands})
    for one in facts.placement.unplaced:
        host = pins.get(one.owner)
        if host not in taking or host is None:
            continue
        able = [name for name in sorted(taking) if facts.ledger.has_room(one, name)]
        lacks = f"{gib(one.memory_mib)} GiB; {gib(max(0, facts.ledger.memory[host]))} are left"
        message = f"{one.owner} is pinned to {host}, and takes {lacks} there"
        remedy = "no host has room; use a smaller vmSize"
        if able:
            remedy = f"pin it to one with room: {', '.join(able)}"
        place = (*_PINS, facts.pins.get(one.owner, one.owner))
        yield Fault("stack", place, message, f"{remedy}; or take the pin away")
