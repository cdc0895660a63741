"""The placement: which host each machine is on, why, what moves, and what doesn't fit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from infra.plan.inventory import PlannedMachine
from infra.plan.placement.lock import Place
from infra.plan.placement.room import NO_RESERVE, HostRoom, Reserve


@dataclass(frozen=True, slots=True)
class Placed:
    """A machine, or room held for one, on a host.

    Attributes:
        machine: The machine.
        host: Its host.
        why: The reason, in a sentence.
    """

    machine: PlannedMachine
    host: str
    why: str


@dataclass(frozen=True, slots=True)
class Move:
    """A machine that leaves a host, where it was made, for another, where it is replaced or comes as it runs.

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
        how = "it migrates there as it runs" if self.live else "it is re-created there"
        return f"{moves}, because {self.because}; {how}"


@dataclass(frozen=True)
class Placement:
    """Where everything is.

    Attributes:
        instance: The instance.
        rooms: The hosts, by name.
        placed: Machines, in the order of the inventory.
        held: What room is held for: upgrades, autoscaling.
        unplaced: Machines that find no room.
        unheld: What no room could be held for.
        moves: Machines that move.
        reserve: What stays free of each host.
        served: Clusters that have service addresses.
    """

    instance: str
    rooms: tuple[HostRoom, ...] = ()
    placed: tuple[Placed, ...] = ()
    held: tuple[Placed, ...] = ()
    unplaced: tuple[PlannedMachine, ...] = ()
    unheld: tuple[PlannedMachine, ...] = ()
    moves: tuple[Move, ...] = ()
    reserve: Reserve = NO_RESERVE
    served: frozenset[str] = frozenset()

    @cached_property
    def hosts(self) -> Mapping[str, str]:
        """Return each machine's host, and that of each node which autoscaling may add."""
        return {placed.machine.owner: placed.host for placed in self._decided}

    def on(self, host: str) -> list[Placed]:
        """Return the machines on a host."""
        return [placed for placed in self.placed if placed.host == host]

    def places(self) -> dict[str, Place]:
        """Return what the lock file is to say."""
        moves = {move.owner: move for move in self.moves}
        return {placed.machine.owner: _place(placed, moves.get(placed.machine.owner)) for placed in self._decided}

    @property
    def _decided(self) -> list[Placed]:
        """Return what a run may make without another plan: autoscaling adds and removes nodes between two."""
        return [*self.placed, *(placed for placed in self.held if placed.machine.held == "autoscaling")]


def _place(placed: Placed, move: Move | None) -> Place:
    place = Place(placed.host, placed.machine.memory_mib, placed.machine.disk_gib)
    return Place(place.host, place.memory_mib, place.disk_gib, move.source, move.because) if move else place


def memory_of(machines: Iterable[Placed]) -> int:
    """Return the memory that machines take, in MiB."""
    return sum(placed.machine.memory_mib for placed in machines)


def gib(mib: float) -> str:
    """Write memory in GiB, with a digit after the point where it isn't whole."""
    return f"{mib / 1024:.1f}".removesuffix(".0")
