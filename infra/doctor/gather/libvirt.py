"""What libvirt says of a host, and a guest that boots there under KVM."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import libvirt
from lxml import etree
from lxml.builder import E

from infra.doctor.checks.leftovers import PROBE_POOL
from infra.doctor.facts import BootProbe, Hypervisor, LibvirtObject, Unknown
from infra.doctor.gather.commands import Unlearned, learned
from infra.kvm.capacity import read_capacity
from infra.kvm.connection import HostSession
from infra.kvm.domain_xml import METADATA_NAMESPACE
from infra.kvm.errors import HostUnreachable, is_missing
from infra.kvm.networks import NetworkDefinition
from infra.kvm.probe import lists_type, probe_kvm
from infra.kvm.storage import pool_directory

_PROBE_PARENT: Final = "/var/lib/libvirt"
_ARCHITECTURE: Final = "x86_64"


def hypervisor(session: HostSession) -> Hypervisor:
    """Ask libvirt for what it has and can.

    Raises:
        Unlearned: it doesn't answer.
    """
    with _explained():
        qemu = session.qemu
        capabilities = qemu.getCapabilities()
        capacity = read_capacity(qemu) if lists_type(capabilities, "qemu") else None
        without = _without_containers(session)
        drivers = [qemu] if without else [qemu, session.lxc]
        return Hypervisor(
            libvirt=_version(qemu.getLibVersion()),
            qemu=_version(qemu.getVersion()) if capacity else None,
            host_uuid=etree.fromstring(capabilities.encode()).findtext("host/uuid", ""),
            secure_boot=capacity is not None and capacity.secure_boot,
            tpm=capacity is not None and capacity.tpm,
            containers=without,
            objects=tuple(_objects(qemu, drivers)),
        )


def boot_probe(session: HostSession) -> BootProbe | Unknown:
    """Boot the smallest guest, on a disk in a pool of its own, which stays no longer than the guest."""

    def probe() -> BootProbe:
        with _explained(), _own_pool(session.qemu) as pool:
            verdict = probe_kvm(session.qemu, pool)
        return BootProbe(verdict.works, verdict.reason)

    return learned(probe)


@contextmanager
def _own_pool(qemu: libvirt.virConnect) -> Iterator[str]:
    """Lend a pool in a folder of its own. libvirt makes both, so that whoever may use libvirt can do this."""
    name = f"{PROBE_POOL}{secrets.token_hex(4)}"
    xml = E.pool(E.name(name), E.target(E.path(f"{_PROBE_PARENT}/{name}")), type="dir")
    pool = qemu.storagePoolDefineXML(etree.tostring(xml, encoding="unicode"))
    try:
        pool.build()
        try:
            pool.create()
            yield name
        finally:
            if pool.isActive():
                pool.destroy()
            pool.delete()
    finally:
        pool.undefine()


def _without_containers(session: HostSession) -> str | None:
    try:
        capabilities = session.lxc.getCapabilities()
    except HostUnreachable as error:
        return str(error)
    return None if lists_type(capabilities, "lxc") else f"libvirt's LXC lists no {_ARCHITECTURE} containers"


def _objects(qemu: libvirt.virConnect, drivers: list[libvirt.virConnect]) -> Iterator[LibvirtObject]:
    for driver in drivers:
        for domain in driver.listAllDomains():
            yield from _still_there(partial(_domain, domain))
    for network in qemu.listAllNetworks():
        yield from _still_there(partial(_network, network))
    for pool in qemu.listAllStoragePools():
        yield from _still_there(partial(_pool, pool))


def _still_there(read: Callable[[], LibvirtObject]) -> Iterator[LibvirtObject]:
    """Yield an object unless somebody removed it since it was listed."""
    try:
        yield read()
    except libvirt.libvirtError as error:
        if not is_missing(error):
            raise


def _domain(domain: libvirt.virDomain) -> LibvirtObject:
    return LibvirtObject(
        "domain", domain.name(), domain.UUIDString(), bool(domain.isActive()), instance=_instance(domain)
    )


def _instance(domain: libvirt.virDomain) -> str | None:
    try:
        mark = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, METADATA_NAMESPACE)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise
    owner = next(
        (element for element in etree.fromstring(mark.encode()) if etree.QName(element).localname == "owner"), None
    )
    return owner.get("instance") if owner is not None else None


def _network(network: libvirt.virNetwork) -> LibvirtObject:
    bridge = NetworkDefinition.from_xml(network.XMLDesc()).bridge
    return LibvirtObject(
        "network", network.name(), network.UUIDString(), bool(network.isActive()), place=bridge or None
    )


def _pool(pool: libvirt.virStoragePool) -> LibvirtObject:
    return LibvirtObject(
        "pool", pool.name(), pool.UUIDString(), bool(pool.isActive()), place=pool_directory(pool) or None
    )


def _version(number: int) -> tuple[int, int, int]:
    """Read libvirt's way of writing versions: 9000000 is 9.0.0."""
    return number // 1_000_000, number // 1_000 % 1_000, number % 1_000


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except HostUnreachable as error:
        raise Unlearned(str(error)) from error
    except libvirt.libvirtError as error:
        raise Unlearned(f"libvirt there says: {error}") from error
