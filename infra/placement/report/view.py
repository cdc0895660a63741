"""What every format shows of a placement: a column for each host, and sentences that all of them say alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.addresses.plan import Use
from infra.addresses.report.words import plural, verdict_of
from infra.placement.demand import Demand
from infra.placement.lock import natural
from infra.placement.loss import Loss, VirtualLoss
from infra.placement.plan import Placed, Placement, gib, memory_of
from infra.placement.room import HostRoom

_USES: dict[str, Use] = {
    "resourceBridge": "resourceBridgeNode",
    "controlPlane": "controlPlaneNode",
    "worker": "workerNode",
}
_LISTED = 6


@dataclass(frozen=True, slots=True)
class Column:
    """A host and all that is on it.

    Attributes:
        room: The host's room.
        machines: Its machines, in the order of their names.
        held: What room is held for.
        restarted: Machines that come from the host that is lost, where one is.
        is_lost: Whether this is the host that is lost.
    """

    room: HostRoom
    machines: tuple[Placed, ...]
    held: tuple[Placed, ...]
    restarted: tuple[Placed, ...] = ()
    is_lost: bool = False

    @property
    def used_mib(self) -> int:
        """Return the memory that machines take, other instances' too."""
        return memory_of(self.machines) + memory_of(self.restarted) + self.room.others_mib

    @property
    def free_mib(self) -> int | None:
        """Return the memory that nothing takes; None where the host's isn't known."""
        return None if self.room.memory_mib is None else self.room.memory_mib - self.used_mib

    @property
    def line(self) -> str:
        """Say how full the host is."""
        if self.room.memory_mib is None:
            text = f"{gib(self.used_mib)} GiB used; memory not known, so not limited"
        else:
            text = f"{gib(self.used_mib)} of {gib(self.room.memory_mib)} GiB used, {gib(self.free_mib or 0)} free"
        if self.room.others_mib:
            text += f", {gib(self.room.others_mib)} by other instances"
        if self.room.disk_gib is None:
            text += "; disk not known" if self.room.memory_mib is not None else ""
        else:
            disk = sum(one.demand.disk_gib for one in (*self.machines, *self.restarted)) + self.room.others_gib
            text += f"; disks may grow to {disk} of {self.room.disk_gib} GiB"
        return text + (f"; {self.room.leaving}" if self.room.leaving else "")


def build_columns(placement: Placement, losses: Sequence[Loss]) -> list[Column]:
    """Return a column for each host; with one loss, as things are after it."""
    loss = losses[0] if len(losses) == 1 else None
    columns = []
    for room in placement.rooms:
        is_lost = loss is not None and loss.host == room.name
        restarted = [one for one, host in loss.restarted if host == room.name] if loss else []
        columns.append(
            Column(
                room,
                _by_name(placement.on(room.name)),
                _by_name([one for one in placement.held if one.host == room.name]) if loss is None else (),
                _by_name(restarted),
                is_lost,
            )
        )
    return columns


def _by_name(machines: Sequence[Placed]) -> tuple[Placed, ...]:
    order = {"resourceBridge": 0, "controlPlane": 1, "worker": 2}
    return tuple(sorted(machines, key=lambda one: (order[one.demand.role], natural(one.demand.owner))))


def use_of(one: Demand) -> Use:
    """Return the use that says how a machine looks."""
    if one.held is None:
        return _USES[one.role]
    return "resourceBridgeSpare" if one.held == "bridgeUpgrade" else "upgradeSpare"


def title(placement: Placement) -> str:
    """Say in a line what there is."""
    sets = {one.demand.availability_set for one in placement.placed}
    parts = [
        plural(len(placement.rooms), "host"),
        plural(len(placement.placed), "machine"),
        plural(len(sets), "availability set"),
    ]
    said = f"{', '.join(parts)}; {gib(memory_of(placement.placed))} GiB"
    if placement.reserve.percent:
        kept = "kept free" if placement.reserve.is_kept else "kept free where possible"
        said += f"; {placement.reserve.percent} % of each host {kept}"
    return said


def verdict(placement: Placement) -> str:
    """Say whether everything fits, and what was found."""
    text = "every machine has its host" if placement.ok else "not sound"
    return verdict_of(placement.instance, text, placement.findings)


def survives(loss: Loss) -> bool:
    """Tell whether nothing is left without room, and no control plane without its majority."""
    return not loss.stranded and all(one.stands for one in loss.sets if one.role == "controlPlane")


def loss_line(loss: Loss) -> str:
    """Say in a line what a loss does."""
    if not loss.restarted and not loss.stranded:
        return "nothing runs there"
    total = len(loss.restarted) + len(loss.stranded)
    room = f"{len(loss.restarted)} of {plural(total, 'machine')} have room elsewhere"
    down = [one.name for one in loss.sets if not one.stands]
    return f"{room}; until then {names(down)} {'is' if len(down) == 1 else 'are'} down" if down else room


def loss_lines(loss: Loss, addresses: Mapping[str, str]) -> list[str]:
    """Say all that a loss does, a line a thing."""
    lines = [f"{one.demand.owner} has room on {host}" for one, host in loss.restarted]
    lines += [
        f"{one.demand.owner} has no room elsewhere ({gib(one.demand.memory_mib)} GiB)" for one in loss.stranded
    ]
    for one in loss.sets:
        if one.role == "controlPlane":
            state = "keeps its majority" if one.has_quorum else "loses its majority: etcd stops"
        else:
            state = "goes on" if one.stands else "is down"
        lines.append(f"set {one.name}: {one.members - one.lost} of {one.members} left, {state}")
    return [*lines, *(_virtual_line(one, addresses) for one in loss.virtual)]


def _virtual_line(one: VirtualLoss, addresses: Mapping[str, str]) -> str:
    name = f"{one.owner} ({addresses[one.owner]})" if one.owner in addresses else one.owner
    return f"{name} {'stays up' if one.stands else 'is down'}: {one.why}"


def names(listed: Sequence[str]) -> str:
    """List names, not too many."""
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return ", ".join(listed[:_LISTED]) + more
