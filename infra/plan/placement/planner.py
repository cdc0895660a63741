"""From what people wrote and the lock to the placement; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from infra.plan.inventory import Inventory, PlannedMachine, build_inventory
from infra.plan.placement.lock import Place, PlacementLock
from infra.plan.placement.plan import Move, Placed, Placement
from infra.plan.placement.room import NO_RESERVE, HostRoom, Ledger, Reserve, build_rooms, reserve_of
from infra.plan.placement.spread import Given, Outcome, hold, spread
from infra.spec.loader import InstanceSpec

_HELD_WHY = {
    "bridgeUpgrade": "held: in its upgrade the resource bridge's next VM runs beside it",
    "clusterUpgrade": "held: in an upgrade of {cluster} a node joins before an old one leaves",
    "autoscaling": "held for autoscaling of its pool",
}


def plan_placement(
    spec: InstanceSpec, lock: PlacementLock | None = None, inventory: Inventory | None = None
) -> Placement:
    """Decide which host every machine of an instance is on; pure.

    Args:
        spec: What people wrote.
        lock: Where machines are, as earlier plans wrote it down; None is nowhere.
        inventory: The machines of the instance, where they are listed already.
    """
    lock = lock or PlacementLock()
    rooms, reserve = build_rooms(spec, lock), reserve_of(spec)
    everything = (inventory or build_inventory(spec)).everything
    machines = [planned for planned in everything if planned.held is None]
    recorded = lock.of_instance(spec.name)
    may_stand = [planned for planned in everything if planned.held in (None, "autoscaling")]
    decided = _decided(spec, rooms, may_stand, recorded)
    outcome = spread(machines, rooms, decided, is_reserve_kept=reserve.is_kept)
    placed = tuple(
        Placed(machine, *outcome.chosen[machine.owner]) for machine in machines if machine.owner in outcome.chosen
    )
    # What an upgrade needs may use the reserve: that is what it is for.
    full = ledger_of(placed, rooms, NO_RESERVE)
    held, unheld = hold(everything, rooms, full, decided)
    return Placement(
        spec.name,
        tuple(rooms),
        _explained(placed, spec, rooms, recorded),
        tuple(Placed(machine, host, _held_why(machine)) for machine, host in held),
        tuple(outcome.unplaced),
        tuple(unheld),
        tuple(_moves(spec, rooms, recorded, outcome)),
        reserve,
        frozenset(
            cluster.name
            for cluster in spec.stack.clusters
            if cluster.load_balancer.ranges or cluster.load_balancer.count
        ),
    )


def ledger_of(placed: Sequence[Placed], rooms: Sequence[HostRoom], reserve: Reserve) -> Ledger:
    """Return what machines leave of the hosts, less the reserve if that is a rule."""
    ledger = Ledger(rooms, keep_reserve=reserve.is_kept)
    for entry in placed:
        ledger.take(entry.machine, entry.host)
    return ledger


def _decided(
    spec: InstanceSpec,
    rooms: Sequence[HostRoom],
    machines: Sequence[PlannedMachine],
    recorded: Mapping[str, Place],
) -> Given:
    owners = {machine.owner for machine in machines}
    there = {owner: recorded[owner].host for owner in owners & recorded.keys()}
    by_name = {room.name: room for room in rooms}

    def obeyed(owner: str, host: str) -> bool:
        """A pin also keeps a machine on a host that drains: the others leave, and it stays."""
        room = by_name.get(host)
        return room is not None and (room.takes or (not room.lost and there.get(owner) == host))

    pins = {owner: host for owner, host in spec.placement_pins(owners).items() if obeyed(owner, host)}
    stays = {
        owner: host
        for owner, host in there.items()
        if pins.get(owner, host) == host and (owner in pins or (host in by_name and by_name[host].takes))
    }
    return Given(stays, {owner: host for owner, host in pins.items() if owner not in stays})


def _moves(
    spec: InstanceSpec, rooms: Sequence[HostRoom], recorded: Mapping[str, Place], outcome: Outcome
) -> list[Move]:
    """Return what moves: from where machines were made, which a move that waits for its `up` remembers."""
    moves = []
    live = {room.name for room in rooms if room.live}
    for owner, (host, _) in outcome.chosen.items():
        place = recorded.get(owner)
        if place is None:
            continue
        source = place.was or place.host
        if host != source:
            waits = place.was is not None and host == place.host
            because = place.because if waits and place.because else _reason(spec, rooms, owner, place.host)
            moves.append(Move(owner, source, host, because, is_recorded=waits, live=source in live))
    return moves


def _reason(spec: InstanceSpec, rooms: Sequence[HostRoom], owner: str, host: str) -> str:
    room = next((candidate for candidate in rooms if candidate.name == host), None)
    if room is None:
        return f"{host} isn't in hosts/{spec.site}.yaml any more"
    return f"{host} {room.leaving}" if room.leaving else f"azlocal:placement.pins has {owner}"


def _explained(
    placed: Sequence[Placed], spec: InstanceSpec, rooms: Sequence[HostRoom], recorded: Mapping[str, Place]
) -> tuple[Placed, ...]:
    """Say of machines that move why, before why they come to where they come."""

    def explain(entry: Placed) -> Placed:
        place = recorded.get(entry.machine.owner)
        if place is None or place.host == entry.host:
            return entry
        return replace(entry, why=f"{_reason(spec, rooms, entry.machine.owner, place.host)}: {entry.why}")

    return tuple(explain(entry) for entry in placed)


def _held_why(machine: PlannedMachine) -> str:
    return _HELD_WHY[machine.held or "clusterUpgrade"].format(cluster=machine.cluster)
