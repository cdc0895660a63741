"""Everything known about one address, or about one name of the plan; pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import AddressValueError, IPv4Address
from itertools import chain
from re import escape, search
from typing import Any

from infra.plan.addresses import assign
from infra.plan.addresses.claims import Claim, cluster_need
from infra.plan.addresses.layout import Network
from infra.plan.addresses.lock import Lock
from infra.plan.addresses.numbers import address_text, as_ranges, range_text, walk, without
from infra.plan.addresses.occupants import Occupant
from infra.plan.addresses.plan import Allocation
from infra.plan.instance import Plan
from infra.spec.findings import Finding, SpecError, shown
from infra.spec.loader import InstanceSpec
from infra.spec.machine_names import plan_name
from infra.spec.types import AddressRange, meant_address


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known about one thing: its name, and facts as pairs of a heading and a sentence."""

    subject: str
    facts: tuple[tuple[str, str], ...]

    def with_fact(self, about: str, text: str | None) -> "Explanation":
        """Return it with one fact more; as it is, if there is none."""
        return Explanation(self.subject, (*self.facts, (about, text))) if text else self

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"subject": self.subject, "facts": [{"about": about, "text": text} for about, text in self.facts]}


def explain(query: str, spec: InstanceSpec, plan: Plan, lock: Lock) -> list[Explanation]:
    """Explain an address, a name of the plan, or a cluster with all that it has.

    Args:
        query: The address or the name: the plan's (`a-cp-0`) or the machine's own (`lab-a-cp-0`).
        spec: What people wrote.
        plan: The plan of it, made with the lock.
        lock: What earlier plans gave out.

    Raises:
        SpecError: Nothing has that name.
    """
    scene = _Scene(spec, plan, lock)
    try:
        return [scene.address(int(IPv4Address(query)))]
    except AddressValueError:
        pass
    name = plan_name(query, spec.name, scene.names())
    explanations = list(scene.named(name)) if name is not None else []
    if not explanations:
        raise SpecError([_unknown(query, spec.name, scene.names())])
    return explanations


class _Scene:
    """The parts of a plan, as the planner has them."""

    def __init__(self, spec: InstanceSpec, plan: Plan, lock: Lock) -> None:
        self.spec, self.plan, self.lock = spec, plan, lock
        assignment = assign(spec, lock)
        self.networks, self.occupants = assignment.networks, assignment.occupants
        self.claims = {claim.owner: claim for claim in assignment.claims}
        self.holders = {
            allocation.value: allocation
            for network in plan.addresses.networks
            for allocation in network.allocations
        }

    def names(self) -> set[str]:
        """Return every name that can be asked for."""
        clusters = {cluster.name for cluster in self.spec.stack.clusters}
        occupants = {occupant.owner for occupant in self.occupants}
        return {holder.owner for holder in self.holders.values()} | self.claims.keys() | clusters | occupants

    def named(self, name: str) -> Iterator[Explanation]:
        """Explain every address of that name, a claim that found none, a cluster."""
        for value in sorted(self.holders):
            if self.holders[value].owner == name:
                yield self.address(value)
        held = {holder.owner for holder in self.holders.values()}
        own = {value for value, holder in self.holders.items() if holder.owner == name}
        for value in sorted({occupant.span.first for occupant in self.occupants if occupant.owner == name} - own):
            yield self.address(value)
        if name in self.claims and name not in held:
            claim = self.claims[name]
            facts = [("why", claim.why), ("address", "none: nothing was free where it has to be")]
            yield Explanation(name, (*facts, *self._findings(name)))
        for index, cluster in enumerate(self.spec.stack.clusters):
            if cluster.name == name:
                need = cluster_need(cluster)
                where = self.spec.sources.where("stack", ("clusters", index))
                held_by = [holder for holder in self.holders.values() if holder.cluster == name]
                asks = f"{need.pool} of the pool, {need.outside} VIP outside it, {need.load_balancer} for services"
                ranges = (
                    ", ".join(range_text(span) for span in as_ranges(holder.value for holder in held_by)) or "none"
                )
                facts = [
                    ("network", cluster.logical_network),
                    ("needs", asks),
                    ("has", ranges),
                    ("written in", where),
                ]
                facts += [
                    (holder.address, f"{holder.owner}: {holder.why}")
                    for holder in sorted(held_by, key=lambda allocation: allocation.value)
                ]
                yield Explanation(f"cluster {name}", tuple(facts))

    def address(self, value: int) -> Explanation:
        """Explain one address, whoever has it or nobody."""
        holder = self.holders.get(value)
        network = next((candidate for candidate in self.networks if value in candidate.span), None)
        facts: list[tuple[str, str]] = []
        if holder is not None:
            facts += [
                ("owner", holder.owner),
                ("use", holder.use + (f" of cluster {holder.cluster}" if holder.cluster else "")),
                ("why", holder.why),
                ("placed by", self._placed_by(holder)),
            ]
        elif there := self._occupant(value):
            facts += [("owner", there.owner), ("use", there.use), ("why", there.why)]
            facts.append(("placed by", "the files, where people wrote it; the plan gives it to nobody else"))
        else:
            facts += [("owner", "nobody"), ("can be given", self._can_be_given(value, network))]
        facts += self._files(value, holder)
        facts.append(("lock", self._history(value)))
        if network is not None:
            facts += self._place(value, network)
        return Explanation(address_text(value), (*facts, *self._findings(address_text(value))))

    def _occupant(self, value: int) -> Occupant | None:
        """Return who has an address that the plan doesn't list: one outside its networks, or of a range."""
        return next((occupant for occupant in self.occupants if value in occupant.span), None)

    def _placed_by(self, holder: Allocation) -> str:
        claim = self.claims.get(holder.owner)
        if claim is None:
            if any(holder.value in occupant.span for occupant in self.occupants):
                return "the files, where people wrote it; the plan gives it to nobody else"
            return f"another instance of this site: {holder.owner.partition('/')[0]}"
        if claim.pin == holder.value:
            return "a pin: people chose this address, and a pin goes before everything"
        recorded, freed = self.lock.given.get(holder.value), self.lock.freed.get(holder.value)
        named = f"{self.plan.instance}/{holder.owner}"
        if recorded is not None and recorded.owner == named:
            return "the lock: an address, once given, stays"
        if freed is not None and freed.was == named:
            return "the lock: it had this address before, and comes back to it"
        return _first_choice(claim)

    def _can_be_given(self, value: int, network: Network | None) -> str:
        if network is None:
            return "no: it lies in none of the netplan's networks"
        if value not in network.usable:
            which = "network" if value == network.span.first else "broadcast"
            return f"no: it is the {which} address of network {network.name}"
        if not network.is_in_pool(value):
            return "to no machine: it lies outside the pools; services without a range get addresses from here"
        place, count = self._turn(value, network)
        return f"yes: number {place:,} of {count:,} that new machines get"

    def _fresh(self, network: Network) -> list[AddressRange]:
        """Return a pool's addresses that nobody has or had; as ranges, for a pool can have millions."""
        spans = [occupant.span for occupant in self.occupants]
        known = [*as_ranges([*self.holders, *self.lock.freed]), *spans]
        return [part for span in network.giving for part in without(span, known)]

    def _freed(self, network: Network) -> list[int]:
        """Return a pool's freed addresses in the order in which they are used again."""
        free = [
            address for address in self.lock.freed if address not in self.holders and network.is_in_pool(address)
        ]
        return sorted(free, key=lambda address: self.lock.freed[address].order)

    def _turn(self, value: int, network: Network) -> tuple[int, int]:
        """Return when a free address is given, and how many are free: the lowest first, freed ones last."""
        fresh, freed = self._fresh(network), self._freed(network)
        count = sum(len(span) for span in fresh)
        if value in self.lock.freed:
            return count + freed.index(value) + 1, count + len(freed)
        before = sum(min(value, span.last) - span.first + 1 for span in fresh if span.first <= value)
        return before, count + len(freed)

    def _files(self, value: int, holder: Allocation | None) -> Iterator[tuple[str, str]]:
        """Say where the files name the address, and what else lies there."""
        where = self.spec.sources.where
        for occupant in self.occupants:
            if value in occupant.span:
                yield "written in", f"{where(occupant.file, occupant.path)} ({_what(occupant)})"
        for index, reservation in enumerate(self.spec.netplan.reservations):
            pinned = plan_name(reservation.owner, self.spec.name, self.claims)
            if int(reservation.address) == value and pinned is not None:
                yield "reservation", f"{where('netplan', ('reservations', index))} pins {pinned} here"
        claim = self.claims.get(holder.owner) if holder else None
        if claim is not None and claim.path:
            yield "asked for in", where("stack", claim.path)
        for index, cluster in enumerate(self.spec.stack.clusters):
            profile = cluster.network_profile
            for key, prefix in (("podCidr", profile.pod_cidr), ("serviceCidr", profile.service_cidr)):
                if IPv4Address(value) in prefix.network:
                    place = where("stack", ("clusters", index, "networkProfile", key))
                    yield "inside", f"{key} {prefix.network} of cluster {cluster.name} ({place})"

    def _history(self, value: int) -> str:
        name = f"netplans/{self.spec.lock_path.name}"
        recorded, freed = self.lock.given.get(value), self.lock.freed.get(value)
        if recorded is not None:
            return f"{name} gives it to {recorded.owner} ({recorded.use})"
        if freed is not None:
            ahead = sum(other.order < freed.order for other in self.lock.freed.values())
            return (
                f"{name}: {freed.was} had it; number {ahead + 1} of {len(self.lock.freed)} freed ones in the queue"
            )
        return f"{name} has never given it out"

    def _place(self, value: int, network: Network) -> Iterator[tuple[str, str]]:
        vlan = f"VLAN {network.vlan}" if network.vlan else "untagged"
        yield "network", f"{network.name} ({network.prefix}, {vlan})"
        span = next((candidate for candidate in network.giving if value in candidate), None)
        yield "pool", range_text(span) if span else "none: outside the pools that machines get addresses from"
        for label, neighbour in (("below", value - 1), ("above", value + 1)):
            if neighbour in network.span:
                yield label, self._neighbour(neighbour, network)
        waiting = chain(walk(self._fresh(network)), self._freed(network))
        free = next((address for address in waiting if address != value), None)
        yield "next free", f"{address_text(free)} in the pool" if free is not None else "none in the pool"

    def _neighbour(self, value: int, network: Network) -> str:
        holder = self.holders.get(value)
        if holder is not None:
            return f"{holder.address} is {holder.owner}'s ({holder.use})"
        if value not in network.usable:
            return f"{address_text(value)} can be nobody's: it is the end of the subnet"
        return f"{address_text(value)} is free{'' if network.is_in_pool(value) else ', outside the pools'}"

    def _findings(self, text: str) -> Iterator[tuple[str, str]]:
        pattern = rf"(?<![\w.-]){escape(text)}(?![\w-]|\.\d)"
        for finding in self.plan.findings:
            if search(pattern, finding.message):
                yield finding.severity, f"{finding.path}: {finding.message} [{finding.rule}]"


def _first_choice(claim: Claim) -> str:
    if claim.follows is not None:
        return f"adjacency: next to {claim.follows}, as Azure Local asks"
    if claim.place == "outside":
        return "first choice: the first address behind the pools that nobody has or had; freed ones last"
    return "first choice: the lowest address of the pool that nobody has or had; freed ones last"


def _what(occupant: Occupant) -> str:
    return occupant.why if len(occupant.span) == 1 else f"{range_text(occupant.span)}: {occupant.why}"


def _unknown(query: str, stack: str, names: set[str]) -> Finding:
    plain = query.strip().lower()
    short = plan_name(plain, stack, names)
    meant = meant_address(query)
    close = (
        [short] if short else [str(meant)] if meant else get_close_matches(plain, sorted(names), n=3, cutoff=0.5)
    )
    remedy = f"did you mean {' or '.join(close)}?" if close else "`azlocal plan` lists every name and address"
    message = f"{shown(query)} is neither an address nor a name of this plan"
    return Finding("nothing-to-explain", "error", f"--explain {shown(query)}", message, remedy)
