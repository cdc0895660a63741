"""Which host each machine goes to: pure, spread evenly, and stable.

An availability set (a cluster's control plane, one of its pools) spreads evenly, so a host has at most
ceil(members / hosts) of its machines as long as there is room (azure_local_facts.md §5.5, AVSET). Within that,
a host whose disk holds all disks at their full size is better than one that is promised more than it has. Each set
goes round the hosts in an order of its own, drawn from the set's and the hosts' names. So the files' order means
nothing, and sets don't all begin on the same host. What is on record stays; where nothing is, that alone keeps
machines where they are when others come, as long as there is room.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from infra.plan.inventory import PlannedMachine
from infra.plan.placement.room import HostRoom, Ledger

_LISTED = 3


@dataclass
class Outcome:
    """Where machines went.

    Attributes:
        chosen: Host and reason by machine.
        unplaced: Machines without room.
    """

    chosen: dict[str, tuple[str, str]] = field(default_factory=dict)
    unplaced: list[PlannedMachine] = field(default_factory=list)


@dataclass(frozen=True)
class Given:
    """What is decided before machines are spread.

    Attributes:
        stays: Hosts of machines that are there already and stay.
        pins: Hosts of machines that people placed; each is a host that takes machines.
    """

    stays: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)


Choose = Callable[[PlannedMachine, Sequence[str], Ledger], "str | None"]


def spread(
    machines: Sequence[PlannedMachine], rooms: Sequence[HostRoom], given: Given, *, is_reserve_kept: bool = False
) -> Outcome:
    """Return a host for every machine that finds room.

    Machines go round the hosts first; only if one of them finds no room then, all that aren't there yet are
    packed instead, the largest first. The reserve is kept as long as that leaves nobody out.

    Args:
        machines: The machines.
        rooms: The hosts' room.
        given: What is decided already.
        is_reserve_kept: Never use the reserve, rather than leave it free where possible.
    """
    wanted = sorted(machines, key=lambda machine: -machine.memory_mib)
    sizes = Counter(machine.availability_set for machine in machines)
    hosts = [room.name for room in rooms if room.takes]
    first: Outcome | None = None
    for keep_reserve in (True,) if is_reserve_kept else (True, False):
        for choose in (_Rounds(sizes), _Tightest(sizes)):
            outcome = _attempt(wanted, rooms, hosts, given, choose, sizes, keep_reserve)
            if not outcome.unplaced:
                return outcome
            if first is None or len(outcome.unplaced) < len(first.unplaced):
                first = outcome
    assert first is not None  # noqa: S101  there is an attempt at least
    return first


def _attempt(
    wanted: Sequence[PlannedMachine],
    rooms: Sequence[HostRoom],
    hosts: Sequence[str],
    decided: Given,
    choose: Choose,
    sizes: Mapping[str, int],
    keep_reserve: bool,
) -> Outcome:
    ledger = Ledger(rooms, keep_reserve=keep_reserve)
    outcome = Outcome()
    rest = []
    for machine in wanted:
        stay = decided.stays.get(machine.owner)
        if stay is None:
            rest.append(machine)
            continue
        ledger.take(machine, stay)
        outcome.chosen[machine.owner] = stay, "on record: machines stay where they are"
    for machine in sorted(rest, key=lambda planned: planned.owner not in decided.pins):
        pin = decided.pins.get(machine.owner)
        host = choose(machine, hosts, ledger) if pin is None else pin
        if host is None or not ledger.has_room(machine, host):
            outcome.unplaced.append(machine)
            continue
        why = _why(machine, host, hosts, ledger, sizes) if pin is None else "pinned by azlocal:placement.pins"
        outcome.chosen[machine.owner] = host, why
        ledger.take(machine, host)
    return outcome


class _Rounds:
    """Fewest of the set first, then the set's own order of hosts: round robin, past hosts without room."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes
        self._orders: dict[str, list[str]] = {}

    def __call__(self, machine: PlannedMachine, hosts: Sequence[str], ledger: Ledger) -> str | None:
        name = machine.availability_set
        if name not in self._orders:
            self._orders[name] = order_of(name, hosts)
        share = even_share(self._sizes[name], len(hosts))
        able = (host for host in self._orders[name] if ledger.has_room(machine, host))

        def badness(host: str) -> tuple[bool, bool, int]:
            members = ledger.members[name, host]
            return members >= share, not ledger.has_disk(machine, host), members

        return min(able, key=badness, default=None)


class _Tightest:
    """The host that is fullest afterwards, among those where the set isn't over its even share."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes

    def __call__(self, machine: PlannedMachine, hosts: Sequence[str], ledger: Ledger) -> str | None:
        name = machine.availability_set
        share = even_share(self._sizes[name], len(hosts))
        able = (host for host in hosts if ledger.has_room(machine, host))

        def badness(host: str) -> tuple[bool, bool, float, str]:
            is_over = ledger.members[name, host] >= share
            return is_over, not ledger.has_disk(machine, host), ledger.memory[host], host

        return min(able, key=badness, default=None)


def _emptiest(machine: PlannedMachine, hosts: Sequence[str], ledger: Ledger) -> str | None:
    able = (host for host in hosts if ledger.has_room(machine, host))
    return min(
        able, key=lambda host: (not ledger.has_disk(machine, host), -ledger.memory[host], host), default=None
    )


def hold(
    machines: Sequence[PlannedMachine], rooms: Sequence[HostRoom], ledger: Ledger, decided: Given
) -> tuple[list[tuple[PlannedMachine, str]], list[PlannedMachine]]:
    """Return a host for all that room is only held for, and what finds none; the ledger has it afterwards.

    Args:
        machines: Every machine of the instance, and what is held.
        rooms: The hosts' room.
        ledger: What the machines leave of it.
        decided: Hosts that are decided already, of nodes that autoscaling may add.

    Nodes that autoscaling may add go where they would be placed; what an upgrade needs, to the emptiest host.
    """
    hosts = [room.name for room in rooms if room.takes]
    rounds = _Rounds(Counter(planned.availability_set for planned in machines))
    held, unheld = [], []
    for machine in machines:
        if machine.held is None:
            continue
        choose: Choose = rounds if machine.held == "autoscaling" else _emptiest
        host = decided.stays.get(machine.owner, decided.pins.get(machine.owner))
        if host is None or not ledger.has_room(machine, host):
            host = choose(machine, hosts, ledger)
        if host is None:
            unheld.append(machine)
        else:
            held.append((machine, host))
            ledger.take(machine, host)
    return held, unheld


def order_of(availability_set: str, hosts: Iterable[str]) -> list[str]:
    """Return the order in which a set goes round the hosts, drawn from the names."""
    return sorted(hosts, key=lambda host: hashlib.sha256(f"{availability_set}\0{host}".encode()).digest())


def even_share(members: int, hosts: int) -> int:
    """Return the most machines of a set that a host has in an even spread."""
    return -(-members // hosts) if hosts else members


def _why(
    machine: PlannedMachine, host: str, hosts: Sequence[str], ledger: Ledger, sizes: Mapping[str, int]
) -> str:
    name = machine.availability_set
    count, members = ledger.count(name, host), sizes[name]
    if members == 1:
        why = f"drawn from the hosts' and its set's names ({name})"
    else:
        why = f"spreads set {name}: {host} had {count or 'none'} of its {members}"
    full = [other for other in hosts if ledger.count(name, other) <= count and not ledger.has_room(machine, other)]
    if full:
        more = f" and {len(full) - _LISTED} more" if len(full) > _LISTED else ""
        why += f"; no room on {', '.join(full[:_LISTED])}{more}"
    if ledger.has_disk(machine, host):
        passed = [other for other in hosts if ledger.count(name, other) <= count and other not in full]
        low = [other for other in passed if not ledger.has_disk(machine, other)]
        why += f"; less disk than promised on {', '.join(low[:_LISTED])}" if low else ""
    return why
