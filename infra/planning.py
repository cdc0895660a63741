"""The whole plan of an instance: its addresses and its placement together, and the effect of recording both."""

from dataclasses import dataclass, replace
from pathlib import Path

from infra.addresses import AddressPlan, Lock, plan_addresses, read_lock, record_plan
from infra.placement import Placement, PlacementLock, plan_placement, read_placement_lock, update_placement_lock
from infra.spec import Finding, InstanceSpec
from infra.spec.rules import errors_first


@dataclass(frozen=True, slots=True)
class Locks:
    """What earlier plans decided."""

    addresses: Lock
    placement: PlacementLock


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything is, and at which address.

    Attributes:
        addresses: The address plan; its findings are all findings, of the placement too.
        placement: The placement.
    """

    addresses: AddressPlan
    placement: Placement


def read_locks(spec: InstanceSpec) -> Locks:
    """Read both lock files of a site; those that aren't there are empty.

    Raises:
        SpecError: One is not a lock.
    """
    return Locks(read_lock(spec.lock_path), read_placement_lock(spec.hosts_lock_path))


def plan_instance(spec: InstanceSpec, locks: Locks | None = None) -> Plan:
    """Plan an instance and check it against every rule; pure.

    Args:
        spec: What people wrote.
        locks: What earlier plans decided; None is nothing.
    """
    placement = plan_placement(spec, locks.placement if locks else None)
    return _joined(plan_addresses(spec, locks.addresses if locks else None), placement)


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
    found: list[Plan] = []

    def change(lock: PlacementLock) -> PlacementLock:
        placement = plan_placement(spec, lock)
        places = placement.places()
        if is_carried_out:
            places = {owner: replace(one, was=None, because=None) for owner, one in places.items()}
        changed = lock.record(spec.name, places)
        addresses = record_plan(spec, frozen=frozen, others=placement.findings)
        if frozen and placement.ok and changed.hosts() != lock.hosts():
            more = frozen_places(spec.hosts_lock_path, lock, changed)
            if more.rule not in {finding.rule for finding in addresses.findings}:  # else it is said already
                placement = replace(placement, findings=(*placement.findings, more))
        found.append(_joined(addresses, placement))
        return changed if found[-1].addresses.ok and not frozen else lock

    update_placement_lock(spec.hosts_lock_path, change)
    return found[-1]


def _joined(addresses: AddressPlan, placement: Placement) -> Plan:
    findings = errors_first([*addresses.findings, *placement.findings])
    return Plan(replace(addresses, findings=tuple(findings)), placement)


def frozen_places(path: Path, lock: PlacementLock, changed: PlacementLock) -> Finding:
    """Return what is said where a plan would change a lock file of places that mustn't be changed."""
    if not path.exists():
        message = "there is no lock file, so nothing holds machines on their hosts"
        remedy = "run `azlocal plan` on your machine and commit the lock file"
        return Finding("lock-missing", "warning", f"hosts/{path.name}", message, remedy)
    before, after = lock.hosts(), changed.hosts()
    added, gone = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    moved = sum(before[name] != after[name] for name in before.keys() & after.keys())
    changes = f"{added} machines placed, {moved} moved, {gone} gone"
    message = f"the plan changes the lock: {changes}; --frozen forbids it"
    remedy = "run `azlocal plan` on your machine, review the lock's diff and commit it"
    return Finding("lock-frozen", "error", f"hosts/{path.name}", message, remedy)
