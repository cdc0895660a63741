"""Machines as libvirt domains: our definition to XML, and libvirt's XML back to what stands. No policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lxml import etree
from lxml.builder import E, ElementMaker

MachineType = Literal["vm", "container", "emulated"]

METADATA_NAMESPACE: Final = "urn:azlocal:machine:1"
_METADATA: Final = ElementMaker(namespace=METADATA_NAMESPACE, nsmap={"azlocal": METADATA_NAMESPACE})
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

_DRIVERS: Final[Mapping[str, MachineType]] = {"lxc": "container", "kvm": "vm", "qemu": "emulated"}


@dataclass(frozen=True)
class MachineDefinition:
    """A machine, decided down to its paths on the host.

    Attributes:
        memory_ceiling_mib: how far a container's memory can be raised while it runs.
        seed_path: a container's folder; a VM's ISO, None once it has been read and wiped.
        record: what can't be read back from the rest of the XML; plain data without secrets.
    """

    name: str
    uuid: str
    machine_type: MachineType
    vcpus: int
    memory_mib: int
    memory_ceiling_mib: int
    network: str
    mac_address: str
    disk_path: str
    seed_path: str | None
    secure_boot: bool
    tpm: bool
    instance: str
    stack: str
    urn: str
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


def to_xml(machine: MachineDefinition) -> str:
    """Return the domain's XML."""
    body = _container(machine) if machine.machine_type == "container" else _virtual_machine(machine)
    return etree.tostring(body, encoding="unicode")


def _identity(machine: MachineDefinition) -> list[Any]:
    return [
        E.name(machine.name),
        E.uuid(machine.uuid),
        E.metadata(
            _METADATA.machine(
                _METADATA.owner(instance=machine.instance, stack=machine.stack, urn=machine.urn),
                _METADATA.record(json.dumps(machine.record, sort_keys=True)),
            )
        ),
    ]


def _interface(machine: MachineDefinition) -> Any:
    interface = E.interface(E.mac(address=machine.mac_address), E.source(network=machine.network), type="network")
    if machine.machine_type != "container":
        interface.append(E.model(type="virtio"))
    return interface


def _container(machine: MachineDefinition) -> Any:
    """A system container: libvirt_lxc attaches and releases the loop device of the root file itself."""
    return E.domain(
        *_identity(machine),
        # libvirt refuses to raise <memory> of a running container; what it holds a start to is the hard limit.
        E.memory(str(machine.memory_ceiling_mib), unit="MiB"),
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
                E.source(file=machine.disk_path),
                E.target(dir="/"),
                type="file",
                accessmode="passthrough",
            ),
            E.filesystem(
                E.source(dir=machine.seed_path),
                E.target(dir="/var/lib/cloud/seed/nocloud"),
                E.readonly(),
                type="mount",
                accessmode="passthrough",
            ),
            _interface(machine),
            E.console(E.target(type="lxc", port="0"), type="pty"),
        ),
        type="lxc",
    )


def _virtual_machine(machine: MachineDefinition) -> Any:
    """A UEFI guest as Azure Local's machines are: q35, Secure Boot and vTPM where the host has them."""
    secure = "yes" if machine.secure_boot else "no"
    features = [E.acpi(), E.apic()]
    if machine.secure_boot:
        features.append(E.smm(state="on"))
    devices = [
        E.disk(
            E.driver(name="qemu", type="qcow2", discard="unmap"),
            E.source(file=machine.disk_path),
            E.target(dev="vda", bus="virtio"),
            type="file",
            device="disk",
        ),
        _seed_drive(machine.seed_path),
        E.controller(type="scsi", model="virtio-scsi"),
        _interface(machine),
        E.serial(E.target(port="0"), type="pty"),
        E.console(E.target(type="serial", port="0"), type="pty"),
        E.rng(E.backend("/dev/urandom", model="random"), model="virtio"),
        E.memballoon(model="virtio"),
    ]
    if machine.tpm:
        devices.append(E.tpm(E.backend(type="emulator", version="2.0"), model="tpm-crb"))
    return E.domain(
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
        _emulated_cpu() if machine.machine_type == "emulated" else E.cpu(mode="host-model"),
        E.clock(offset="utc"),
        E.on_poweroff("destroy"),
        E.on_reboot("restart"),
        E.on_crash("destroy"),
        E.devices(*devices),
        type="qemu" if machine.machine_type == "emulated" else "kvm",
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
        machine_type=_DRIVERS.get(root.get("type", ""), "vm"),
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
        image: what its disk only holds the difference to; None where that isn't known, or the disk holds it all.
        seed: what lies in its CD drive.
        firmware: what its firmware keeps (NVRAM).
    """

    disk: str
    image: str | None
    seed: str | None
    firmware: str | None


def drives_of(xml: str) -> Drives:
    """Read the drives of a VM; libvirt tells of the image only while the VM runs."""
    root = etree.fromstring(xml.encode())
    disk = root.find("devices/disk[@device='disk']")
    return Drives(
        disk=_attribute(disk, "source", "file") or "",
        image=_attribute(disk, "backingStore/source", "file"),
        seed=_attribute(root.find("devices/disk[@device='cdrom']"), "source", "file"),
        firmware=root.findtext("os/nvram"),
    )


def relocated(xml: str, disk: str, record: Mapping[str, Any]) -> str:
    """Return a VM's XML for another host, where its disk has another path.

    Args:
        xml: libvirt's own, for migration.
        disk: the path there. What the disk lies on, libvirt there reads from the disk.
        record: what is to be recorded of it there.
    """
    root = etree.fromstring(xml.encode())
    for drive in root.iterfind("devices/disk[@device='disk']"):
        for source in drive.iterfind("source"):
            source.set("file", disk)
        for stale in drive.findall("backingStore"):
            drive.remove(stale)
    for written in root.iterfind("metadata/a:machine/a:record", {"a": METADATA_NAMESPACE}):
        written.text = json.dumps(record, sort_keys=True)
    return etree.tostring(root, encoding="unicode")


def _attribute(parent: Any, child: str, name: str) -> str | None:
    found = parent.find(child) if parent is not None else None
    value: str | None = found.get(name) if found is not None else None
    return value


def _mib(element: Any) -> int:
    units = {"b": 1, "bytes": 1, "KiB": 1 << 10, "k": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    return int(element.text) * units[element.get("unit", "KiB")] >> 20 if element is not None else 0
