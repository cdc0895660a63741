"""How machines can run on a host. KVM counts only when a guest really booted.

/dev/kvm may open, and libvirt may list KVM, on hosts where every guest hangs: clouds whose own virtualisation
leaves the guest's no hardware. So a guest of one boot sector is started, which takes the processor through all its
modes, writes a mark to its disk and switches itself off.
"""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal

import libvirt
from lxml import etree
from lxml.builder import E

from infra.kvm.errors import HostError, HostUnreachable, is_missing
from infra.kvm.storage import Volume, create_volume, download_bytes, open_pool, remove_volume, upload_bytes
from infra.model.machine import MachineType, RequestedMachineType
from infra.model.machine_traits import TRAITS, candidates
from infra.ssh import Shell, ShellError

SHARED_WITH_HOST: Final = (
    "containers share their host's kernel and root: who is root in one, or may make privileged pods in a cluster, "
    "is root on the host"
)
BOOT_SECONDS: Final = 5.0
_ARCHITECTURE: Final = "x86_64"
_VOLUME: Final = "image-boot-probe"
_DISK_BYTES: Final = 1 << 20  # a real size, so that every BIOS finds a geometry
_MEMORY_MIB: Final = 32
_HUNG_FILE: Final = "/run/azlocal/kvm-guest-hung"  # gone with the host's next boot
_HUNG_MINUTES: Final = 60
_MARK: Final = b"booted"
_MARK_OFFSET: Final = 0x1B0
_START_REFUSED: Final = frozenset(
    {libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_ERR_CONFIG_UNSUPPORTED}
)


@dataclass(frozen=True)
class Verdict:
    """Whether machines can run one way, and why, in words that stay the same from probe to probe."""

    works: bool
    reason: str


def _hung(domain_type: str) -> Verdict:
    return Verdict(False, f"libvirt lists {domain_type}, but a probe guest that started there never booted")


_HUNG: Final = _hung("kvm")


def choose_machine_type(
    requested: RequestedMachineType,
    qemu: libvirt.virConnect,
    lxc: Callable[[], libvirt.virConnect],
    pool_name: str,
    shell: Shell,
) -> tuple[MachineType, str]:
    """Decide how machines run on a host; only what the decision needs is tried.

    For `auto`, a guest that hung within the last hour isn't booted again: it takes the full five seconds.

    Args:
        lxc: opens the connection to LXC.
        pool_name: the storage pool that may hold the probe guest's disk for a moment.
        shell: the host's.

    Raises:
        HostError: what was asked for can't run there, or nothing can.
    """

    def boots() -> Verdict:
        device = _device(shell) if len(candidates(requested)) > 1 else ""
        if device and _recalled(shell) == device:
            return _HUNG
        verdict = probe_kvm(qemu, pool_name)
        if device and verdict == _HUNG:
            _remember(shell, device)
        return verdict

    def has_lxc() -> Verdict:
        try:
            return _listed(lxc(), "container")
        except HostUnreachable as error:
            return Verdict(False, str(error))

    looks: Mapping[MachineType, Callable[[], Verdict]] = {
        "vm": boots,
        "container": has_lxc,
        "emulated": lambda: _listed(qemu, "emulated"),
    }
    return resolve_machine_type(requested, lambda machine_type: looks[machine_type](), qemu.getHostname())


def _device(shell: Shell) -> str:
    """Return what tells one life of /dev/kvm from another, as after its modules were loaded with other options."""
    seen = shell.run(["stat", "--format=%i %Z", "/dev/kvm"], check=False)
    return seen.stdout.strip() if seen.exit_code == 0 else ""


def _recalled(shell: Shell) -> str:
    """Return at which life of /dev/kvm a guest hung, empty where none did or that is long ago."""
    find = ["find", _HUNG_FILE, "-mmin", f"-{_HUNG_MINUTES}", "-type", "f", "-exec", "cat", "{}", "+"]
    seen = shell.run(find, check=False)
    return seen.stdout.strip() if seen.exit_code == 0 else ""


def _remember(shell: Shell, device: str) -> None:
    try:
        shell.make_directory(posixpath.dirname(_HUNG_FILE))
        shell.write_file(_HUNG_FILE, device.encode(), mode=0o600)
    except ShellError:
        return  # then it is tried again


def resolve_machine_type(
    requested: RequestedMachineType, look: Callable[[MachineType], Verdict], host: str
) -> tuple[MachineType, str]:
    """Return the machine type and why, and what it means for the host; `auto` takes vm, else container.

    Raises:
        HostError: none of the types in question can run; the message has each one's reason.
    """
    types = candidates(requested)
    refused: list[str] = []
    for machine_type in types:
        verdict = look(machine_type)
        if verdict.works:
            warned = [SHARED_WITH_HOST] if TRAITS[machine_type].shares_kernel else []
            return machine_type, "; ".join([*refused, verdict.reason, *warned])
        refused.append(f"no {machine_type}: {verdict.reason}")
    remedy = "emulated, which is slow" if len(types) > 1 else "auto"
    raise HostError(
        f"{host}: machines can't run there as azlocal:machineType {requested} wants: {'; '.join(refused)}. "
        f"Repair that, or set azlocal:machineType to {remedy}."
    )


def probe_kvm(connection: libvirt.virConnect, pool_name: str, seconds: float = BOOT_SECONDS) -> Verdict:
    """Return whether guests boot under KVM, by booting one."""
    listed = _listed(connection, "vm")
    if not listed.works:
        return listed
    return boot_probe(connection, pool_name, "kvm", seconds)


def boot_probe(
    connection: libvirt.virConnect, pool_name: str, domain_type: Literal["kvm", "qemu"], seconds: float
) -> Verdict:
    """Boot the guest of one sector; it leaves nothing behind, even when this process is killed in between.

    The domain is libvirt's only as long as this connection stands. A disk left behind is taken over next time.
    """
    name = f"{pool_name}-probe"  # the same each time: libvirt keeps a log of every name
    pool = open_pool(connection, pool_name)
    volume = create_volume(pool, Volume(_VOLUME, _DISK_BYTES, "raw"))
    try:
        upload_bytes(connection, volume, boot_sector())
        try:
            with _transient(connection, name, probe_domain(name, domain_type, volume.path())) as domain:
                ended = _ends_by_itself(domain, seconds)
        except libvirt.libvirtError as error:
            if error.get_error_code() in _START_REFUSED:
                return Verdict(False, f"a guest doesn't start under {domain_type}: {error.get_error_message()}")
            raise
        if not ended:
            return _hung(domain_type)
        if download_bytes(connection, volume, 512)[_MARK_OFFSET:].startswith(_MARK):
            return Verdict(True, f"a probe guest booted under {domain_type}")
        return Verdict(False, f"a probe guest under {domain_type} ended before it booted: QEMU failed")
    finally:
        remove_volume(pool, _VOLUME)


def probe_domain(name: str, domain_type: str, disk: str) -> str:
    """Return the XML of the smallest guest: a BIOS and a disk."""
    domain = E.domain(
        E.name(name),
        E.memory(str(_MEMORY_MIB), unit="MiB"),
        E.vcpu("1"),
        E.os(E.type("hvm", arch=_ARCHITECTURE, machine="q35"), E.boot(dev="hd")),
        E.features(E.acpi()),
        E.on_poweroff("destroy"),
        E.on_reboot("destroy"),
        E.on_crash("destroy"),
        E.devices(
            E.disk(
                E.driver(name="qemu", type="raw"),
                E.source(file=disk),
                E.target(dev="vda", bus="virtio"),
                type="file",
                device="disk",
            ),
            E.controller(type="usb", model="none"),
            E.memballoon(model="none"),
        ),
        type=domain_type,
    )
    xml: str = etree.tostring(domain, encoding="unicode")
    return xml


def boot_sector() -> bytes:
    """Return the guest: files/boot_sector.S, assembled."""
    return files("infra.kvm").joinpath("files", "boot_sector.bin").read_bytes()


def lists_type(capabilities: str, domain_type: str) -> bool:
    """Return whether libvirt's capabilities offer a domain type for our architecture."""
    root = etree.fromstring(capabilities.encode())
    path = f"guest/arch[@name='{_ARCHITECTURE}']/domain[@type='{domain_type}']"
    return root.find(path) is not None


def _listed(connection: libvirt.virConnect, machine_type: MachineType) -> Verdict:
    domain_type, remedy = TRAITS[machine_type].domain_type, TRAITS[machine_type].installed_by
    if lists_type(connection.getCapabilities(), domain_type):
        return Verdict(True, f"libvirt lists {domain_type}")
    return Verdict(False, f"libvirt there lists no {domain_type} for {_ARCHITECTURE}: {remedy}")


@contextmanager
def _transient(connection: libvirt.virConnect, name: str, xml: str) -> Iterator[libvirt.virDomain]:
    try:
        _end(connection.lookupByName(name))  # a killed probe's, if libvirt hasn't ended it yet
    except libvirt.libvirtError as error:
        if not is_missing(error):
            raise
    domain = connection.createXML(xml, libvirt.VIR_DOMAIN_START_AUTODESTROY)
    try:
        yield domain
    finally:
        _end(domain)


def _end(domain: libvirt.virDomain) -> None:
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        # It has ended by itself: gone, or on its way and therefore "not running".
        if not is_missing(error) and error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise


def _ends_by_itself(domain: libvirt.virDomain, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = domain.state()[0]
        except libvirt.libvirtError as error:
            if not is_missing(error):
                raise
            return True
        if state in (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_CRASHED):
            return False  # so QEMU leaves a guest whose processor KVM can't go on with
        time.sleep(0.05)
    return False
