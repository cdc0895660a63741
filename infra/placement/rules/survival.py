"""Room to spare: a host's loss, upgrades, the reserve (azure_local_facts.md §5.3-5.5; BASE, SEED4, AVSET)."""

from collections import Counter
from collections.abc import Iterator

from infra.placement.loss import Loss, lose
from infra.placement.plan import gib
from infra.placement.rules.base import Facts, rule
from infra.placement.spread import even_share
from infra.spec.findings import Severity
from infra.spec.rules import Fault

_LISTED = 5
_NONE = "or write azlocal:placement: {headroom: none}"


@rule("capacity-exceeded", source="BASE, §5.4", severity="warning")
def capacity_exceeded(facts: Facts) -> Iterator[Fault]:
    """All machines, at their most and in an upgrade, fit into the hosts' memory, with one host to spare."""
    headroom = facts.spec.stack.placement.headroom
    if headroom == "host" and len(facts.taking) == 1:
        message = "only one host takes machines, and headroom: host asks for another that takes over"
        yield Fault("hosts", ("hosts",), message, f"add a host, {_NONE}", "error")
        return
    memory, need = facts.memory, facts.needed
    if not facts.is_short or (headroom == "none" and need <= sum(memory)):
        return
    is_tight = need <= sum(memory)
    room = sum(memory[:-1]) if is_tight else sum(memory)
    kept = "with the largest of them down" if is_tight else "together"
    message = (
        f"the machines at their most, with one upgrading in each cluster, take {gib(need)} GiB; "
        f"the hosts have {gib(room)} {kept}"
    )
    spare = memory[-1] if headroom != "none" and len(memory) > 1 else 0
    lacking = -(-(need - sum(memory) + spare) // 1024)
    remedy = f"add a host with memoryGiB {lacking} or more, or use fewer or smaller machines"
    yield Fault("hosts", ("hosts",), message, remedy, _severity(facts) if is_tight else None)


@rule("host-loss-not-survived", source="BASE, §5.4", severity="warning")
def host_loss_not_survived(facts: Facts) -> Iterator[Fault]:
    """If a host is lost, each of its machines finds room on another."""
    headroom = facts.spec.stack.placement.headroom
    if facts.is_short or headroom == "none" or len(facts.memory) < 2 or facts.placement.unplaced:
        return
    for room in facts.taking:
        loss = lose(facts.placement, room.name)
        if loss.stranded:
            largest = max(one.demand.memory_mib for one in loss.stranded)
            remedy = f"add a host with memoryGiB {_whole(loss)} or more, use smaller machines, {_NONE}"
            names = _stranded(loss)
            message = (
                f"without {room.name}, there is no room for {names}, which take up to {gib(largest)} GiB each"
            )
            yield Fault("hosts", facts.host_path(room.name), message, remedy, _severity(facts))


@rule("no-room-for-upgrade", source="UPG, RBSYS, §5.3", severity="warning")
def no_room_for_upgrade(facts: Facts) -> Iterator[Fault]:
    """There is room for what upgrades and autoscaling add: the bridge's next VM, a node a cluster."""
    left = facts.placement.unheld
    if left and not facts.is_short and not facts.placement.unplaced and facts.taking:
        names = [one.owner for one in left]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        largest = max(left, key=lambda one: one.memory_mib)
        message = (
            f"room can't be held for {', '.join(names[:_LISTED])}{more}: "
            f"up to {gib(largest.memory_mib)} GiB on one host"
        )
        total = -(-sum(one.memory_mib for one in left) // 1024)
        remedy = f"add a host with memoryGiB {total} or more; without it, upgrades have to make room first"
        yield Fault("hosts", ("hosts",), message, remedy)


@rule("reserve-used", source="SEED4, §5.4", severity="warning")
def reserve_used(facts: Facts) -> Iterator[Fault]:
    """The reserve stays free, so that the rest of the hosts absorbs a lost one."""
    reserve = facts.placement.reserve
    if reserve.is_kept or facts.is_short:
        return
    low = [one.name for one in facts.taking if 0 <= facts.ledger.memory[one.name] < one.reserve_mib]
    if low:
        message = f"less than {reserve.percent} % of the memory of {', '.join(low)} stays free"
        remedy = "add a host or use smaller machines, or choose another azlocal:placement: {reservePercent: …}"
        yield Fault("hosts", facts.host_path(low[0], "memoryGiB"), message, remedy)


@rule("availability-set-uneven", source="AVSET", severity="info")
def availability_set_uneven(facts: Facts) -> Iterator[Fault]:
    """A set spreads evenly: at most ceil(members / hosts) of it are on one host."""
    counts = Counter((one.demand.availability_set, one.host) for one in facts.placement.placed)
    members = Counter(one.demand.availability_set for one in facts.placement.placed)
    uneven = [
        f"{name} ({count} of {members[name]} on {host})"
        for (name, host), count in counts.items()
        if count > even_share(members[name], len(facts.taking))
    ]
    if uneven and not facts.placement.unplaced:
        more = f" and {len(uneven) - _LISTED} more" if len(uneven) > _LISTED else ""
        message = f"not spread evenly: {', '.join(uneven[:_LISTED])}{more}"
        remedy = "machines stay where they are; azlocal:placement.pins moves one, or make the cluster anew"
        yield Fault("stack", ("clusters",), message, remedy)


def _severity(facts: Facts) -> Severity | None:
    return "error" if facts.spec.stack.placement.headroom == "host" else None


def _stranded(loss: Loss) -> str:
    names = [one.demand.owner for one in loss.stranded]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _whole(loss: Loss) -> int:
    return -(-sum(one.demand.memory_mib for one in loss.stranded) // 1024)
