"""What survives the loss of one host: which machines have room elsewhere, which sets keep their majority."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from infra.counting import IS_LEFT, agreeing, counted
from infra.plan.inventory import BRIDGE_ENDPOINT, PlannedMachine, endpoint_name, services_name
from infra.plan.placement.plan import Placed, Placement
from infra.plan.placement.room import Ledger


@dataclass(frozen=True, slots=True)
class SetLoss:
    """An availability set that loses machines.

    Attributes:
        name: The set.
        cluster: Its cluster; None for the resource bridge.
        role: What its machines are.
        members: How many there are.
        lost: How many of them are on the host.
    """

    name: str
    cluster: str | None
    role: str
    members: int
    lost: int

    @property
    def has_quorum(self) -> bool:
        """Tell whether a majority stays, without which etcd, and so the API server, stops."""
        return self.members - self.lost > self.members // 2

    @property
    def stands(self) -> bool:
        """Tell whether what the set does goes on: a control plane by its majority, others by one machine."""
        return self.has_quorum if self.role == "controlPlane" else self.lost < self.members


@dataclass(frozen=True, slots=True)
class VirtualLoss:
    """A virtual address that a machine on the host may hold.

    Attributes:
        owner: Its name in the plan: `a-vip`, `rb-vip`, or `a-lb` for all service addresses of a cluster.
        stands: Whether somebody else takes it over and answers there.
        why: The reason, in a sentence.
    """

    owner: str
    stands: bool
    why: str


@dataclass(frozen=True, slots=True)
class Loss:
    """What a host's loss does.

    Attributes:
        host: The host.
        restarted: Its machines that have room elsewhere, and the host that has it.
        stranded: Its machines that have none.
        sets: The availability sets that lose machines.
        virtual: The virtual addresses that its machines may hold.
    """

    host: str
    restarted: tuple[tuple[Placed, str], ...]
    stranded: tuple[Placed, ...]
    sets: tuple[SetLoss, ...]
    virtual: tuple[VirtualLoss, ...]


def lose(placement: Placement, host: str) -> Loss:
    """Return what the loss of one host does.

    The reserve is there to be used; room for upgrades isn't held, since none runs meanwhile. Machines of other
    instances keep the room they have.
    """
    on_host = placement.on(host)
    restarted, stranded = _elsewhere(placement, host, on_host)
    sets = _sets(placement, on_host)
    return Loss(host, restarted, stranded, sets, _virtual(sets, placement.served))


def every_loss(placement: Placement) -> list[Loss]:
    """Return what the loss of each host does, by name."""
    return [lose(placement, room.name) for room in placement.rooms]


def _elsewhere(
    placement: Placement, host: str, lost: Sequence[Placed]
) -> tuple[tuple[tuple[Placed, str], ...], tuple[Placed, ...]]:
    rooms = [room for room in placement.rooms if room.name != host]
    targets = [room.name for room in rooms if room.takes]
    ledger = Ledger(rooms, keep_reserve=False)
    for placed in placement.placed:
        if placed.host != host:
            ledger.take(placed.machine, placed.host)
    restarted, stranded = [], []
    for placed in sorted(lost, key=lambda member: -member.machine.memory_mib):
        target = _target(placed.machine, targets, ledger)
        if target is None:
            stranded.append(placed)
        else:
            restarted.append((placed, target))
            ledger.take(placed.machine, target)
    return tuple(restarted), tuple(stranded)


def _target(machine: PlannedMachine, targets: Sequence[str], ledger: Ledger) -> str | None:
    name = machine.availability_set
    able = (target for target in targets if ledger.has_room(machine, target))

    def badness(host: str) -> tuple[int, bool, float, str]:
        return ledger.members[name, host], not ledger.has_disk(machine, host), -ledger.memory[host], host

    return min(able, key=badness, default=None)


def _sets(placement: Placement, lost: Sequence[Placed]) -> tuple[SetLoss, ...]:
    members = Counter(member.machine.availability_set for member in placement.placed)
    losses: dict[str, SetLoss] = {}
    for placed in lost:
        name = placed.machine.availability_set
        count = losses[name].lost + 1 if name in losses else 1
        losses[name] = SetLoss(name, placed.machine.cluster, placed.machine.role, members[name], count)
    return tuple(losses.values())


def _virtual(sets: Sequence[SetLoss], served: frozenset[str]) -> tuple[VirtualLoss, ...]:
    virtual = []
    for loss in sets:
        left = loss.members - loss.lost
        if loss.role == "resourceBridge":
            virtual.append(VirtualLoss(BRIDGE_ENDPOINT, stands=False, why="the resource bridge's only VM is lost"))
        elif loss.role == "controlPlane":
            majority = loss.members // 2 + 1
            of_all = f"{left} of {counted(loss.members, 'control-plane machine')}"
            why = f"{of_all} {agreeing(left, loss.members, IS_LEFT)}; etcd needs {majority}"
            virtual.append(VirtualLoss(endpoint_name(str(loss.cluster)), stands=loss.has_quorum, why=why))
    return (*virtual, *_services(sets, served))


def _services(sets: Sequence[SetLoss], served: frozenset[str]) -> list[VirtualLoss]:
    """Return what becomes of service addresses: any node that runs announces them (MetalLB, ARP)."""
    clusters: dict[str, list[SetLoss]] = {}
    for set_loss in sets:
        if set_loss.cluster in served and set_loss.role == "worker":
            clusters.setdefault(str(set_loss.cluster), []).append(set_loss)
    return [
        VirtualLoss(services_name(cluster), stands=all(loss.stands for loss in lost), why=_workers_left(lost))
        for cluster, lost in clusters.items()
    ]


def _workers_left(lost: Sequence[SetLoss]) -> str:
    parts = [f"{loss.members - loss.lost} of {counted(loss.members, 'machine')} of {loss.name}" for loss in lost]
    is_left = agreeing(lost[0].members - lost[0].lost, lost[0].members, IS_LEFT) if len(lost) == 1 else IS_LEFT[1]
    return f"{', '.join(parts)} {is_left} to run what answers there"
