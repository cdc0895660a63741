"""The older plan that people name, and what resources were told by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from infra.effects.compare import compare_records
from infra.effects.records import MACHINE, Record, records_of
from infra.model.run import RunSettings
from infra.plan.addresses import AddressPlan
from infra.plan.addresses.older import files_at, read_plan, unusable
from infra.plan.effects import Effects
from infra.plan.instance import Plan, plan_instance
from infra.plan.inventory import build_inventory
from infra.plan.locks import Locks, SiteLocks
from infra.spec import InstanceSpec, load_instance


@dataclass(frozen=True)
class Older:
    """A plan to compare with.

    Attributes:
        addresses: Its addresses.
        records: What resources were told by it; None where that can't be told.
        untold: Then, why.
    """

    addresses: AddressPlan
    records: tuple[Record, ...] | None
    untold: str = ""


def read_older(named: str, stack: str, directory: Path, *, use_lock: bool = True) -> Older:
    """Return the older plan that people name.

    Args:
        named: A JSON file, or a git revision.
        stack: The stack that is planned.
        directory: The project's folder.
        use_lock: Plan a revision with the lock files that it has.

    Raises:
        SpecError: It can't be read, or can't be planned.
    """
    path = Path(named)
    if path.is_file():
        return _from_file(path)
    if path.suffix == ".json":
        raise unusable(named, "there is no such file", "name a file that `azlocal plan --format json` wrote")
    with files_at(named, stack, directory) as root:
        if root is None:
            return Older(AddressPlan(stack), ())
        spec = load_instance(stack, root)
        locks = SiteLocks.of(spec).read() if use_lock else Locks()
        plan = plan_instance(spec, locks)
        # Keys that the files name by a relative path are read where the project is.
        records = records_of(replace(spec, directory=directory), plan)
        return Older(plan.addresses, records, "" if records is not None else f"the plan of {named} isn't sound")


def effects_of(older: Older, plan: Plan, spec: InstanceSpec) -> Effects:
    """Return what becomes of machines and clusters between an older plan and this one.

    Args:
        older: The plan before.
        plan: The plan after.
        spec: What people wrote for it. A pool with autoscaling has as many nodes as before it, within its bounds:
            `count` is only what it begins with.
    """
    records = records_of(_as_large(spec, plan, older.records or ()), plan)
    if older.records is None or records is None:
        return Effects(untold=older.untold if older.records is None else "the plan isn't sound")
    return compare_records(older.records, records)


def _as_large(spec: InstanceSpec, plan: Plan, before: Iterable[Record]) -> InstanceSpec:
    """Return what people wrote, with pools that scale by themselves as large as they were before."""
    sizes: dict[str, Counter[str]] = {}
    for record in before:
        cluster, pool = record.about.get("cluster"), record.about.get("pool")
        if record.type == MACHINE and cluster and pool:
            sizes.setdefault(cluster, Counter())[pool] += 1
    sized = spec.at(RunSettings(pool_sizes=sizes))
    have_room = {machine.owner for machine in build_inventory(sized).machines} <= plan.placement.hosts.keys()
    return sized if have_room else spec


def _from_file(path: Path) -> Older:
    old = read_plan(path)
    if old.resources is None:
        return Older(
            old.addresses, None, f"{path} doesn't have them: it is of a plan with errors, or of azlocal 0.1.0"
        )
    return Older(old.addresses, tuple(_records(path, old.resources)))


def _records(path: Path, entries: Iterable[object]) -> Iterable[Record]:
    for entry in entries:
        match entry:
            case {"type": str(kind), "name": str(name), "inputs": dict(inputs), "about": dict(about)}:
                yield Record(kind, name, inputs, about)
            case _:
                remedy = "name a file that `azlocal plan --format json` wrote"
                raise unusable(str(path), "not a plan: resources", remedy)
