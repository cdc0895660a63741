"""Everything known about one address, or about one name of the plan; pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import AddressValueError, IPv4Address
from itertools import chain
from re import escape, search
from typing import Any

from infra.addresses.claims import Claim, build_claims, cluster_need
from infra.addresses.layout import Network, build_networks
from infra.addresses.lock import Lock
from infra.addresses.numbers import address_text, as_ranges, range_text, walk, without
from infra.addresses.occupants import Occupant, build_occupants, pin_claims
from infra.addresses.plan import AddressPlan, Allocation
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
        return {"subject": self.subject, "facts": [{"about": one, "text": text} for one, text in self.facts]}


def explain(query: str, spec: InstanceSpec, plan: AddressPlan, lock: Lock) -> list[Explanation]:
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
    found = list(scene.named(name)) if name is not None else []
    if not found:
        raise SpecError([_unknown(query, spec.name, scene.names())])
    return found


class _Scene:
    """The parts of a plan, as the planner has them."""

    def __init__(self, spec: InstanceSpec, plan: AddressPlan, lock: Lock) -> None:
        self.spec, self.plan, self.lock = spec, plan, lock
        self.networks = build_networks(spec.netplan)
        self.claims = {one.owner: one for one in pin_claims(spec, build_claims(spec, self.networks))}
        self.occupants = build_occupants(spec, self.networks, list(self.claims.values()), lock)
        self.holders = {one.value: one for network in plan.networks for one in network.allocations}

    def names(self) -> set[str]:
        """Return every name that can be asked for."""
        clusters = {one.name for one in self.spec.stack.clusters}
        occupants = {one.owner for one in self.occupants}
        return {one.owner for one in self.holders.values()} | self.claims.keys() | clusters | occupants

    def named(self, name: str) -> Iterator[Explanation]:
        """Explain every address of that name, a claim that found none, a cluster."""
        for value in sorted(self.holders):
            if self.holders[value].owner == name:
                yield self.address(value)
        held = {one.owner for one in self.holders.values()}
        own = {value for value, one in self.holders.items() if one.owner == name}
        for value in sorted({one.span.first for one in self.occupants if one.owner == name} - own):
            yield self.address(value)
        if name in self.claims and name not in held:
            claim = self.claims[name]
            facts = [("why", claim.why), ("address", "none: nothing was free where it has to be")]
            yield Explanation(name, (*facts, *self._findings(name)))
        for index, cluster in enumerate(self.spec.stack.clusters):
            if cluster.name == name:
                need = cluster_need(cluster)
                where = self.spec.sources.where("stack", ("clusters", index))
                held_by = [one for one in self.holders.values() if one.cluster == name]
                asks = f"{need.pool} of the pool, {need.outside} VIP outside it, {need.load_balancer} for services"
                ranges = ", ".join(range_text(one) for one in as_ranges(one.value for one in held_by)) or "none"
                facts = [
                    ("network", cluster.logical_network),
                    ("needs", asks),
                    ("has", ranges),
                    ("written in", where),
                ]
                facts += [
                    (one.address, f"{one.owner}: {one.why}") for one in sorted(held_by, key=lambda one: one.value)
                ]
                yield Explanation(f"cluster {name}", tuple(facts))

    def address(self, value: int) -> Explanation:
        """Explain one address, whoever has it or nobody."""
        holder = self.holders.get(value)
        network = next((one for one in self.networks if value in one.span), None)
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
        return next((one for one in self.occupants if value in one.span), None)

    def _placed_by(self, holder: Allocation) -> str:
        claim = self.claims.get(holder.owner)
        if claim is None:
            if any(holder.value in one.span for one in self.occupants):
                return "the files, where people wrote it; the plan gives it to nobody else"
            return f"another instance of this site: {holder.owner.partition('/')[0]}"
        if claim.pin == holder.value:
            return "a pin: people chose this address, and a pin goes before everything"
        given, freed = self.lock.given.get(holder.value), self.lock.freed.get(holder.value)
        named = f"{self.plan.instance}/{holder.owner}"
        if given is not None and given.owner == named:
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
        spans = [one.span for one in self.occupants]
        known = [*as_ranges([*self.holders, *self.lock.freed]), *spans]
        return [part for span in network.giving for part in without(span, known)]

    def _freed(self, network: Network) -> list[int]:
        """Return a pool's freed addresses in the order in which they are used again."""
        free = [one for one in self.lock.freed if one not in self.holders and network.is_in_pool(one)]
        return sorted(free, key=lambda one: self.lock.freed[one].order)

    def _turn(self, value: int, network: Network) -> tuple[int, int]:
        """Return when a free address is given, and how many are free: the lowest first, freed ones last."""
        fresh, freed = self._fresh(network), self._freed(network)
        count = sum(len(one) for one in fresh)
        if value in self.lock.freed:
            return count + freed.index(value) + 1, count + len(freed)
        before = sum(min(value, one.last) - one.first + 1 for one in fresh if one.first <= value)
        return before, count + len(freed)

    def _files(self, value: int, holder: Allocation | None) -> Iterator[tuple[str, str]]:
        """Say where the files name the address, and what else lies there."""
        where = self.spec.sources.where
        for one in self.occupants:
            if value in one.span:
                yield "written in", f"{where(one.file, one.path)} ({_what(one)})"
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
        given, freed = self.lock.given.get(value), self.lock.freed.get(value)
        if given is not None:
            return f"{name} gives it to {given.owner} ({given.use})"
        if freed is not None:
            ahead = sum(one.order < freed.order for one in self.lock.freed.values())
            return (
                f"{name}: {freed.was} had it; number {ahead + 1} of {len(self.lock.freed)} freed ones in the queue"
            )
        return f"{name} has never given it out"

    def _place(self, value: int, network: Network) -> Iterator[tuple[str, str]]:
        vlan = f"VLAN {network.vlan}" if network.vlan else "untagged"
        yield "network", f"{network.name} ({network.prefix}, {vlan})"
        span = next((one for one in network.giving if value in one), None)
        yield "pool", range_text(span) if span else "none: outside the pools that machines get addresses from"
        for label, neighbour in (("below", value - 1), ("above", value + 1)):
            if neighbour in network.span:
                yield label, self._neighbour(neighbour, network)
        waiting = chain(walk(self._fresh(network)), self._freed(network))
        free = next((one for one in waiting if one != value), None)
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
        for one in self.plan.findings:
            if search(pattern, one.message):
                yield one.severity, f"{one.path}: {one.message} [{one.rule}]"


def _first_choice(claim: Claim) -> str:
    if claim.follows is not None:
        return f"adjacency: next to {claim.follows}, as Azure Local asks"
    if claim.place == "outside":
        return "first choice: the first address behind the pools that nobody has or had; freed ones last"
    return "first choice: the lowest address of the pool that nobody has or had; freed ones last"


def _what(one: Occupant) -> str:
    return one.why if len(one.span) == 1 else f"{range_text(one.span)}: {one.why}"


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
