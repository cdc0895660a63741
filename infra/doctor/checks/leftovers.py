"""What of azlocal's stands on a host: this instance, others, and what a killed run left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from infra.counting import counted
from infra.doctor.checks.base import (
    Subject,
    Verdict,
    check,
    failed,
    hypervisor_of,
    known,
    listed,
    ok,
    warning,
)
from infra.doctor.facts import Hypervisor
from infra.doctor.wanted import WantedMachine
from infra.kvm.ownership import Mark

POOL: Final = "azlocal-"
PROBE_POOL: Final = f"{POOL}doctor-"
"""How the names of the boot probe's own pools begin; only a run that was killed leaves one."""

_STORE: Final = ".xfs"
_MESH: Final = "azv-"


@check("names")
def names(subject: Subject) -> Verdict:
    """Names of the plan are free or ours.

    azlocal changes nothing that it did not make, so `up` would stop at these.
    """
    hypervisor = hypervisor_of(subject)
    mark = _mark(subject)
    wanted = _wanted_names(subject)
    foreign = [
        f"{entry.kind} {entry.name}"
        for entry in hypervisor.objects
        if (entry.kind, entry.name) in wanted and not mark.owns(entry.kind, entry.name, entry.uuid)
    ]
    if foreign:
        return failed(
            f"{listed(foreign)} was not made by {subject.instance.name}",
            "rename or remove it by hand, or give the stack another name",
        )
    return ok(counted(len(wanted), "name"))


@check("leftovers")
def leftovers(subject: Subject) -> Verdict:
    """Nothing is left of an earlier run."""
    hypervisor = hypervisor_of(subject)
    left = [*_left_in_libvirt(subject, hypervisor), *_left_stores(subject, hypervisor), *_left_links(subject)]
    if left:
        seen, remedies = zip(*left, strict=True)
        return warning(listed(seen, 4), "; ".join(dict.fromkeys(remedies)))
    return ok(_standing(subject, hypervisor))


def _left_in_libvirt(subject: Subject, hypervisor: Hypervisor) -> Iterator[tuple[str, str]]:
    pools = {pool.name for pool in hypervisor.objects if pool.kind == "pool"}
    mark = _mark(subject)
    planned, scaled = _machine_names(subject), subject.instance.scaled
    own_pool = f"{POOL}{subject.instance.name}"
    for entry in hypervisor.objects:
        if entry.kind == "pool" and entry.name.startswith(PROBE_POOL):
            commands = _virsh("pool-destroy", entry.name, "pool-undefine")
            remedy = f"if no other doctor is at work: {commands} && rm -r {entry.place or ''}"
            yield f"pool {entry.name} of another doctor, at work or killed", remedy
        elif entry.kind == "domain" and entry.instance is not None:
            if f"{POOL}{entry.instance}" not in pools:
                remedy = f"`make down STACK={entry.instance}`, or {_virsh('undefine', entry.name, nvram=True)}"
                yield f"machine {entry.name} of {entry.instance}, whose storage pool is gone", remedy
            elif (
                mark.owns("domain", entry.name, entry.uuid)
                and planned is not None
                and entry.name not in planned | scaled
            ):
                yield f"machine {entry.name}, which the plan doesn't have here", "`pulumi up` removes it"
        elif entry.kind == "network" and own_pool not in pools and mark.owns("network", entry.name, entry.uuid):
            yield (
                f"network {entry.name} without the instance's pool",
                _virsh("net-destroy", entry.name, "net-undefine"),
            )


def _left_stores(subject: Subject, hypervisor: Hypervisor) -> Iterator[tuple[str, str]]:
    """Yield stores that are mounted and in no pool of libvirt's."""
    storage = known(subject.facts.storage)
    used = [pool.place or "" for pool in hypervisor.objects if pool.kind == "pool"]
    files = dict(storage.loop_files)
    for file_system in storage.file_systems:
        file = files.get(file_system.source)
        if file == f"{file_system.target}{_STORE}" and not any(
            place.startswith(f"{file_system.target}/") for place in used
        ):
            yield (
                f"{file_system.target} is mounted from {file}, and no storage pool is in it",
                f"if nothing in it is needed: umount {file_system.target} && rm {file}",
            )


def _left_links(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield ends of meshes that hang on no bridge any more."""
    for link in known(subject.facts.network).links:
        if link.kind == "vxlan" and link.name.startswith(_MESH) and link.master is None:
            yield f"interface {link.name} of a mesh, on no bridge", f"ip link delete {link.name}"


def _standing(subject: Subject, hypervisor: Hypervisor) -> str:
    pools = [pool for pool in hypervisor.objects if pool.kind == "pool" and pool.name.startswith(POOL)]
    instances = [pool.name.removeprefix(POOL) for pool in pools if not pool.name.startswith(PROBE_POOL)]
    machines = sum(entry.instance == subject.instance.name for entry in hypervisor.objects)
    others = sorted(name for name in instances if name != subject.instance.name)
    parts = []
    if subject.instance.name in instances:
        parts.append(f"{subject.instance.name} stands there with {counted(machines, 'machine')}")
    if others:
        parts.append(f"{listed(others)} {'stand' if len(others) > 1 else 'stands'} there too")
    return "; ".join(parts) or "nothing of azlocal's is there"


def _mark(subject: Subject) -> Mark:
    return Mark(subject.instance.name, subject.instance.name, "")


def _machine_names(subject: Subject) -> set[str] | None:
    machines: tuple[WantedMachine, ...] | None = subject.host.machines
    return None if machines is None else {machine.name for machine in machines}


def _wanted_names(subject: Subject) -> set[tuple[str, str]]:
    return {
        ("pool", f"{POOL}{subject.instance.name}"),
        *(("network", network.libvirt_name) for network in subject.host.networks),
        *(("domain", name) for name in _machine_names(subject) or ()),
    }


def _virsh(command: str, name: str, *then: str, nvram: bool = False) -> str:
    more = " --nvram" if nvram else ""
    return " && ".join(f"virsh {verb} {name}{more}" for verb in (command, *then))
