"""What each host is, in a few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from infra.doctor.checks.base import gib, printable
from infra.doctor.facts import Hypervisor, Unknown
from infra.doctor.survey import HostReport
from infra.hosts.facts.network import Network
from infra.hosts.facts.storage import Storage
from infra.hosts.facts.system import Processor, System

_Fact = TypeVar("_Fact")


def inventory(report: HostReport) -> dict[str, str | None]:
    """Return what a host is; None where it isn't known."""
    facts, host = report.facts, report.host
    values = {
        "model": _of(facts.system, _model, System),
        "system": _of(facts.system, lambda system: system.distribution.name, System),
        "libvirt": _of(facts.hypervisor, lambda hypervisor: _version(hypervisor.libvirt), Hypervisor),
        "qemu": _of(facts.hypervisor, lambda hypervisor: _version(hypervisor.qemu), Hypervisor),
        "processor": _of(facts.processor, lambda processor: f"{processor.logical} x {processor.model}", Processor),
        "memory": _of(facts.system, lambda system: gib(system.memory_bytes), System),
        "freeDisk": _of(facts.storage, lambda storage: _free(storage, host.storage_directory), Storage),
        "uplink": _of(facts.network, lambda network: _uplink(network, host.uplink), Network),
        "kvm": None if isinstance(facts.boot_probe, Unknown) else ("boots" if facts.boot_probe.boots else "no"),
    }
    return {key: printable(value) if value else None for key, value in values.items()}


def _of(fact: object, read: Callable[[_Fact], str | None], kind: type[_Fact]) -> str | None:
    return read(fact) if isinstance(fact, kind) else None


def _model(system: System) -> str | None:
    return " ".join(filter(None, (system.manufacturer, system.product))) or None


def _version(version: tuple[int, int, int] | None) -> str | None:
    return ".".join(map(str, version)) if version else None


def _free(storage: Storage, folder: str) -> str | None:
    holding = storage.holding(folder)
    return gib(holding.available) if holding else None


def _uplink(network: Network, name: str | None) -> str | None:
    link = network.link(name) if name else None
    if link is None:
        return None
    return f"{link.name} {link.speed:,} Mbit/s" if link.speed else link.name
