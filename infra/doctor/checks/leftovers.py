"""What of azlocal's stands on a host: this instance, others, and what a killed run left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from infra.doctor.checks.base import (
    Subject,
    Verdict,
    check,
    counted,
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
        f"{one.kind} {one.name}"
        for one in hypervisor.objects
        if (one.kind, one.name) in wanted and not mark.owns(one.kind, one.name, one.uuid)
    ]
    if foreign:
        return failed(
            f"{listed(foreign)} was not made by {subject.instance.name}",
            "rename or remove it by hand, or give the stack another name",
        )
    return ok(f"{len(wanted)} names")


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
    pools = {one.name for one in hypervisor.objects if one.kind == "pool"}
    mark = _mark(subject)
    planned = _machine_names(subject)
    own_pool = f"{POOL}{subject.instance.name}"
    for one in hypervisor.objects:
        if one.kind == "pool" and one.name.startswith(PROBE_POOL):
            commands = _virsh("pool-destroy", one.name, "pool-undefine")
            remedy = f"if no other doctor is at work: {commands} && rm -r {one.place or ''}"
            yield f"pool {one.name} of another doctor, at work or killed", remedy
        elif one.kind == "domain" and one.instance is not None:
            if f"{POOL}{one.instance}" not in pools:
                remedy = f"`make down STACK={one.instance}`, or {_virsh('undefine', one.name, nvram=True)}"
                yield f"machine {one.name} of {one.instance}, whose storage pool is gone", remedy
            elif mark.owns("domain", one.name, one.uuid) and planned is not None and one.name not in planned:
                yield f"machine {one.name}, which the plan doesn't have here", "`pulumi up` removes it"
        elif one.kind == "network" and own_pool not in pools and mark.owns("network", one.name, one.uuid):
            yield (
                f"network {one.name} without the instance's pool",
                _virsh("net-destroy", one.name, "net-undefine"),
            )


def _left_stores(subject: Subject, hypervisor: Hypervisor) -> Iterator[tuple[str, str]]:
    """Yield stores that are mounted and in no pool of libvirt's."""
    storage = known(subject.facts.storage)
    used = [one.place or "" for one in hypervisor.objects if one.kind == "pool"]
    files = dict(storage.loop_files)
    for one in storage.file_systems:
        file = files.get(one.source)
        if file == f"{one.target}{_STORE}" and not any(place.startswith(f"{one.target}/") for place in used):
            yield (
                f"{one.target} is mounted from {file}, and no storage pool is in it",
                f"if nothing in it is needed: umount {one.target} && rm {file}",
            )


def _left_links(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield ends of meshes that hang on no bridge any more."""
    for link in known(subject.facts.network).links:
        if link.kind == "vxlan" and link.name.startswith(_MESH) and link.master is None:
            yield f"interface {link.name} of a mesh, on no bridge", f"ip link delete {link.name}"


def _standing(subject: Subject, hypervisor: Hypervisor) -> str:
    pools = [one for one in hypervisor.objects if one.kind == "pool" and one.name.startswith(POOL)]
    instances = [one.name.removeprefix(POOL) for one in pools if not one.name.startswith(PROBE_POOL)]
    machines = sum(one.instance == subject.instance.name for one in hypervisor.objects)
    others = sorted(name for name in instances if name != subject.instance.name)
    said = []
    if subject.instance.name in instances:
        said.append(f"{subject.instance.name} stands there with {counted(machines, 'machine')}")
    if others:
        said.append(f"{listed(others)} {'stand' if len(others) > 1 else 'stands'} there too")
    return "; ".join(said) or "nothing of azlocal's is there"


def _mark(subject: Subject) -> Mark:
    return Mark(subject.instance.name, subject.instance.name, "")


def _machine_names(subject: Subject) -> set[str] | None:
    machines: tuple[WantedMachine, ...] | None = subject.host.machines
    return None if machines is None else {one.name for one in machines}


def _wanted_names(subject: Subject) -> set[tuple[str, str]]:
    return {
        ("pool", f"{POOL}{subject.instance.name}"),
        *(("network", one.libvirt_name) for one in subject.host.networks),
        *(("domain", name) for name in _machine_names(subject) or ()),
    }


def _virsh(command: str, name: str, *then: str, nvram: bool = False) -> str:
    more = " --nvram" if nvram else ""
    return " && ".join(f"virsh {one} {name}{more}" for one in (command, *then))
