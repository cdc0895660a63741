"""The operating system, the processor, the clock, packages, systemd's units."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from infra.hosts.facts.fact import Fact
from infra.hosts.facts.files import Files, number

_OS_RELEASE: Final = "/etc/os-release"
_DMI: Final = "/sys/class/dmi/id"
BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
MEMORY: Final = "/proc/meminfo"
_CGROUPS_V1: Final = "/proc/cgroups"
_CGROUPS_V2: Final = "/sys/fs/cgroup/cgroup.controllers"
_INOTIFY: Final = "/proc/sys/fs/inotify/max_user_instances"
_TPM: Final = "/sys/class/tpm/tpm0/tpm_version_major"
_KVM: Final = "/dev/kvm"
_LOOP_CONTROL: Final = "/dev/loop-control"
_EFI: Final = "/sys/firmware/efi"
_SUPPORTED: Final = frozenset({"debian", "ubuntu"})
_KIB: Final = 1024

FILES: Final = (
    _OS_RELEASE,
    "/proc/sys/kernel/osrelease",
    BOOT_ID,
    MEMORY,
    _CGROUPS_V1,
    _CGROUPS_V2,
    _INOTIFY,
    _TPM,
    f"{_DMI}/sys_vendor",
    f"{_DMI}/product_name",
)
"""Files whose content `parse_system` reads."""

PATHS: Final = (_KVM, _LOOP_CONTROL, _EFI)
"""Paths of which `parse_system` looks whether they are there."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What os-release(5) says.

    Attributes:
        id: ID, e.g. `debian`.
        alike: Distributions that it is made from, by ID_LIKE.
        version: VERSION_ID; None for testing versions.
        name: As the distribution calls itself.
    """

    id: str
    name: str
    alike: frozenset[str] = frozenset()
    version: str | None = None

    @property
    def is_supported(self) -> bool:
        """Return whether its packages have Debian's names."""
        return not {self.id, *self.alike}.isdisjoint(_SUPPORTED)


@dataclass(frozen=True, slots=True)
class Clock:
    """The host's time against this machine's.

    Attributes:
        offset: Seconds that the host is ahead.
        uncertainty: Seconds that the offset may be wrong by: half of what the question took.
        synchronised: Whether systemd says that something keeps the clock right; None where it can't say.
    """

    offset: float
    uncertainty: float
    synchronised: bool | None


@dataclass(frozen=True, slots=True)
class Processor:
    """What `lscpu` says of the processor."""

    architecture: str
    vendor: str
    model: str
    logical: int
    flags: frozenset[str]
    hypervisor: str | None


@dataclass(frozen=True, slots=True)
class System:
    """The operating system and the machine it runs on.

    Attributes:
        distribution: Which one it runs.
        kernel: The kernel's release.
        manufacturer: Of the machine, by DMI; None where there is none.
        product: The machine's model, by DMI.
        identity: The same for two names of one running machine: boot and network namespace.
        memory_bytes: Physical memory.
        tpm_version: Major version of the host's TPM; None without one.
        uefi: Whether the host booted by UEFI.
        secure_boot: Whether Secure Boot is on; None where that can't be told.
        kvm_device: Whether /dev/kvm is there.
        loop_control: Whether /dev/loop-control is there.
        cgroup_controllers: Controllers of cgroups, v1 and v2 together.
        inotify_instances: fs.inotify.max_user_instances.
        active_units: Those of the systemd units asked for that run; None without systemd.
    """

    distribution: Distribution
    kernel: str
    manufacturer: str | None
    product: str | None
    identity: str
    memory_bytes: int
    tpm_version: int | None
    uefi: bool
    secure_boot: bool | None
    kvm_device: bool
    loop_control: bool
    cgroup_controllers: frozenset[str]
    inotify_instances: int
    active_units: frozenset[str] | None


def parse_system(
    files: Files,
    network_namespace: str,
    paths: frozenset[str],
    secure_boot: bool | None,
    active_units: frozenset[str] | None,
) -> System:
    """Put together the operating system's facts.

    Args:
        files: Content of FILES.
        network_namespace: NETWORK_NAMESPACE.
        paths: Which of PATHS are there.
        secure_boot: SECURE_BOOT.
        active_units: Of systemd.
    """
    return System(
        distribution=parse_os_release(files[_OS_RELEASE]),
        kernel=files["/proc/sys/kernel/osrelease"].strip(),
        manufacturer=files.get(f"{_DMI}/sys_vendor", "").strip() or None,
        product=files.get(f"{_DMI}/product_name", "").strip() or None,
        identity=f"{files[BOOT_ID].strip()}/{network_namespace}",
        memory_bytes=parse_memory(files[MEMORY])["MemTotal"],
        tpm_version=number(files, _TPM),
        uefi=_EFI in paths,
        secure_boot=secure_boot,
        kvm_device=_KVM in paths,
        loop_control=_LOOP_CONTROL in paths,
        cgroup_controllers=_controllers(files),
        inotify_instances=number(files, _INOTIFY) or 0,
        active_units=active_units,
    )


def parse_os_release(text: str) -> Distribution:
    """Read os-release(5)."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    values = {key.strip(): " ".join(shlex.split(value)) for key, value in pairs}
    return Distribution(
        id=values.get("ID", "linux").lower(),
        name=values.get("PRETTY_NAME") or values.get("NAME") or "an unnamed Linux",
        alike=frozenset(values.get("ID_LIKE", "").lower().split()),
        version=values.get("VERSION_ID"),
    )


def parse_processor(text: str) -> Processor:
    """Read `lscpu --json`."""
    values: dict[str, str] = {}

    def collect(rows: list[dict[str, object]]) -> None:
        for row in rows:
            values.setdefault(str(row["field"]).rstrip(":"), str(row.get("data") or ""))
            children = row.get("children")
            if isinstance(children, list):  # util-linux 2.40 nests what earlier ones listed
                collect(children)

    collect(json.loads(text)["lscpu"])
    return Processor(
        architecture=values["Architecture"],
        vendor=values.get("Vendor ID", "unknown"),
        model=values.get("Model name", "unknown"),
        logical=int(values["CPU(s)"]),
        flags=frozenset(values.get("Flags", "").split()),
        hypervisor=values.get("Hypervisor vendor"),
    )


def parse_packages(text: str) -> frozenset[str]:
    """Read lines of state, name and what is provided: installed packages and what they provide."""
    names: set[str] = set()
    for line in text.splitlines():
        status, _, rest = line.partition("\t")
        package, _, provided = rest.partition("\t")
        if status == "installed":
            names |= {package, *(entry.split()[0] for entry in provided.split(",") if entry.strip())}
    return frozenset(names)


def parse_unit_files(text: str) -> dict[str, str]:
    """Read `systemctl list-unit-files`: unit, state, preset."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) > 1}


def parse_active_units(text: str) -> frozenset[str] | None:
    """Read `systemctl show --property=Id,ActiveState`; where systemd doesn't run, it prints nothing."""
    if not text.strip():
        return None
    blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in text.strip().split("\n\n"))
    return frozenset(unit["Id"].removesuffix(".service") for unit in blocks if unit.get("ActiveState") == "active")


def parse_efi_flag(text: str) -> bool | None:
    """Read an EFI variable as `od` prints its bytes: four of attributes, then the value."""
    return text.split()[4] == "1" if text.strip() else None


DISTRIBUTION: Final = Fact(("cat", _OS_RELEASE), parse_os_release)
PROCESSOR: Final = Fact(("lscpu", "--json"), parse_processor)
TIME: Final = Fact(("date", "+%s.%N"), float)
SYNCHRONISED: Final = Fact(
    ("timedatectl", "show", "--property=NTPSynchronized", "--value"),
    lambda text: {"yes": True, "no": False}.get(text.strip()),
)
NETWORK_NAMESPACE: Final = Fact(("readlink", "/proc/self/ns/net"), str.strip)
SECURE_BOOT: Final = Fact(
    (
        *("od", "--address-radix=n", "--format=u1"),
        f"{_EFI}/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
    ),
    parse_efi_flag,
    as_root=True,
)


def packages(names: tuple[str, ...] = ()) -> Fact[frozenset[str]]:
    """Return the fact of which of some distribution packages are installed, or which at all."""
    argv = ("dpkg-query", "--show", "--showformat=${db:Status-Status}\\t${Package}\\t${Provides}\\n", *names)
    return Fact(argv, parse_packages, must_succeed=not names)


def unit_files(units: Iterable[str]) -> Fact[dict[str, str]]:
    """Return the fact of units' states (enabled, disabled …), for those there are."""
    argv = ("systemctl", "list-unit-files", "--no-legend", "--no-pager", "--plain", *units)
    return Fact(argv, parse_unit_files, must_succeed=False)  # it fails where none is known


def active_units(services: Iterable[str]) -> Fact[frozenset[str] | None]:
    """Return the fact of which services run."""
    names = (f"{service}.service" for service in services)
    return Fact(("systemctl", "show", "--property=Id,ActiveState", *names), parse_active_units)


def groups(login: str) -> Fact[frozenset[str]]:
    """Return the fact of a login's groups."""
    return Fact(("id", "--name", "--groups", login), lambda text: frozenset(text.split()))


def parse_memory(text: str) -> dict[str, int]:
    """Read /proc/meminfo: bytes by the kernel's names."""
    rows = (line.split() for line in text.splitlines())
    return {row[0].rstrip(":"): int(row[1]) * _KIB for row in rows if len(row) >= 2}


def _controllers(files: Files) -> frozenset[str]:
    """Return the controllers of both kinds of cgroups; v2 calls block devices `io`, v1 `blkio`."""
    second = files.get(_CGROUPS_V2, "").split()
    rows = (line.split() for line in files.get(_CGROUPS_V1, "").splitlines() if not line.startswith("#"))
    first = [row[0] for row in rows if len(row) == 4 and row[3] == "1"]
    return frozenset({"io" if name == "blkio" else name for name in (*first, *second)})
