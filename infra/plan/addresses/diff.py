"""What differs between two plans, and why; pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, Literal

from infra.counting import counted
from infra.plan.addresses.numbers import address_text
from infra.plan.addresses.plan import AddressPlan, Allocation, NetworkPlan
from infra.plan.effects import Effects
from infra.plan.inventory import endpoint_name
from infra.spec.loader import InstanceSpec
from infra.spec.machine_names import spellings

Kind = Literal["added", "removed", "moved", "changed"]
KINDS: tuple[Kind, ...] = ("added", "removed", "moved", "changed")

_GIVEN_BY_FILES = {"host", "gateway", "dns", "reserved"}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        kind: What happened: an address more, one less, another address, another use.
        network: The network, after the change where there is one.
        one: Who has the address; who had it, where it is removed.
        before: What it was before, where address or use changed.
        why: The reason, in a few words.
    """

    kind: Kind
    network: str
    one: Allocation
    before: Allocation | None
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return it with the keys that an allocation has, and `network` and `before`: the address or the use."""
        before = None
        if self.before is not None:
            before = self.before.address if self.kind == "moved" else self.before.use
        return {**self.one.to_json(), "network": self.network, "before": before, "why": self.why}


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that differs.

    Attributes:
        against: What the plan is compared with, as people named it.
        networks: What differs about the networks themselves, a sentence each.
        changes: What differs about addresses, in the order of kinds and addresses.
        effects: What becomes of machines and clusters.
    """

    against: str
    networks: tuple[str, ...]
    changes: tuple[Change, ...]
    effects: Effects = field(default_factory=Effects)

    def of(self, kind: Kind) -> list[Change]:
        """Return the changes of one kind."""
        return [change for change in self.changes if change.kind == kind]

    def to_json(self) -> dict[str, Any]:
        """Return a list for each kind."""
        lists: dict[str, Any] = {kind: [change.to_json() for change in self.of(kind)] for kind in KINDS}
        return {"against": self.against, "networks": list(self.networks), **lists, **self.effects.to_json()}


@dataclass(frozen=True, slots=True)
class _Entry:
    network: str
    one: Allocation


_Pair = tuple[_Entry, _Entry]


def compare(old: AddressPlan, new: AddressPlan, spec: InstanceSpec, against: str) -> Changes:
    """Return what differs.

    Args:
        old: The plan before.
        new: The plan after.
        spec: What people wrote for the plan after; it says what is pinned.
        against: What the plan before is called.
    """
    reasons = _Reasons(old, new, spec)
    pairs, gone, come = _match(_entries(old), _entries(new))
    changes: list[Change] = [
        Change("added", entry.network, entry.one, None, reasons.added(entry)) for entry in come
    ]
    changes += [Change("removed", entry.network, entry.one, None, reasons.removed(entry)) for entry in gone]
    for before, after in pairs:
        if before.one.value != after.one.value:
            why = reasons.moved(before, after)
            changes.append(Change("moved", after.network, after.one, before.one, why))
        elif before.one.use != after.one.use:
            changes.append(Change("changed", after.network, after.one, before.one, after.one.why))
    changes.sort(key=lambda change: (KINDS.index(change.kind), change.one.value, change.one.owner))
    return Changes(against, tuple(_networks(old, new)), tuple(changes))


def _entries(plan: AddressPlan) -> list[_Entry]:
    return [_Entry(network.name, allocation) for network in plan.networks for allocation in network.allocations]


def _match(old: list[_Entry], new: list[_Entry]) -> tuple[list[_Pair], list[_Entry], list[_Entry]]:
    """Pair the entries that are the same thing: by name first where it stayed, then where it moved."""
    keys: tuple[Callable[[_Entry], Hashable], ...] = (
        lambda entry: (entry.one.owner, entry.one.value),
        lambda entry: (entry.one.owner, entry.one.use, entry.network),
        lambda entry: (entry.one.owner, entry.one.use),
    )
    pairs: list[_Pair] = []
    for key in keys:
        groups = defaultdict(list)
        for entry in new:
            groups[key(entry)].append(entry)
        many = Counter(key(entry) for entry in old)
        left, taken = [], set()
        for entry in old:
            partners = groups[key(entry)]
            if len(partners) == 1 and many[key(entry)] == 1:
                pairs.append((entry, partners[0]))
                taken.add(id(partners[0]))
            else:
                left.append(entry)
        old, new = left, [entry for entry in new if id(entry) not in taken]
    return pairs, old, new


class _Reasons:
    """Says why, from what both plans and the files know."""

    def __init__(self, old: AddressPlan, new: AddressPlan, spec: InstanceSpec) -> None:
        self.old, self.new = _Side(old), _Side(new)
        self.pins = {
            name: "a reservation"
            for reservation in spec.netplan.reservations
            for name in spellings(reservation.owner, spec.name)
        }
        for cluster in spec.stack.clusters:
            if cluster.control_plane.host_ip is not None:
                self.pins[endpoint_name(cluster.name)] = "its hostIP"

    def added(self, entry: _Entry) -> str:
        """Say why somebody has an address who had none."""
        why = self._differs(entry, self.old, self.new, "new {}")
        if (pin := self.pins.get(entry.one.owner)) and entry.one.use != "reserved":
            why += f"; pinned by {pin}"
        former = self.old.holders.get(entry.one.value)
        return f"{why}; the address was {former}'s" if former not in {None, entry.one.owner} else why

    def removed(self, entry: _Entry) -> str:
        """Say why somebody has no address any more."""
        why = self._differs(entry, self.new, self.old, "{} is gone")
        heir = self.new.holders.get(entry.one.value)
        if heir is not None:
            return f"{why}; the address is {heir}'s now"
        return why if entry.one.use in _GIVEN_BY_FILES else f"{why}; the address is freed, to be used again last"

    def moved(self, before: _Entry, after: _Entry) -> str:
        """Say why somebody has another address."""
        if pin := self.pins.get(after.one.owner):
            return f"pinned by {pin}"
        if before.network != after.network:
            return f"from network {before.network} to network {after.network}"
        network = self.new.networks[after.network]
        if IPv4Address(before.one.value) not in network.address_prefix:
            return f"network {network.name} is {network.address_prefix} now"
        heir = self.new.holders.get(before.one.value)
        if heir is not None:
            is_chosen = heir not in self.pins and heir in self.new.chosen
            recorded = "; no lock file held it" if is_chosen else ""
            return f"its former address is {heir}'s now{recorded}"
        if after.one.use in {"gateway", "dns", "host"}:
            return "the files say so"
        if not any(before.one.value in pool for pool in network.pools):
            return "its former address lies outside the pools now"
        return "nothing in the lock file holds its former address"

    def _differs(self, entry: _Entry, before: "_Side", after: "_Side", sentence: str) -> str:
        """Say what is on one side only: the cluster, the network, the pool, or a part of the pool."""
        allocation = entry.one
        if allocation.cluster is not None and allocation.cluster not in before.clusters:
            return sentence.format(f"cluster {allocation.cluster}")
        if not before.networks:
            return sentence.format("instance")
        if entry.network not in before.networks:
            return sentence.format(f"network {entry.network}")
        if allocation.use in _GIVEN_BY_FILES or allocation.cluster is None:
            return sentence.format(
                {"host": "host", "gateway": "gateway", "dns": "DNS server"}.get(allocation.use, "reservation")
            )
        group = _group(allocation)
        if before.groups[group] == 0:
            return sentence.format(_group_name(allocation))
        was, now = self.old.groups[group], self.new.groups[group]
        if was == now:
            return f"{_group_name(allocation)} has other numbers"
        return f"{_group_name(allocation)} {'grew' if now > was else 'shrank'} from {was:,} to {now:,}"


class _Side:
    def __init__(self, plan: AddressPlan) -> None:
        entries = _entries(plan)
        self.networks: dict[str, NetworkPlan] = {network.name: network for network in plan.networks}
        self.clusters = {entry.one.cluster for entry in entries}
        self.groups = Counter(_group(entry.one) for entry in entries)
        self.holders = {entry.one.value: entry.one.owner for entry in entries}
        self.chosen = {entry.one.owner for entry in entries if entry.one.use not in _GIVEN_BY_FILES}


def _group(allocation: Allocation) -> tuple[str | None, str, str]:
    is_numbered = allocation.use in {"workerNode", "controlPlaneNode", "loadBalancer"}
    return (
        allocation.cluster,
        allocation.use,
        allocation.owner.rpartition("-")[0] if is_numbered else allocation.owner,
    )


def _group_name(allocation: Allocation) -> str:
    match allocation.use:
        case "workerNode":
            pool = allocation.owner.removeprefix(f"{allocation.cluster}-").rpartition("-")[0]
            return f"pool {pool} of cluster {allocation.cluster}"
        case "controlPlaneNode":
            return f"control plane of cluster {allocation.cluster}"
        case "loadBalancer":
            return f"service range of cluster {allocation.cluster}"
    return f"{allocation.owner} of cluster {allocation.cluster}"


def _networks(old: AddressPlan, new: AddressPlan) -> Iterator[str]:
    before = {network.name: network for network in old.networks}
    after = {network.name: network for network in new.networks}
    for name, network in after.items():
        if name not in before:
            yield f"new network {name}: {network.address_prefix}"
        else:
            yield from _parts(before[name], network)
    for name in before.keys() - after.keys():
        yield f"network {name} is gone"


def _parts(old: NetworkPlan, new: NetworkPlan) -> Iterable[str]:
    if old.address_prefix != new.address_prefix:
        yield f"network {new.name}: prefix {old.address_prefix}, now {new.address_prefix}"
    if old.vlan != new.vlan:
        yield f"network {new.name}: VLAN {old.vlan}, now {new.vlan}"
    if old.pool.size != new.pool.size:
        yield f"network {new.name}: {counted(old.pool.size, 'address')} in the pools, now {new.pool.size:,}"
    elif old.pools and new.pools and old.pools != new.pools:
        first = ", ".join(f"{address_text(pool.first)}-{address_text(pool.last)}" for pool in new.pools)
        yield f"network {new.name}: the pools are {first} now"
