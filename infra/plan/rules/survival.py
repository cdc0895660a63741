"""Room to spare: a host's loss, upgrades, the reserve (azure_local_facts.md §5.3-5.5; BASE, SEED4, AVSET)."""

from collections import Counter
from collections.abc import Iterator

from infra.plan.placement.loss import Loss, lose
from infra.plan.placement.plan import gib
from infra.plan.placement.spread import even_share
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import Severity

_LISTED = 5
_NONE = "or write azlocal:placement: {headroom: none}"


@rule("capacity-exceeded", source="BASE, §5.4", severity="warning", part="placement")
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
    when = "with the largest of them down" if is_tight else "together"
    message = (
        f"the machines at their most, with one upgrading in each cluster, take {gib(need)} GiB; "
        f"the hosts have {gib(room)} {when}"
    )
    spare = memory[-1] if headroom != "none" and len(memory) > 1 else 0
    lacking = -(-(need - sum(memory) + spare) // 1024)
    remedy = f"add a host with memoryGiB {lacking} or more, or use fewer or smaller machines"
    yield Fault("hosts", ("hosts",), message, remedy, _severity(facts) if is_tight else None)


@rule("host-loss-not-survived", source="BASE, §5.4", severity="warning", part="placement")
def host_loss_not_survived(facts: Facts) -> Iterator[Fault]:
    """If a host is lost, each of its machines finds room on another."""
    headroom = facts.spec.stack.placement.headroom
    if facts.is_short or headroom == "none" or len(facts.memory) < 2 or facts.placement.unplaced:
        return
    for room in facts.taking:
        loss = lose(facts.placement, room.name)
        if loss.stranded:
            largest = max(placed.machine.memory_mib for placed in loss.stranded)
            remedy = f"add a host with memoryGiB {_stranded_gib(loss)} or more, use smaller machines, {_NONE}"
            names = _stranded(loss)
            message = (
                f"without {room.name}, there is no room for {names}, which take up to {gib(largest)} GiB each"
            )
            yield Fault("hosts", facts.host_path(room.name), message, remedy, _severity(facts))


@rule("no-room-for-upgrade", source="UPG, RBSYS, §5.3", severity="warning", part="placement")
def no_room_for_upgrade(facts: Facts) -> Iterator[Fault]:
    """There is room for what upgrades and autoscaling add: the bridge's next VM, a node a cluster."""
    left = facts.placement.unheld
    if left and not facts.is_short and not facts.placement.unplaced and facts.taking:
        names = [machine.owner for machine in left]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        largest = max(left, key=lambda machine: machine.memory_mib)
        message = (
            f"room can't be held for {', '.join(names[:_LISTED])}{more}: "
            f"up to {gib(largest.memory_mib)} GiB on one host"
        )
        total = -(-sum(machine.memory_mib for machine in left) // 1024)
        remedy = f"add a host with memoryGiB {total} or more; without it, upgrades have to make room first"
        yield Fault("hosts", ("hosts",), message, remedy)


@rule("reserve-used", source="SEED4, §5.4", severity="warning", part="placement")
def reserve_used(facts: Facts) -> Iterator[Fault]:
    """The reserve stays free, so that the rest of the hosts absorbs a lost one."""
    reserve = facts.placement.reserve
    if reserve.is_kept or facts.is_short:
        return
    low = [room.name for room in facts.taking if 0 <= facts.ledger.memory[room.name] < room.reserve_mib]
    if low:
        message = f"less than {reserve.percent} % of the memory of {', '.join(low)} stays free"
        remedy = "add a host or use smaller machines, or choose another azlocal:placement: {reservePercent: …}"
        yield Fault("hosts", facts.host_path(low[0], "memoryGiB"), message, remedy)


@rule("availability-set-uneven", source="AVSET", severity="info", part="placement")
def availability_set_uneven(facts: Facts) -> Iterator[Fault]:
    """A set spreads evenly: at most ceil(members / hosts) of it are on one host."""
    counts = Counter((placed.machine.availability_set, placed.host) for placed in facts.placement.placed)
    members = Counter(placed.machine.availability_set for placed in facts.placement.placed)
    uneven = [
        f"{name} ({count} of {members[name]} on {host})"
        for (name, host), count in counts.items()
        if count > even_share(members[name], len(facts.taking))
    ]
    if uneven and not facts.placement.unplaced:
        more = f" and {len(uneven) - _LISTED} more" if len(uneven) > _LISTED else ""
        message = f"not spread evenly: {', '.join(uneven[:_LISTED])}{more}"
        remedy = "machines stay where they are; azlocal:placement.pins moves one, or re-create the cluster"
        yield Fault("stack", ("clusters",), message, remedy)


def _severity(facts: Facts) -> Severity | None:
    return "error" if facts.spec.stack.placement.headroom == "host" else None


def _stranded(loss: Loss) -> str:
    names = [placed.machine.owner for placed in loss.stranded]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _stranded_gib(loss: Loss) -> int:
    return -(-sum(placed.machine.memory_mib for placed in loss.stranded) // 1024)
