"""Machines as libvirt domains: our definition to XML, and libvirt's XML back to what stands. No policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree
from lxml.builder import E, ElementMaker

from infra.kvm.ownership import Mark
from infra.model.local_volumes import DATA_SERIAL, LOCAL_VOLUMES
from infra.model.machine import MachineType
from infra.model.machine_traits import TRAITS

METADATA_NAMESPACE: Final = "urn:azlocal:machine:1"
_METADATA: Final = ElementMaker(namespace=METADATA_NAMESPACE, nsmap={"azlocal": METADATA_NAMESPACE})
_DISK: Final = "vda"
_DATA: Final = "vdb"
CPU_PERIOD: Final = 100_000  # µs; a container's quota is this times its vCPUs

# What no node needs of its host's root. It limits what an accident does, and is no boundary: what stays
# (sys_admin, mknod, ...) is enough to become root on the host.
_WITHHELD: Final = (
    *("block_suspend", "wake_alarm"),
    *("mac_admin", "mac_override"),  # the host's AppArmor or SELinux
    "sys_module",
    "sys_pacct",
    "sys_rawio",
    "sys_time",  # the host's clock
)
_NEED_XSAVE: Final = ("avx", "avx2", "f16c", "fma", "vaes", "vpclmulqdq", "pku")
"""Of what QEMU emulates (Linux: arch/x86/kernel/cpu/cpuid-deps.c)."""

_TYPES: Final[Mapping[str, MachineType]] = {traits.domain_type: name for name, traits in TRAITS.items()}
_HOLE_BYTES: Final = 4096
"""How long a container's description is: libvirt_lxc, as it reads it, leaves a hole of that size in its heap.

It starts a container's first process on a stack of four pages, which lies on that heap (libvirt 9.0,
src/lxc/lxc_container.c: lxcContainerStart). libblkid, asked there for the file system on the root's loop device,
takes three buffers of PATH_MAX (util-linux 2.38, lib/sysfs.c: sysfs_blkdev_get_wholedisk): the stack grows more
than a KiB into what lies below it. Where that is the path of the console, as with root files whose paths had 37 to
39 characters (those of stacks of one or two letters), the process dies by SIGSEGV, and libvirt says "Timed out
while reading log output". Small strings go into the hole instead; with 1 to 12 KiB of it, each that was tried
started.
"""
_DESCRIPTION: Final = (
    "A container of azlocal's. The spaces behind keep libvirt_lxc's stack off its strings.".ljust(_HOLE_BYTES)
)


@dataclass(frozen=True)
class MachineDefinition:
    """A machine, decided but for where its files lie on the host.

    Attributes:
        name: The domain's name.
        mark: Who it belongs to.
        record: What can't be read back from the rest of the XML; plain data without secrets.
    """

    name: str
    mark: Mark
    vcpus: int
    memory_mib: int
    network: str
    mac_address: str
    secure_boot: bool
    tpm: bool
    record: Mapping[str, Any]


@dataclass(frozen=True)
class DomainView:
    """What a domain's XML says, live or persistent."""

    name: str
    uuid: str
    machine_type: MachineType
    vcpus: int
    memory_mib: int
    memory_maximum_mib: int
    network: str
    mac_address: str
    interface_device: str | None
    secure_boot: bool
    tpm: bool
    instance: str
    stack: str
    record: Mapping[str, Any]
    has_data_volume: bool = False


def container_xml(
    machine: MachineDefinition, disk: str, seed: str | None, data: str | None = None, *, memory_ceiling_mib: int
) -> str:
    """Return a system container's domain: libvirt_lxc attaches and releases the loop device of its root itself.

    Args:
        machine: The container.
        disk: The file that is its root.
        seed: The folder that is its seed.
        data: The folder of the host that is its data volume; None where it has none.
        memory_ceiling_mib: How far its memory can be raised.
    """
    volume = E.filesystem(
        E.source(dir=data or ""), E.target(dir=LOCAL_VOLUMES), type="mount", accessmode="passthrough"
    )
    domain = E.domain(
        *_identity(machine),
        E.description(_DESCRIPTION),
        # libvirt refuses to raise <memory> of a running container; what it holds a start to is the hard limit.
        E.memory(str(memory_ceiling_mib), unit="MiB"),
        E.currentMemory(str(machine.memory_mib), unit="MiB"),
        E.memtune(E.hard_limit(str(machine.memory_mib), unit="MiB")),
        E.vcpu(str(machine.vcpus)),
        E.cputune(E.period(str(CPU_PERIOD)), E.quota(str(machine.vcpus * CPU_PERIOD))),
        E.os(E.type("exe", arch="x86_64"), E.init("/usr/lib/azlocal/container-init")),
        E.features(E.capabilities(*(E(name, state="off") for name in _WITHHELD), policy="allow")),
        E.clock(offset="utc"),
        E.on_poweroff("destroy"),
        E.on_reboot("restart"),
        E.on_crash("destroy"),
        E.devices(
            E.filesystem(
                E.driver(type="loop", format="raw"),
                E.source(file=disk),
                E.target(dir="/"),
                type="file",
                accessmode="passthrough",
            ),
            E.filesystem(
                E.source(dir=seed),
                E.target(dir="/var/lib/cloud/seed/nocloud"),
                E.readonly(),
                type="mount",
                accessmode="passthrough",
            ),
            *([volume] if data else []),
            _interface(machine),
            E.console(E.target(type="lxc", port="0"), type="pty"),
        ),
        type="lxc",
    )
    return etree.tostring(domain, encoding="unicode")


def vm_xml(machine: MachineDefinition, disk: str, seed: str | None, data: str | None = None) -> str:
    """Return the domain of a KVM guest."""
    return _virtual_machine(machine, disk, seed, data, E.cpu(mode="host-model"), "kvm")


def emulated_vm_xml(machine: MachineDefinition, disk: str, seed: str | None, data: str | None = None) -> str:
    """Return the domain of a guest whose processor QEMU emulates."""
    return _virtual_machine(machine, disk, seed, data, _emulated_cpu(), "qemu")


def _virtual_machine(
    machine: MachineDefinition,
    disk: str,
    seed: str | None,
    data: str | None,
    cpu: etree._Element,
    domain_type: str,
) -> str:
    """A UEFI guest as Azure Local's machines are: q35, Secure Boot and vTPM where the host has them."""
    secure = "yes" if machine.secure_boot else "no"
    features = [E.acpi(), E.apic()]
    if machine.secure_boot:
        features.append(E.smm(state="on"))
    devices = [
        _hard_drive(disk, _DISK),
        *([_hard_drive(data, _DATA, E.serial(DATA_SERIAL))] if data else []),
        _seed_drive(seed),
        E.controller(type="scsi", model="virtio-scsi"),
        _interface(machine, E.model(type="virtio")),
        E.serial(E.target(port="0"), type="pty"),
        E.console(E.target(type="serial", port="0"), type="pty"),
        E.rng(E.backend("/dev/urandom", model="random"), model="virtio"),
        E.memballoon(model="virtio"),
    ]
    if machine.tpm:
        devices.append(E.tpm(E.backend(type="emulator", version="2.0"), model="tpm-crb"))
    domain = E.domain(
        *_identity(machine),
        E.memory(str(machine.memory_mib), unit="MiB"),
        E.vcpu(str(machine.vcpus)),
        E.os(
            E.type("hvm", arch="x86_64", machine="q35"),
            E.firmware(
                E.feature(enabled=secure, name="secure-boot"),
                E.feature(enabled=secure, name="enrolled-keys"),
            ),
            E.boot(dev="hd"),
            firmware="efi",
        ),
        E.features(*features),
        cpu,
        E.clock(offset="utc"),
        E.on_poweroff("destroy"),
        E.on_reboot("restart"),
        E.on_crash("destroy"),
        E.devices(*devices),
        type=domain_type,
    )
    return etree.tostring(domain, encoding="unicode")


def _identity(machine: MachineDefinition) -> list[Any]:
    mark = machine.mark
    return [
        E.name(machine.name),
        E.uuid(mark.uuid("domain", machine.name)),
        E.metadata(
            _METADATA.machine(
                _METADATA.owner(instance=mark.instance, stack=mark.stack, urn=mark.urn),
                _METADATA.record(json.dumps(machine.record, sort_keys=True)),
            )
        ),
    ]


def _interface(machine: MachineDefinition, *model: etree._Element) -> Any:
    return E.interface(
        E.mac(address=machine.mac_address), E.source(network=machine.network), *model, type="network"
    )


def _emulated_cpu() -> etree._Element:
    """Return all that QEMU emulates but what makes each switch between processes and each page walk dearer.

    Measured without XSAVE and five-level page tables: a process starts in half of the time, a boot takes a tenth
    less of a processor. What needs XSAVE goes with it, or Linux believes the processor: its AES test then dies of
    an instruction of AVX, whose emulation is slower, besides, than what programs do instead.
    """
    without = (E.feature(policy="disable", name=name) for name in ("la57", "xsave", *_NEED_XSAVE))
    cpu: etree._Element = E.cpu(*without, mode="maximum", check="none")
    return cpu


def _hard_drive(path: str, device: str, *more: etree._Element) -> Any:
    return E.disk(
        E.driver(name="qemu", type="qcow2", discard="unmap"),
        E.source(file=path),
        E.target(dev=device, bus="virtio"),
        *more,
        type="file",
        device="disk",
    )


def _seed_drive(path: str | None) -> Any:
    """Return the CD drive that a seed's ISO lies in; an empty one without a path."""
    return E.disk(
        E.driver(name="qemu", type="raw"),
        *([E.source(file=path)] if path else []),
        E.target(dev="sda", bus="scsi"),  # Debian's cloud kernel has no driver for q35's own SATA
        E.readonly(),
        type="file",
        device="cdrom",
    )


def empty_seed_drive() -> str:
    """Return the XML that takes a VM's seed out of its drive."""
    return etree.tostring(_seed_drive(None), encoding="unicode")


def from_xml(xml: str) -> DomainView:
    """Read a domain's XML; one without our metadata has empty `instance`, `stack` and `record`."""
    root = etree.fromstring(xml.encode())
    names = {"a": METADATA_NAMESPACE}
    owner = root.find("metadata/a:machine/a:owner", names)
    record = root.findtext("metadata/a:machine/a:record", "{}", names)
    quota = root.findtext("cputune/quota")
    interface = root.find("devices/interface")
    return DomainView(
        name=root.findtext("name", ""),
        uuid=root.findtext("uuid", ""),
        machine_type=_TYPES.get(root.get("type", ""), "vm"),
        vcpus=int(quota) // int(root.findtext("cputune/period", str(CPU_PERIOD)))
        if quota
        else int(root.findtext("vcpu", "0")),
        memory_mib=_mib(
            root.find("currentMemory") if root.find("currentMemory") is not None else root.find("memory")
        ),
        memory_maximum_mib=_mib(root.find("memory")),
        network=_attribute(interface, "source", "network") or "",
        mac_address=_attribute(interface, "mac", "address") or "",
        interface_device=_attribute(interface, "target", "dev"),
        has_data_volume=any(
            root.find(path) is not None
            for path in (
                f"devices/disk/target[@dev='{_DATA}']",
                f"devices/filesystem/target[@dir='{LOCAL_VOLUMES}']",
            )
        ),
        secure_boot=root.find("os/firmware/feature[@name='secure-boot'][@enabled='yes']") is not None,
        tpm=root.find("devices/tpm") is not None,
        instance=owner.get("instance", "") if owner is not None else "",
        stack=owner.get("stack", "") if owner is not None else "",
        record=json.loads(record),
    )


@dataclass(frozen=True)
class Drives:
    """The files on its host that a VM's XML names.

    Attributes:
        disk: its disk.
        data: its data volume; None where it has none.
        image: what its disk only holds the difference to; None where that isn't known, or the disk holds it all.
        seed: what lies in its CD drive.
        firmware: what its firmware keeps (NVRAM).
    """

    disk: str
    data: str | None
    image: str | None
    seed: str | None
    firmware: str | None


def drives_of(xml: str) -> Drives:
    """Read the drives of a VM; libvirt tells of the image only while the VM runs."""
    root = etree.fromstring(xml.encode())
    drives = {_attribute(drive, "target", "dev"): drive for drive in root.iterfind("devices/disk[@device='disk']")}
    disk = drives.get(_DISK)
    return Drives(
        disk=_attribute(disk, "source", "file") or "",
        data=_attribute(drives.get(_DATA), "source", "file"),
        image=_attribute(disk, "backingStore/source", "file"),
        seed=_attribute(root.find("devices/disk[@device='cdrom']"), "source", "file"),
        firmware=root.findtext("os/nvram"),
    )


def relocated(xml: str, disk: str, data: str | None, record: Mapping[str, Any]) -> str:
    """Return a VM's XML for another host, where its disk has another path.

    Args:
        xml: libvirt's own, for migration.
        disk: the path there. What the disk lies on, libvirt there reads from the disk.
        data: the path of its data volume there, if it has one.
        record: what is to be recorded of it there.
    """
    root = etree.fromstring(xml.encode())
    for drive in root.iterfind("devices/disk[@device='disk']"):
        path = data if data and _attribute(drive, "target", "dev") == _DATA else disk
        for source in drive.iterfind("source"):
            source.set("file", path)
        for stale in drive.findall("backingStore"):
            drive.remove(stale)
    for written in root.iterfind("metadata/a:machine/a:record", {"a": METADATA_NAMESPACE}):
        written.text = json.dumps(record, sort_keys=True)
    return etree.tostring(root, encoding="unicode")


def _attribute(parent: Any, child: str, name: str) -> str | None:
    element = parent.find(child) if parent is not None else None
    value: str | None = element.get(name) if element is not None else None
    return value


def _mib(element: Any) -> int:
    units = {"b": 1, "bytes": 1, "KiB": 1 << 10, "k": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    return int(element.text) * units[element.get("unit", "KiB")] >> 20 if element is not None else 0
