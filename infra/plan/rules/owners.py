"""Reservations and whom they name: each pins a machine, or keeps an address for somebody else."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from infra.plan.addresses.numbers import address_text
from infra.plan.inventory import BRIDGE, CONTROL_PLANE, OF_A_CLUSTER
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath, shown
from infra.spec.machine_names import plan_name, spellings
from infra.spec.near import nearest

_ALIKE = 0.8
_NUMBERED = re.compile(r"(.+)-([0-9]+)")
_BETWEEN = re.compile(r"[\s._]+")
_MOST_SERVICES = 256


@rule("pin-twice", source="azlocal")
def pin_twice(facts: Facts) -> Iterator[Fault]:
    """A machine is pinned to one address, whichever of its names a reservation has."""
    owners = {claim.owner for claim in facts.claims}
    pins = {claim.owner: claim.pin for claim in facts.claims if claim.path[-1:] == ("hostIP",)}
    first = dict.fromkeys(pins, "its hostIP")
    for index, reservation in enumerate(facts.spec.netplan.reservations):
        owner = plan_name(reservation.owner, facts.spec.name, owners)
        if owner is None:
            continue
        address = int(reservation.address)
        known = pins.setdefault(owner, address)
        if known is not None and known != address:
            message = f"{owner} is pinned to {reservation.address}, and to {address_text(known)} by {first[owner]}"
            yield Fault("netplan", ("reservations", index), message, "remove one of the two")
        first.setdefault(owner, f"reservations[{index}]")


@rule("reservation-names-nothing", source="azlocal")
def reservation_names_nothing(facts: Facts) -> Iterator[Fault]:
    """An owner that is written like a name of the plan is one; other owners are free text."""
    stack, names = facts.spec.name, _Names(facts)
    for index, reservation in enumerate(facts.spec.netplan.reservations):
        if plan_name(reservation.owner, stack, names.known) is not None or reservation.owner in names.of_others:
            continue
        place: KeyPath = ("reservations", index)
        short = list(spellings(reservation.owner.strip().lower(), stack))[-1]
        near = names.meant(short)
        if names.is_to_come(short):
            message = f"there is no {short} yet; {reservation.address} is kept free for it"
            yield Fault("netplan", place, message, "fine where the cluster will grow; else remove it", "warning")
        elif reservation.owner.startswith(f"{stack}/") or near is not None:
            message = f"{shown(reservation.owner)} names nothing in the plan of {stack}, so nothing is pinned"
            hint = f"did you mean {near}? " if near else ""
            remedy = f"{hint}write a name that `azlocal plan {stack}` lists, or say in words who has it"
            yield Fault("netplan", place, message, remedy)
        elif (full := names.without_cluster(short)) is not None:
            message = f"{shown(reservation.owner)} names nothing in the plan of {stack}, so nothing is pinned"
            remedy = f"write {full} where that machine is meant; {reservation.address} is kept free"
            yield Fault("netplan", place, message, remedy, "warning")
        elif CONTROL_PLANE.fullmatch(short) or short in names.clusters or names.is_like_a_machine(short):
            message = (
                f"{shown(reservation.owner)} is no machine of a stack that the lock file knows, "
                "so nothing is pinned"
            )
            remedy = (
                f"fine where it is another stack's, as STACK/{short}, or words; {reservation.address} is kept free"
            )
            yield Fault("netplan", place, message, remedy, "warning")


@rule("service-pin-ignored", source="azlocal")
def service_pin_ignored(facts: Facts) -> Iterator[Fault]:
    """A reservation for a service's address agrees with loadBalancer.addresses, which decides."""
    services = _service_addresses(facts)
    for index, reservation in enumerate(facts.spec.netplan.reservations):
        owner = plan_name(reservation.owner, facts.spec.name, services)
        if owner is not None and services[owner] != int(reservation.address):
            message = (
                f"{owner} has {address_text(services[owner])} by loadBalancer.addresses, not {reservation.address}"
            )
            yield Fault("netplan", ("reservations", index), message, "remove one of the two")


def _service_addresses(facts: Facts) -> dict[str, int]:
    """Return the addresses that people gave to services, by the names that the plan gives to them."""
    addresses: dict[str, int] = {}
    for occupant in facts.occupants:
        if occupant.role == "balancer":
            count = min(len(occupant.span), _MOST_SERVICES)
            addresses |= {f"{occupant.owner}-{occupant.number + n}": occupant.span.first + n for n in range(count)}
    return addresses


@dataclass(frozen=True)
class _Names:
    """Every name that an owner can have."""

    facts: Facts

    @cached_property
    def clusters(self) -> set[str]:
        """Return the clusters' names."""
        return {cluster.name for _, cluster in self.facts.clusters}

    @cached_property
    def known(self) -> set[str]:
        """Return the names of the plan."""
        balancers = {occupant.owner for occupant in self.facts.occupants if occupant.role == "balancer"}
        return {claim.owner for claim in self.facts.claims} | _service_addresses(self.facts).keys() | balancers

    @cached_property
    def of_others(self) -> set[str]:
        """Return the machines of the site's other stacks, in each way of writing them."""
        owners = {holder.owner for holder in self.facts.locks.addresses.given.values()}
        foreign = [owner.partition("/") for owner in owners if not owner.startswith(f"{self.facts.spec.name}/")]
        return {name for stack, _, short in foreign for name in (short, f"{stack}/{short}", f"{stack}-{short}")}

    @cached_property
    def _groups(self) -> dict[str, str]:
        """Return what stands before numbers, and names without one; each with a name of the plan."""
        names = sorted(self.known, reverse=True)
        return {(match[1] if (match := _NUMBERED.fullmatch(name)) else name): name for name in names}

    def is_to_come(self, name: str) -> bool:
        """Tell whether a name is one of a group that the plan has, with a number that it hasn't yet."""
        match = _NUMBERED.fullmatch(name) if name not in self.known else None
        if match is None or match[2] != str(int(match[2])):
            return False
        return self._groups.get(match[1], match[1]) != match[1]

    def is_like_a_machine(self, name: str) -> bool:
        """Tell whether a name is written as those of a cluster's machines and addresses are: `a-gpu-0`."""
        return any(
            name.startswith(f"{cluster}-") and OF_A_CLUSTER.fullmatch(name.removeprefix(f"{cluster}-"))
            for cluster in self.clusters
        )

    def without_cluster(self, name: str) -> str | None:
        """Return the machine of which somebody wrote the name without the cluster's; None where it is no such."""
        plain = _BETWEEN.sub("-", name.strip().lower())
        return next(
            (full for cluster in sorted(self.clusters) if (full := f"{cluster}-{plain}") in self.known), None
        )

    def meant(self, name: str) -> str | None:
        """Return the name of the plan that somebody nearly wrote; None where it is likelier to be words."""
        plain = _BETWEEN.sub("-", name.strip().lower())
        if plain in self.known:
            return plain
        match = _NUMBERED.fullmatch(plain)
        start, number = (match[1], match[2]) if match else (plain, "")
        of_cluster = next(
            (cluster for cluster in (*self.clusters, BRIDGE) if plain.startswith(f"{cluster}-")), None
        )
        if of_cluster is None:
            return None
        groups = [group for group in self._groups if group.startswith(f"{of_cluster}-")]
        near = nearest(start, groups, _ALIKE)
        if near is None:
            return None
        numbered = f"{near}-{number}"
        return numbered if numbered in self.known else self._groups[near]
