"""Reservations and whom they name: each pins a machine, or keeps an address for somebody else."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from infra.addresses.numbers import address_text
from infra.addresses.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath, shown
from infra.spec.machine_names import plan_name, spellings

_ALIKE = 0.8
_NUMBERED = re.compile(r"(.+)-([0-9]+)")
_CONTROL_PLANE = re.compile(r"[a-z0-9-]+-cp-[0-9]+")
_MOST_SERVICES = 256


@rule("pin-twice", source="azlocal")
def pin_twice(facts: Facts) -> Iterator[Fault]:
    """A machine is pinned to one address, whichever of its names a reservation has."""
    owners = {claim.owner for claim in facts.claims}
    pins = {claim.owner: claim.pin for claim in facts.claims if claim.path[-1:] == ("hostIP",)}
    first = dict.fromkeys(pins, "its hostIP")
    for index, one in enumerate(facts.spec.netplan.reservations):
        owner = plan_name(one.owner, facts.spec.name, owners)
        if owner is None:
            continue
        address = int(one.address)
        known = pins.setdefault(owner, address)
        if known is not None and known != address:
            message = f"{owner} is pinned to {one.address}, and to {address_text(known)} by {first[owner]}"
            yield Fault("netplan", ("reservations", index), message, "remove one of the two")
        first.setdefault(owner, f"reservations[{index}]")


@rule("reservation-names-nothing", source="azlocal")
def reservation_names_nothing(facts: Facts) -> Iterator[Fault]:
    """An owner that is written like a name of the plan is one; other owners are free text."""
    stack, names = facts.spec.name, _Names(facts)
    for index, one in enumerate(facts.spec.netplan.reservations):
        if plan_name(one.owner, stack, names.known) is not None or one.owner in names.of_others:
            continue
        place: KeyPath = ("reservations", index)
        short = list(spellings(one.owner.strip().lower(), stack))[-1]
        near = names.meant(short)
        if names.is_to_come(short):
            message = f"there is no {short} yet; {one.address} is kept free for it"
            yield Fault("netplan", place, message, "fine where the cluster will grow; else remove it", "warning")
        elif one.owner.startswith(f"{stack}/") or near is not None:
            message = f"{shown(one.owner)} names nothing in the plan of {stack}, so nothing is pinned"
            hint = f"did you mean {near}? " if near else ""
            remedy = f"{hint}write a name that `azlocal plan {stack}` lists, or say in words who has it"
            yield Fault("netplan", place, message, remedy)
        elif _CONTROL_PLANE.fullmatch(short) or short in names.clusters:
            message = f"{shown(one.owner)} is no machine of a stack that the lock file knows, so nothing is pinned"
            remedy = f"fine where it is another stack's, as STACK/{short}, or words; {one.address} is kept free"
            yield Fault("netplan", place, message, remedy, "warning")


@rule("service-pin-ignored", source="azlocal")
def service_pin_ignored(facts: Facts) -> Iterator[Fault]:
    """A reservation for a service's address agrees with loadBalancer.addresses, which decides."""
    given = _service_addresses(facts)
    for index, one in enumerate(facts.spec.netplan.reservations):
        owner = plan_name(one.owner, facts.spec.name, given)
        if owner is not None and given[owner] != int(one.address):
            message = f"{owner} has {address_text(given[owner])} by loadBalancer.addresses, not {one.address}"
            yield Fault("netplan", ("reservations", index), message, "remove one of the two")


def _service_addresses(facts: Facts) -> dict[str, int]:
    """Return the addresses that people gave to services, by the names that the plan gives to them."""
    given: dict[str, int] = {}
    for one in facts.occupants:
        if one.role == "balancer":
            count = min(len(one.span), _MOST_SERVICES)
            given |= {f"{one.owner}-{one.number + n}": one.span.first + n for n in range(count)}
    return given


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
        balancers = {one.owner for one in self.facts.occupants if one.role == "balancer"}
        return {claim.owner for claim in self.facts.claims} | _service_addresses(self.facts).keys() | balancers

    @cached_property
    def of_others(self) -> set[str]:
        """Return the machines of the site's other stacks, in each way of writing them."""
        owners = {one.owner for one in self.facts.lock.given.values()}
        foreign = [one.partition("/") for one in owners if not one.startswith(f"{self.facts.spec.name}/")]
        return {name for stack, _, short in foreign for name in (short, f"{stack}/{short}", f"{stack}-{short}")}

    @cached_property
    def _groups(self) -> dict[str, str]:
        """Return what stands before numbers, and names without one; each with a name of the plan."""
        names = sorted(self.known, reverse=True)
        return {(found[1] if (found := _NUMBERED.fullmatch(one)) else one): one for one in names}

    def is_to_come(self, name: str) -> bool:
        """Tell whether a name is one of a group that the plan has, with a number that it hasn't yet."""
        found = _NUMBERED.fullmatch(name) if name not in self.known else None
        return found is not None and self._groups.get(found[1], found[1]) != found[1]

    def meant(self, name: str) -> str | None:
        """Return the name of the plan that somebody nearly wrote; None where it is likelier to be words."""
        plain = name.lower().replace("_", "-")
        if plain in self.known:
            return plain
        found = _NUMBERED.fullmatch(plain)
        start, number = (found[1], found[2]) if found else (plain, "")
        of_cluster = next((one for one in (*self.clusters, "rb") if plain.startswith(f"{one}-")), None)
        if of_cluster is None:
            return None
        groups = [one for one in self._groups if one.startswith(f"{of_cluster}-")]
        near = get_close_matches(start, groups, n=1, cutoff=_ALIKE)
        if not near:
            return None
        numbered = f"{near[0]}-{number}"
        return numbered if numbered in self.known else self._groups[near[0]]
