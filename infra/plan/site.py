"""All stacks of a site at once: each beside what the others have, and nothing is recorded unless all are sound.

Stacks that the site's locks know come first and keep what they have; the others follow by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infra.plan.instance import Plan, frozen_findings, nothing_planned, plan_instance
from infra.plan.locks import Locks, SiteLocks
from infra.plan.rules import errors_first
from infra.spec import Finding, InstanceSpec, SpecError, load_instance
from infra.spec.findings import shown
from infra.spec.stacks import sites, stacks_of_site


@dataclass(frozen=True, slots=True)
class SitePlan:
    """The plans of a site's stacks.

    Attributes:
        site: The site.
        plans: The plan of each stack.
        unread: Stacks whose files can't be read; their plans have nothing but findings.
        frozen: What was found about the site's lock files.
    """

    site: str
    plans: Mapping[str, Plan]
    unread: frozenset[str] = frozenset()
    frozen: tuple[Finding, ...] = ()

    @property
    def findings(self) -> list[Finding]:
        """Return every finding once: what is wrong with the site's files concerns all of its stacks."""
        listed = (finding for plan in self.plans.values() for finding in plan.findings)
        return errors_first(list(dict.fromkeys((*listed, *self.frozen))))

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
        return _joined(site, _plan_all(specs, Locks()).plans, unread)
    if unread or frozen:
        locks = SiteLocks.of(specs[0]).read()
        chain = _plan_all(specs, locks)
        joined = _joined(site, chain.plans, unread)
        return (
            replace(joined, frozen=tuple(frozen_findings(specs[0], locks, chain.locks)))
            if frozen and joined.ok
            else joined
        )
    return _joined(site, _record(specs).plans, unread)


@dataclass(slots=True)
class _Chain:
    """Plans made one after the other, and what the locks say after them."""

    locks: Locks
    plans: dict[str, Plan] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return all(plan.ok for plan in self.plans.values())


def _load(site: str, directory: Path) -> tuple[list[InstanceSpec], dict[str, Plan]]:
    specs: list[InstanceSpec] = []
    unread: dict[str, Plan] = {}
    names = stacks_of_site(directory, site)
    if not names:
        known = ", ".join(sites(directory)) or "none"
        message = f"no stack is of site {shown(site)}"
        raise SpecError([Finding("unknown-site", "error", "--site", message, f"sites of this project: {known}")])
    for name in names:
        try:
            specs.append(load_instance(name, directory))
        except SpecError as error:
            unread[name] = nothing_planned(name, error.findings)
    return specs, unread


def _plan_all(specs: Sequence[InstanceSpec], locks: Locks) -> _Chain:
    known = set(locks.addresses.instances)
    chain = _Chain(locks)
    for spec in sorted(specs, key=lambda stack: (stack.name not in known, stack.name)):
        plan = plan_instance(spec, chain.locks)
        chain.locks = plan.locks_after(chain.locks)
        chain.plans[spec.name] = plan
    return chain


def _record(specs: Sequence[InstanceSpec]) -> _Chain:
    """Plan under both locks, and write them where every stack is sound."""
    with SiteLocks.of(specs[0]).update() as update:
        chain = _plan_all(specs, update.lock)
        if chain.ok:
            update.lock = chain.locks
        return chain


def _joined(site: str, plans: Mapping[str, Plan], unread: Mapping[str, Plan]) -> SitePlan:
    both = {**plans, **unread}
    return SitePlan(site, {name: both[name] for name in sorted(both)}, frozenset(unread))
