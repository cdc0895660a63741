"""What every format shows of a placement: a column for each host, and sentences that all of them say alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.counting import agreeing, counted
from infra.plan.addresses.plan import Use
from infra.plan.instance import Plan
from infra.plan.inventory import PlannedMachine
from infra.plan.placement.lock import natural
from infra.plan.placement.loss import Loss, VirtualLoss
from infra.plan.placement.plan import Placed, Placement, gib, memory_of
from infra.plan.placement.room import HostRoom
from infra.plan.report.addresses.words import verdict_of

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
            disk = (
                sum(placed.machine.disk_gib for placed in (*self.machines, *self.restarted)) + self.room.others_gib
            )
            text += f"; disks may grow to {disk} of {self.room.disk_gib} GiB"
        return text + (f"; {self.room.leaving}" if self.room.leaving else "")


def build_columns(placement: Placement, losses: Sequence[Loss]) -> list[Column]:
    """Return a column for each host; with one loss, as things are after it."""
    loss = losses[0] if len(losses) == 1 else None
    columns = []
    for room in placement.rooms:
        is_lost = loss is not None and loss.host == room.name
        restarted = [placed for placed, host in loss.restarted if host == room.name] if loss else []
        columns.append(
            Column(
                room,
                _by_name(placement.on(room.name)),
                _by_name([placed for placed in placement.held if placed.host == room.name])
                if loss is None
                else (),
                _by_name(restarted),
                is_lost,
            )
        )
    return columns


def _by_name(machines: Sequence[Placed]) -> tuple[Placed, ...]:
    order = {"resourceBridge": 0, "controlPlane": 1, "worker": 2}
    return tuple(sorted(machines, key=lambda placed: (order[placed.machine.role], natural(placed.machine.owner))))


def use_of(machine: PlannedMachine) -> Use:
    """Return the use that says how a machine looks."""
    if machine.held is None:
        return _USES[machine.role]
    return "resourceBridgeSpare" if machine.held == "bridgeUpgrade" else "upgradeSpare"


def title(placement: Placement) -> str:
    """Say in a line what there is."""
    sets = {placed.machine.availability_set for placed in placement.placed}
    parts = [
        counted(len(placement.rooms), "host"),
        counted(len(placement.placed), "machine"),
        counted(len(sets), "availability set"),
    ]
    text = f"{', '.join(parts)}; {gib(memory_of(placement.placed))} GiB"
    if placement.reserve.percent:
        how = "kept free" if placement.reserve.is_kept else "kept free where possible"
        text += f"; {placement.reserve.percent} % of each host {how}"
    return text


def verdict(plan: Plan) -> str:
    """Say whether everything fits, and what was found."""
    text = "every machine has its host" if plan.is_sound("placement") else "not sound"
    return verdict_of(plan.instance, text, plan.findings_about("placement"))


def survives(loss: Loss) -> bool:
    """Tell whether nothing is left without room, and no control plane without its majority."""
    return not loss.stranded and all(set_loss.stands for set_loss in loss.sets if set_loss.role == "controlPlane")


def loss_line(loss: Loss) -> str:
    """Say in a line what a loss does."""
    if not loss.restarted and not loss.stranded:
        return "nothing runs there"
    total = len(loss.restarted) + len(loss.stranded)
    has = agreeing(len(loss.restarted), total, ("has", "have"))
    room = f"{len(loss.restarted)} of {counted(total, 'machine')} {has} room elsewhere"
    down = [set_loss.name for set_loss in loss.sets if not set_loss.stands]
    return f"{room}; until then {names(down)} {'is' if len(down) == 1 else 'are'} down" if down else room


def loss_lines(loss: Loss, addresses: Mapping[str, str]) -> list[str]:
    """Say all that a loss does, a line a thing."""
    lines = [f"{placed.machine.owner} has room on {host}" for placed, host in loss.restarted]
    lines += [
        f"{placed.machine.owner} has no room elsewhere ({gib(placed.machine.memory_mib)} GiB)"
        for placed in loss.stranded
    ]
    for set_loss in loss.sets:
        if set_loss.role == "controlPlane":
            state = "keeps its majority" if set_loss.has_quorum else "loses its majority: etcd stops"
        else:
            state = "goes on" if set_loss.stands else "is down"
        lines.append(
            f"set {set_loss.name}: {set_loss.members - set_loss.lost} of {set_loss.members} left, {state}"
        )
    return [*lines, *(_virtual_line(virtual, addresses) for virtual in loss.virtual)]


def _virtual_line(virtual: VirtualLoss, addresses: Mapping[str, str]) -> str:
    name = f"{virtual.owner} ({addresses[virtual.owner]})" if virtual.owner in addresses else virtual.owner
    return f"{name} {'stays up' if virtual.stands else 'is down'}: {virtual.why}"


def names(listed: Sequence[str]) -> str:
    """List names, not too many."""
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return ", ".join(listed[:_LISTED]) + more
