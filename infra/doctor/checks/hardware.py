"""The machine itself, against Azure Local's requirements and against what the plan places on it."""

from __future__ import annotations

from typing import Final

from infra.counting import counted
from infra.doctor.checks.base import (
    GB,
    GIB,
    Skip,
    Subject,
    Verdict,
    check,
    failed,
    gib,
    known,
    listed,
    ok,
    warning,
)

_LEAST_MEMORY_GIB: Final = 32
_FIRMWARE_GIB: Final = 1
"""What firmware and kernel keep of a machine's memory at most: 32 GB of chips show as 31.x GiB."""

_RESERVE: Final = 0.15
_BOOT_DRIVE: Final = 200 * GB
_DATA_DRIVE: Final = 500 * GB
_DATA_DRIVES: Final = 2
_MIB: Final = 1 << 20


@check("memory", source="SYS")
def memory(subject: Subject) -> Verdict:
    """Memory: 32 GB or more."""
    size = known(subject.facts.system).memory_bytes
    if size < (_LEAST_MEMORY_GIB - _FIRMWARE_GIB) * GIB:
        return warning(f"{gib(size)}", f"Azure Local asks for {_LEAST_MEMORY_GIB} GB; a lab may do with less")
    return ok(gib(size))


@check("memory-for-plan", source="BASE")
def memory_for_plan(subject: Subject) -> Verdict:
    """Memory for the machines placed there."""
    total = known(subject.facts.system).memory_bytes
    machines = subject.host.machines
    if machines is None:
        raise Skip(subject.instance.plan_problem or "nothing is placed")
    needed = sum(machine.memory_mib for machine in machines) * _MIB
    seen = f"{gib(needed)} for {counted(len(machines), 'machine')}, of {gib(total)}"
    if needed > total:
        return failed(seen, "take smaller or fewer machines, or add a host")
    if needed > total * (1 - _RESERVE):
        return warning(seen, "keep 15 % free, for the host itself and for machines of a lost host")
    return ok(seen)


@check("declared")
def declared(subject: Subject) -> Verdict:
    """The hosts file says what the host has."""
    host = subject.host
    rows = []
    if host.declared_cpus is not None:
        rows.append(("cpus", host.declared_cpus, known(subject.facts.processor).logical))
    if host.declared_memory_gib is not None:
        size = -(-known(subject.facts.system).memory_bytes // GIB)
        rows.append(("memoryGiB", host.declared_memory_gib, size))
    if host.declared_disk_gib is not None:
        holding = known(subject.facts.storage).holding(host.storage_directory)
        if holding is not None:
            rows.append(("diskGiB", host.declared_disk_gib, -(-holding.size // GIB)))
    if not rows:
        raise Skip("the hosts file declares no sizes")
    slack = {"memoryGiB": _FIRMWARE_GIB}
    over = [row for row in rows if row[1] > row[2] + slack.get(row[0], 0)]
    more = {name: f"{name}: {wanted:,}, and the host has {there:,}" for name, wanted, there in over}
    if more:
        judge = failed if more.keys() - {"diskGiB"} else warning  # disks are thin
        return judge(listed(list(more.values())), f"correct {host.where}: placement counts on it")
    return ok(listed([f"{name} {wanted:,}" for name, wanted, _ in rows]))


@check("boot-drive", source="SYS")
def boot_drive(subject: Subject) -> Verdict:
    """Boot drive of 200 GB or more."""
    disks = [disk for disk in known(subject.facts.storage).disks if "/" in disk.mount_points]
    if not disks:
        raise Skip("no drive shows that / is on it")
    if disks[0].size < _BOOT_DRIVE:
        return warning(
            f"{disks[0].name} has {gib(disks[0].size)}", "Azure Local asks for 200 GB; a lab may do with less"
        )
    return ok(f"{disks[0].name}, {gib(disks[0].size)}")


@check("data-drives", source="SYS")
def data_drives(subject: Subject) -> Verdict:
    """Two data drives of 500 GB or more."""
    disks = [disk for disk in known(subject.facts.storage).disks if "/" not in disk.mount_points]
    big = [disk for disk in disks if disk.size >= _DATA_DRIVE]
    seen = listed([f"{disk.name} {gib(disk.size)}" for disk in disks]) or "none beside the boot drive"
    if len(big) < _DATA_DRIVES:
        return warning(
            seen, "Azure Local asks for two of 500 GB; azlocal itself needs only the folder storageDirectory"
        )
    return ok(seen)


@check("tpm", source="SYS")
def tpm(subject: Subject) -> Verdict:
    """TPM 2.0."""
    version = known(subject.facts.system).tpm_version
    if version is None:
        return warning("no TPM", "switch it on in the host's firmware; a lab may do without")
    if version < 2:
        return warning(f"TPM {version}", "Azure Local asks for a TPM 2.0; many firmwares can switch to it")
    return ok("TPM 2.0")


@check("secure-boot", source="SYS")
def secure_boot(subject: Subject) -> Verdict:
    """Secure Boot is on."""
    system = known(subject.facts.system)
    remedy = "switch Secure Boot on in the host's firmware; a lab may do without"
    if not system.uefi:
        return warning("the host booted by BIOS, without UEFI", remedy)
    if system.secure_boot is None:
        raise Skip("the firmware's variable can't be read")
    return ok("on") if system.secure_boot else warning("off", remedy)
