"""Reservations and whom they name: each pins a machine, or keeps an address for somebody else."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from infra.addresses.numbers import address_text
from infra.addresses.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath, shown
from infra.spec.machine_names import plan_name, spellings

_ALIKE = 0.8
_NUMBERED = re.compile(r"(.+)-([0-9]+)")


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
    known = _names(facts)
    groups = {found[1] for name in known if (found := _NUMBERED.fullmatch(name))}
    for index, one in enumerate(facts.spec.netplan.reservations):
        if plan_name(one.owner, facts.spec.name, known) is not None:
            continue
        place: KeyPath = ("reservations", index)
        short = list(spellings(one.owner, facts.spec.name))[-1]
        numbered = _NUMBERED.fullmatch(short)
        near = get_close_matches(short, sorted(known), n=1, cutoff=_ALIKE)
        if numbered and numbered[1] in groups:
            message = f"there is no {short} yet; {one.address} is kept free for it"
            yield Fault("netplan", place, message, "fine where the cluster will grow; else remove it", "warning")
        elif one.owner.startswith(f"{facts.spec.name}/") or (near and _is_ours(facts, short)):
            message = f"{shown(one.owner)} names nothing in the plan of {facts.spec.name}, so nothing is pinned"
            hint = f"did you mean {near[0]}? " if near else ""
            remedy = f"{hint}write a name that `azlocal plan {facts.spec.name}` lists, or say in words who has it"
            yield Fault("netplan", place, message, remedy)


@rule("service-pin-ignored", source="azlocal")
def service_pin_ignored(facts: Facts) -> Iterator[Fault]:
    """A reservation for a service's address agrees with loadBalancer.addresses, which decides."""
    given: dict[str, int] = {}
    for one in facts.occupants:
        if one.role == "balancer" and one.listed is not None:
            span = one.listed
            given |= {f"{one.owner}-{one.number + n}": span.first + n for n in range(min(len(span), 256))}
    for index, one_ in enumerate(facts.spec.netplan.reservations):
        owner = plan_name(one_.owner, facts.spec.name, given)
        if owner is not None and given[owner] != int(one_.address):
            message = f"{owner} has {address_text(given[owner])} by loadBalancer.addresses, not {one_.address}"
            yield Fault("netplan", ("reservations", index), message, "remove one of the two")


def _names(facts: Facts) -> set[str]:
    """Return every name of the plan that a reservation can have."""
    names = {claim.owner for claim in facts.claims}
    for one in facts.occupants:
        if one.role == "balancer":
            names |= {one.owner, *(f"{one.owner}-{one.number + n}" for n in range(min(len(one.span), 256)))}
    return names


def _is_ours(facts: Facts, name: str) -> bool:
    """Tell whether a name begins like those of a cluster here, or of the resource bridge."""
    return any(name.startswith(f"{one}-") for one in ("rb", *(cluster.name for _, cluster in facts.clusters)))
