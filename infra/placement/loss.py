"""What survives the loss of one host: which machines have room elsewhere, which sets keep their majority."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from infra.placement.demand import Demand
from infra.placement.plan import Placed, Placement
from infra.placement.room import Ledger


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
    rooms = [one for one in placement.rooms if one.name != host]
    targets = [one.name for one in rooms if one.takes]
    ledger = Ledger(rooms, keep_reserve=False)
    for one in placement.placed:
        if one.host != host:
            ledger.take(one.demand, one.host)
    restarted, stranded = [], []
    for one in sorted(lost, key=lambda one: -one.demand.memory_mib):
        target = _target(one.demand, targets, ledger)
        if target is None:
            stranded.append(one)
        else:
            restarted.append((one, target))
            ledger.take(one.demand, target)
    return tuple(restarted), tuple(stranded)


def _target(demand: Demand, targets: Sequence[str], ledger: Ledger) -> str | None:
    name = demand.availability_set
    able = (one for one in targets if ledger.has_room(demand, one))

    def badness(host: str) -> tuple[int, bool, float, str]:
        return ledger.members[name, host], not ledger.has_disk(demand, host), -ledger.memory[host], host

    return min(able, key=badness, default=None)


def _sets(placement: Placement, lost: Sequence[Placed]) -> tuple[SetLoss, ...]:
    members = Counter(one.demand.availability_set for one in placement.placed)
    found: dict[str, SetLoss] = {}
    for one in lost:
        name = one.demand.availability_set
        count = found[name].lost + 1 if name in found else 1
        found[name] = SetLoss(name, one.demand.cluster, one.demand.role, members[name], count)
    return tuple(found.values())


def _virtual(sets: Sequence[SetLoss], served: frozenset[str]) -> tuple[VirtualLoss, ...]:
    found = []
    for one in sets:
        left = one.members - one.lost
        if one.role == "resourceBridge":
            found.append(VirtualLoss("rb-vip", stands=False, why="the resource bridge's only VM is lost"))
        elif one.role == "controlPlane":
            majority = one.members // 2 + 1
            why = f"{left} of {one.members} control-plane machines are left; etcd needs {majority}"
            found.append(VirtualLoss(f"{one.cluster}-vip", stands=one.has_quorum, why=why))
    return (*found, *_services(sets, served))


def _services(sets: Sequence[SetLoss], served: frozenset[str]) -> list[VirtualLoss]:
    """Return what becomes of service addresses: any node that runs announces them (MetalLB, ARP)."""
    clusters: dict[str, list[SetLoss]] = {}
    for one in sets:
        if one.cluster in served and one.role == "worker":
            clusters.setdefault(str(one.cluster), []).append(one)
    return [
        VirtualLoss(f"{cluster}-lb", stands=all(one.stands for one in lost), why=_workers_left(lost))
        for cluster, lost in clusters.items()
    ]


def _workers_left(lost: Sequence[SetLoss]) -> str:
    said = [f"{one.members - one.lost} of {one.members} machines of {one.name}" for one in lost]
    return f"{', '.join(said)} are left to run what answers there"
