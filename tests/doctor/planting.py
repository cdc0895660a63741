"""How faults are planted: a change of one healthy fact, or of what is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from infra.doctor.checks import HOST_CHECKS, Subject
from infra.doctor.checks.base import Status
from infra.doctor.facts import (
    Access,
    AccessStage,
    BootProbe,
    LibvirtObject,
    unreached,
)
from infra.hosts.facts.system import Distribution
from tests.doctor.samples import known, route, subject

Plant = Callable[[Subject], Subject]


@dataclass(frozen=True)
class Fault:
    name: str
    check: str
    status: Status
    seen: str
    plant: Plant
    also: tuple[str, ...] = ()


def fact(group: str, **changes: Any) -> Plant:
    """Plant a change in one group of facts."""

    def plant(one: Subject) -> Subject:
        changed = replace(getattr(one.facts, group), **changes)
        return replace(one, facts=replace(one.facts, **{group: changed}))

    return plant


def runs(id: str, name: str, **more: Any) -> Plant:
    return fact("system", distribution=Distribution(id, name, **more))


def facts(**changes: Any) -> Plant:
    return lambda one: replace(one, facts=replace(one.facts, **changes))


def host(**changes: Any) -> Plant:
    return lambda one: replace(one, host=replace(one.host, **changes))


def instance(**changes: Any) -> Plant:
    return lambda one: replace(one, instance=replace(one.instance, **changes))


def both(*plants: Plant) -> Plant:
    def plant(one: Subject) -> Subject:
        for each in plants:
            one = each(one)
        return one

    return plant


def uplink(**changes: Any) -> Plant:
    links = known(subject().facts.network).links
    return fact("network", links=(*links[:2], replace(links[2], **changes)))


def networks(**changes: Any) -> Plant:
    return host(networks=(replace(subject().host.networks[0], **changes),))


def routes(*more: tuple[str, str]) -> Plant:
    return fact("network", routes=tuple(route(*one) for one in (("0.0.0.0/0", "eno1"), *more)))


def objects(*found: LibvirtObject) -> Plant:
    return fact("hypervisor", objects=found)


def refused(stage: AccessStage, message: str) -> Plant:
    return lambda one: replace(one, facts=unreached(Access(stage, message), "no login"))


UNTAGGED = networks(vlan=0, name="infrastructure", bridge="azl-lab-inf")
NO_KVM = facts(boot_probe=BootProbe(False, "libvirt lists kvm, but a probe guest never booted"))
FOREIGN = "11111111-2222-3333-4444-555555555555"
EVERYTHING = tuple(one.id for one in HOST_CHECKS)
