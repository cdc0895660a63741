"""All stacks of a site at once: each beside what the others have, and nothing is recorded unless all are sound.

Stacks that the site's locks know come first and keep what they have; the others follow by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infra.addresses import AddressPlan, next_lock, update_lock
from infra.addresses.lock import Lock
from infra.addresses.planner import frozen_addresses
from infra.placement import PlacementLock, update_placement_lock
from infra.planning import Locks, frozen_places, plan_instance, read_locks
from infra.spec import Finding, InstanceSpec, SpecError, load_instance
from infra.spec.findings import shown
from infra.spec.rules import errors_first
from infra.spec.stacks import sites, stacks_of_site


@dataclass(frozen=True, slots=True)
class SitePlan:
    """The plans of a site's stacks.

    Attributes:
        site: The site.
        plans: The address plan of each stack, with all findings about it, the placement's too.
        unread: Stacks whose files can't be read; their plans have nothing but findings.
        frozen: What was found about the site's lock files.
    """

    site: str
    plans: Mapping[str, AddressPlan]
    unread: frozenset[str] = frozenset()
    frozen: tuple[Finding, ...] = ()

    @property
    def findings(self) -> list[Finding]:
        """Return every finding once: what is wrong with the site's files concerns all of its stacks."""
        found = (finding for plan in self.plans.values() for finding in plan.findings)
        return errors_first(list(dict.fromkeys((*found, *self.frozen))))

    @property
    def ok(self) -> bool:
        """Tell whether all stacks can be read, and no rule of severity error is broken."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return each stack's plan by its name, as `azlocal plan STACK` has it, and all findings once."""
        return {
            "site": self.site,
            "ok": self.ok,
            "stacks": {stack: plan.to_json() for stack, plan in self.plans.items()},
            "findings": [finding.to_json() for finding in self.findings],
        }


def plan_site(site: str, directory: Path, *, no_lock: bool = False, frozen: bool = False) -> SitePlan:
    """Plan every stack of a site; record all of it where all is sound, unless the locks are left alone.

    Args:
        site: The site, as `azlocal:site` of the stacks names it.
        directory: The project's folder.
        no_lock: Plan as if nothing had been given out, and record nothing.
        frozen: Refuse to change the locks; plans that need it get a finding.

    Raises:
        SpecError: No stack is of that site, or a lock can't be read or written.
    """
    specs, unread = _load(site, directory)
    if not specs:
        return _joined(site, {}, unread)
    if no_lock:
        return _joined(site, _plan_all(specs, Locks(Lock(), PlacementLock())).plans, unread)
    if unread or frozen:
        locks = read_locks(specs[0])
        chain = _plan_all(specs, locks)
        found = _joined(site, chain.plans, unread)
        return replace(found, frozen=_frozen(specs[0], locks, chain.locks)) if frozen and found.ok else found
    return _joined(site, _record(specs).plans, unread)


@dataclass(slots=True)
class _Chain:
    """Plans made one after the other, and what the locks say after them."""

    locks: Locks
    plans: dict[str, AddressPlan] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return all(plan.ok for plan in self.plans.values())


def _load(site: str, directory: Path) -> tuple[list[InstanceSpec], dict[str, AddressPlan]]:
    specs: list[InstanceSpec] = []
    unread: dict[str, AddressPlan] = {}
    names = stacks_of_site(directory, site)
    if not names:
        known = ", ".join(sites(directory)) or "none"
        message = f"no stack is of site {shown(site)}"
        raise SpecError([Finding("unknown-site", "error", "--site", message, f"sites of this project: {known}")])
    for name in names:
        try:
            specs.append(load_instance(name, directory))
        except SpecError as error:
            unread[name] = AddressPlan(name, (), tuple(error.findings))
    return specs, unread


def _plan_all(specs: Sequence[InstanceSpec], locks: Locks) -> _Chain:
    known = set(locks.addresses.instances)
    chain = _Chain(locks)
    for spec in sorted(specs, key=lambda one: (one.name not in known, one.name)):
        plan = plan_instance(spec, chain.locks)
        addresses = next_lock(plan.addresses, chain.locks.addresses)
        places = chain.locks.placement.record(spec.name, plan.placement.places())
        chain.locks = Locks(addresses, places)
        chain.plans[spec.name] = plan.addresses
    return chain


def _record(specs: Sequence[InstanceSpec]) -> _Chain:
    """Plan under both locks, and write them where every stack is sound."""
    chains: list[_Chain] = []

    def change_places(places: PlacementLock) -> PlacementLock:
        def change_addresses(addresses: Lock) -> Lock:
            chains.append(_plan_all(specs, Locks(addresses, places)))
            return chains[-1].locks.addresses if chains[-1].ok else addresses

        update_lock(specs[0].lock_path, change_addresses)
        return chains[-1].locks.placement if chains[-1].ok else places

    update_placement_lock(specs[0].hosts_lock_path, change_places)
    return chains[-1]


def _frozen(spec: InstanceSpec, before: Locks, after: Locks) -> tuple[Finding, ...]:
    found = []
    if after.addresses != before.addresses:
        found.append(frozen_addresses(spec.lock_path, before.addresses, after.addresses))
    if after.placement.hosts() != before.placement.hosts():
        found.append(frozen_places(spec.hosts_lock_path, before.placement, after.placement))
    return tuple(found)


def _joined(site: str, plans: Mapping[str, AddressPlan], unread: Mapping[str, AddressPlan]) -> SitePlan:
    both = {**plans, **unread}
    return SitePlan(site, {name: both[name] for name in sorted(both)}, frozenset(unread))
