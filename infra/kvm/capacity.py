"""What a host is: its processors and memory, and what firmware its VMs can have."""

from __future__ import annotations

from dataclasses import dataclass

import libvirt
from lxml import etree


@dataclass(frozen=True)
class Capacity:
    """Facts that don't change by themselves, so that a refresh shows only what somebody changed."""

    architecture: str
    cpus: int
    memory_mib: int
    secure_boot: bool
    tpm: bool


def read_capacity(qemu: libvirt.virConnect) -> Capacity:
    """Ask libvirt what the host is."""
    model, memory_mib, cpus = qemu.getInfo()[:3]
    secure_boot, tpm = _firmware(qemu.getDomainCapabilities(None, model, "q35", "qemu"))
    return Capacity(model, cpus, memory_mib, secure_boot, tpm)


def unpromised_mib(qemu: libvirt.virConnect) -> int:
    """Return how much of a host's memory no VM that runs may take, whoever's it is."""
    promised_kib = sum(domain.info()[1] for domain in qemu.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE))
    return int(qemu.getInfo()[1]) - int(promised_kib) // 1024


def _firmware(domain_capabilities: str) -> tuple[bool, bool]:
    """Return whether VMs can have Secure Boot (OVMF with keys) and a vTPM (swtpm)."""
    root = etree.fromstring(domain_capabilities.encode())
    secure = root.find("os/loader/enum[@name='secure']/value[.='yes']") is not None
    efi = root.find("os/enum[@name='firmware']/value[.='efi']") is not None
    tpm = root.find("devices/tpm[@supported='yes']/enum[@name='backendModel']/value[.='emulator']") is not None
    return efi and secure, tpm
