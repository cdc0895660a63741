"""From what people wrote and the lock to the placement; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from infra.addresses.bounds import beyond_bounds
from infra.placement.demand import Demand, build_demands
from infra.placement.lock import Place, PlacementLock
from infra.placement.plan import Move, Placed, Placement
from infra.placement.room import NO_RESERVE, HostRoom, Ledger, Reserve, build_rooms, reserve_of
from infra.placement.rules import Facts, check_all
from infra.placement.spread import Given, Outcome, hold, spread
from infra.spec.loader import InstanceSpec

_HELD_WHY = {
    "bridgeUpgrade": "held: in its upgrade the resource bridge's next VM runs beside it",
    "clusterUpgrade": "held: in an upgrade of {cluster} a node joins before an old one leaves",
    "autoscaling": "held for autoscaling of its pool",
}


def plan_placement(spec: InstanceSpec, lock: PlacementLock | None = None) -> Placement:
    """Decide which host every machine of an instance is on, and check that against every rule; pure.

    Args:
        spec: What people wrote.
        lock: Where machines are, as earlier plans wrote it down; None is nowhere.
    """
    if beyond_bounds(spec):
        return Placement(spec.name)
    lock = lock or PlacementLock()
    rooms, reserve = build_rooms(spec, lock), reserve_of(spec)
    demands = build_demands(spec)
    machines = [one for one in demands if one.held is None]
    recorded = lock.of_instance(spec.name)
    given = _given(spec, rooms, machines, recorded)
    outcome = spread(machines, rooms, given, is_reserve_kept=reserve.is_kept)
    placed = tuple(Placed(one, *outcome.chosen[one.owner]) for one in machines if one.owner in outcome.chosen)
    ledger = ledger_of(placed, rooms, reserve)
    # What an upgrade needs may use the reserve: that is what it is for.
    full = ledger_of(placed, rooms, NO_RESERVE)
    held, unheld = hold(demands, rooms, full)
    placement = Placement(
        spec.name,
        tuple(rooms),
        _explained(placed, spec, rooms, recorded),
        tuple(Placed(one, host, _held_why(one)) for one, host in held),
        tuple(outcome.unplaced),
        tuple(unheld),
        tuple(_moves(spec, rooms, recorded, outcome)),
        reserve,
        frozenset(one.name for one in spec.stack.clusters if one.load_balancer.ranges or one.load_balancer.count),
    )
    return replace(placement, findings=tuple(check_all(Facts(spec, placement, ledger, demands))))


def ledger_of(placed: Sequence[Placed], rooms: Sequence[HostRoom], reserve: Reserve) -> Ledger:
    """Return what machines leave of the hosts, less the reserve if that is a rule."""
    ledger = Ledger(rooms, keep_reserve=reserve.is_kept)
    for one in placed:
        ledger.take(one.demand, one.host)
    return ledger


def _given(
    spec: InstanceSpec, rooms: Sequence[HostRoom], machines: Sequence[Demand], recorded: Mapping[str, Place]
) -> Given:
    owners = {one.owner for one in machines}
    there = {owner: recorded[owner].host for owner in owners & recorded.keys()}
    by_name = {one.name: one for one in rooms}

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
    live = {one.name for one in rooms if one.live}
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
    room = next((one for one in rooms if one.name == host), None)
    if room is None:
        return f"{host} isn't in hosts/{spec.site}.yaml any more"
    return f"{host} {room.leaving}" if room.leaving else f"azlocal:placement.pins has {owner}"


def _explained(
    placed: Sequence[Placed], spec: InstanceSpec, rooms: Sequence[HostRoom], recorded: Mapping[str, Place]
) -> tuple[Placed, ...]:
    """Say of machines that move why, before why they come to where they come."""

    def explain(one: Placed) -> Placed:
        place = recorded.get(one.demand.owner)
        if place is None or place.host == one.host:
            return one
        return replace(one, why=f"{_reason(spec, rooms, one.demand.owner, place.host)}: {one.why}")

    return tuple(explain(one) for one in placed)


def _held_why(one: Demand) -> str:
    return _HELD_WHY[one.held or "clusterUpgrade"].format(cluster=one.cluster)
