"""The whole plan of an instance: its addresses and its placement, what is wrong with them, and recording both."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from infra.plan.addresses import AddressPlan, Lock, address_plan, next_lock
from infra.plan.locks import Locks, Recording, SiteLocks
from infra.plan.placement import Placement
from infra.plan.rules import RULES, Facts
from infra.plan.rules.base import Part
from infra.spec import Finding, InstanceSpec


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything is, and at which address; sound when no finding is an error.

    Attributes:
        addresses: The address plan.
        placement: The placement.
        findings: What is wrong: with either, and with both.
    """

    addresses: AddressPlan
    placement: Placement
    findings: tuple[Finding, ...] = ()

    @property
    def instance(self) -> str:
        """Return the instance's name."""
        return self.addresses.instance

    @property
    def ok(self) -> bool:
        """Tell whether no rule of severity error is broken."""
        return _is_sound(self.findings)

    def findings_about(self, *parts: Part) -> tuple[Finding, ...]:
        """Return what is wrong with parts of the plan."""
        return RULES.about(self.findings, *parts)

    def is_sound(self, *parts: Part) -> bool:
        """Tell whether no rule of severity error about these parts is broken."""
        return _is_sound(self.findings_about(*parts))

    def locks_after(self, before: Locks, *, is_carried_out: bool = False) -> Locks:
        """Return what the site's locks say after this plan.

        Args:
            before: What they said before it.
            is_carried_out: An `up` makes the moves now, so that the lock need not remember them.
        """
        places = self.placement.places()
        if is_carried_out:
            places = {owner: replace(place, was=None, because=None) for owner, place in places.items()}
        return Locks(
            next_lock(self.addresses, before.addresses), before.placement.record(self.placement.instance, places)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of design.md."""
        return {
            "instance": self.instance,
            "ok": self.ok,
            **self.addresses.to_json(),
            "findings": [finding.to_json() for finding in self.findings],
        }


def nothing_planned(instance: str, findings: Iterable[Finding] = ()) -> Plan:
    """Return the plan of an instance of which nothing is planned, and why."""
    return Plan(AddressPlan(instance), Placement(instance), tuple(findings))


def plan_instance(spec: InstanceSpec, locks: Locks | None = None) -> Plan:
    """Plan an instance and check it against every rule; pure.

    Args:
        spec: What people wrote.
        locks: What earlier plans decided; None is nothing.
    """
    facts = Facts(spec, locks or Locks())
    if too_much := RULES.check(facts, "bounds"):
        return nothing_planned(spec.name, too_much)
    findings = RULES.check(facts, "addresses", "placement")
    return Plan(address_plan(facts.addresses), facts.placement, tuple(findings))


def check_addresses(spec: InstanceSpec, lock: Lock | None = None) -> list[Finding]:
    """Return what is wrong with the addresses of an instance, wherever its machines are; pure.

    Args:
        spec: What people wrote.
        lock: What earlier plans gave out; None is nothing.
    """
    facts = Facts(spec, Locks(lock or Lock()))
    return RULES.check(facts, "bounds") or RULES.check(facts, "addresses")


def record_instance(spec: InstanceSpec, *, frozen: bool = False, is_carried_out: bool = False) -> Plan:
    """Plan with the site's lock files, and write them when the plan is sound and decides something new.

    Args:
        spec: What people wrote.
        frozen: Refuse to change the locks; a plan that needs it gets a finding. Where there is no lock to
            change, nothing is written and a warning says so.
        is_carried_out: An `up` makes the moves now, so that the lock need not remember them.

    Raises:
        SpecError: A lock can't be read or written.
    """
    with SiteLocks.of(spec).update() as update:
        before = update.lock
        plan = plan_instance(spec, before)
        after = plan.locks_after(before, is_carried_out=is_carried_out)
        if frozen:
            sound = Locks(
                after.addresses if plan.is_sound("bounds", "addresses") else before.addresses,
                after.placement if plan.is_sound("bounds", "placement") else before.placement,
            )
            once = {finding.rule: finding for finding in reversed(frozen_findings(spec, before, sound))}
            return replace(plan, findings=tuple(RULES.in_order([*plan.findings, *once.values()])))
        if plan.ok:
            update.lock = after
        return plan


def frozen_findings(spec: InstanceSpec, before: Locks, after: Locks) -> list[Finding]:
    """Return what is said where plans would change a site's lock files that mustn't be changed."""
    return RULES.check(Facts(spec, before, Recording(after, SiteLocks.of(spec).absent)), "locks")


def _is_sound(findings: Iterable[Finding]) -> bool:
    return all(finding.severity != "error" for finding in findings)
