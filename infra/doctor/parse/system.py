"""The operating system, the processor, the clock, the packages."""

from __future__ import annotations

import json
import shlex
from typing import Final

from infra.doctor.facts import Clock, Processor, System
from infra.doctor.parse.files import Files, number

_DMI: Final = "/sys/class/dmi/id"
_CGROUPS_V1: Final = "/proc/cgroups"
_CGROUPS_V2: Final = "/sys/fs/cgroup/cgroup.controllers"
_INOTIFY: Final = "/proc/sys/fs/inotify/max_user_instances"
_TPM: Final = "/sys/class/tpm/tpm0/tpm_version_major"
_KIB: Final = 1024

KVM: Final = "/dev/kvm"
LOOP_CONTROL: Final = "/dev/loop-control"
EFI: Final = "/sys/firmware/efi"
SECURE_BOOT: Final = f"{EFI}/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

FILES: Final = (
    "/etc/os-release",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/random/boot_id",
    "/proc/meminfo",
    _CGROUPS_V1,
    _CGROUPS_V2,
    _INOTIFY,
    _TPM,
    f"{_DMI}/sys_vendor",
    f"{_DMI}/product_name",
)


def system(
    files: Files,
    network_namespace: str,
    devices: frozenset[str],
    secure_boot: bool | None,
    active_units: frozenset[str] | None,
) -> System:
    """Put together the operating system's facts.

    Args:
        files: Content of FILES.
        network_namespace: What /proc/self/ns/net links to.
        devices: Which of the paths asked for are there.
        secure_boot: What the firmware's variable says.
        active_units: Of systemd.
    """
    release = _os_release(files["/etc/os-release"])
    memory = _meminfo(files["/proc/meminfo"])
    return System(
        distribution=release.get("ID", "unknown").lower(),
        alike=frozenset(release.get("ID_LIKE", "").lower().split()),
        version=release.get("VERSION_ID"),
        pretty_name=release.get("PRETTY_NAME", release.get("NAME", "an unknown distribution")),
        kernel=files["/proc/sys/kernel/osrelease"].strip(),
        manufacturer=files.get(f"{_DMI}/sys_vendor", "").strip() or None,
        product=files.get(f"{_DMI}/product_name", "").strip() or None,
        identity=f"{files['/proc/sys/kernel/random/boot_id'].strip()}/{network_namespace.strip()}",
        memory_bytes=memory["MemTotal"],
        tpm_version=number(files, _TPM),
        uefi=EFI in devices,
        secure_boot=secure_boot,
        kvm_device=KVM in devices,
        loop_control=LOOP_CONTROL in devices,
        cgroup_controllers=_controllers(files),
        inotify_instances=number(files, _INOTIFY) or 0,
        active_units=active_units,
    )


def processor(lscpu: str) -> Processor:
    """Read `lscpu --json`."""
    found: dict[str, str] = {}

    def collect(rows: list[dict[str, object]]) -> None:
        for row in rows:
            found.setdefault(str(row["field"]).rstrip(":"), str(row.get("data") or ""))
            children = row.get("children")
            if isinstance(children, list):  # util-linux 2.40 nests what earlier ones listed
                collect(children)

    collect(json.loads(lscpu)["lscpu"])
    return Processor(
        architecture=found["Architecture"],
        vendor=found.get("Vendor ID", "unknown"),
        model=found.get("Model name", "unknown"),
        logical=int(found["CPU(s)"]),
        flags=frozenset(found.get("Flags", "").split()),
        hypervisor=found.get("Hypervisor vendor"),
    )


def clock(printed: str, asked: float, answered: float, synchronised: bool | None) -> Clock:
    """Compare `date +%s.%N` with this machine's time before and after it was asked."""
    middle = (asked + answered) / 2
    return Clock(float(printed) - middle, (answered - asked) / 2, synchronised)


def packages(dpkg: str) -> frozenset[str]:
    """Read dpkg-query's lines of name and state: the packages that are installed."""
    rows = (line.split("\t") for line in dpkg.splitlines() if "\t" in line)
    return frozenset(row[0].partition(":")[0] for row in rows if row[1] == "installed")


def units(listed: str) -> frozenset[str]:
    """Read `systemctl show --property=Id,ActiveState UNIT…`: the units that run."""
    blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in listed.strip().split("\n\n"))
    return frozenset(one["Id"].removesuffix(".service") for one in blocks if one.get("ActiveState") == "active")


def efi_flag(od: str) -> bool:
    """Read an EFI variable as `od` prints its bytes: four of attributes, then the value."""
    return od.split()[4] == "1"


def _os_release(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key: " ".join(shlex.split(value)) for key, value in pairs}


def _meminfo(text: str) -> dict[str, int]:
    rows = (line.split() for line in text.splitlines())
    return {row[0].rstrip(":"): int(row[1]) * _KIB for row in rows if len(row) >= 2}


def _controllers(files: Files) -> frozenset[str]:
    """Return the controllers of both kinds of cgroups; v2 calls block devices `io`, v1 `blkio`."""
    second = files.get(_CGROUPS_V2, "").split()
    rows = (line.split() for line in files.get(_CGROUPS_V1, "").splitlines() if not line.startswith("#"))
    first = [row[0] for row in rows if len(row) == 4 and row[3] == "1"]
    return frozenset({"io" if name == "blkio" else name for name in (*first, *second)})
