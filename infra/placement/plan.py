"""The placement: which host each machine is on, why, what moves, and what doesn't fit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from infra.placement.demand import Demand
from infra.placement.lock import Place
from infra.placement.room import NO_RESERVE, HostRoom, Reserve
from infra.spec.findings import Finding


@dataclass(frozen=True, slots=True)
class Placed:
    """A machine, or room held for one, on a host.

    Attributes:
        demand: The machine.
        host: Its host.
        why: The reason, in a sentence.
    """

    demand: Demand
    host: str
    why: str


@dataclass(frozen=True, slots=True)
class Move:
    """A machine that leaves a host, where it was made, for another, where it is made anew or comes as it runs.

    Attributes:
        owner: The machine.
        source: The host it leaves.
        target: The host it comes to.
        because: The reason: `node1 drains`.
        is_recorded: Whether an earlier plan wrote it down already.
        live: Whether it migrates as it runs, with memory and disk.
    """

    owner: str
    source: str
    target: str
    because: str
    is_recorded: bool = False
    live: bool = False

    def __str__(self) -> str:
        moves = f"{self.owner} moves from {self.source} to {self.target}"
        how = "it migrates there as it runs" if self.live else "it is made anew there"
        return f"{moves}, because {self.because}; {how}"


@dataclass(frozen=True)
class Placement:
    """Where everything is.

    Attributes:
        instance: The instance.
        rooms: The hosts, by name.
        placed: Machines, in the order of `build_demands`.
        held: What room is held for: upgrades, autoscaling.
        unplaced: Machines that find no room.
        unheld: What no room could be held for.
        moves: Machines that move.
        reserve: What stays free of each host.
        served: Clusters that have service addresses.
        findings: What is wrong with it.
    """

    instance: str
    rooms: tuple[HostRoom, ...] = ()
    placed: tuple[Placed, ...] = ()
    held: tuple[Placed, ...] = ()
    unplaced: tuple[Demand, ...] = ()
    unheld: tuple[Demand, ...] = ()
    moves: tuple[Move, ...] = ()
    reserve: Reserve = NO_RESERVE
    served: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Tell whether no rule of severity error is broken."""
        return all(finding.severity != "error" for finding in self.findings)

    @cached_property
    def hosts(self) -> Mapping[str, str]:
        """Return each machine's host."""
        return {one.demand.owner: one.host for one in self.placed}

    def on(self, host: str) -> list[Placed]:
        """Return the machines on a host."""
        return [one for one in self.placed if one.host == host]

    def places(self) -> dict[str, Place]:
        """Return what the lock file is to say."""
        moves = {one.owner: one for one in self.moves}
        return {one.demand.owner: _place(one, moves.get(one.demand.owner)) for one in self.placed}


def _place(one: Placed, move: Move | None) -> Place:
    place = Place(one.host, one.demand.memory_mib, one.demand.disk_gib)
    return Place(place.host, place.memory_mib, place.disk_gib, move.source, move.because) if move else place


def memory_of(machines: Iterable[Placed]) -> int:
    """Return the memory that machines take, in MiB."""
    return sum(one.demand.memory_mib for one in machines)


def gib(mib: float) -> str:
    """Write memory in GiB, with a digit after the point where it isn't whole."""
    return f"{mib / 1024:.1f}".removesuffix(".0")
