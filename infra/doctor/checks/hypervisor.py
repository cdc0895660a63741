"""libvirt, QEMU, and whether guests really run."""

from __future__ import annotations

from typing import Final

from infra.doctor.checks.base import (
    Skip,
    Subject,
    Verdict,
    check,
    failed,
    hypervisor_of,
    is_coming,
    known,
    listed,
    ok,
    skip_unless,
    warning,
)
from infra.doctor.facts import Unknown

# What Ubuntu 22.04, the oldest distribution that azlocal prepares, has. Guests' firmware is chosen by its features
# (secure-boot, enrolled-keys), which libvirt knows since 7.2.
_LIBVIRT: Final = (8, 0, 0)
_QEMU: Final = (6, 2, 0)
_CONTROLLERS: Final = ("cpu", "cpuset", "io", "memory", "pids")
_INOTIFY_INSTANCES: Final = 8192
_START: Final = "`systemctl start libvirtd` on the host (on this machine: `azlocal hypervisor start`)"


@check("libvirt")
def libvirt(subject: Subject) -> Verdict:
    """libvirt answers, 8.0 or later."""
    hypervisor = subject.facts.hypervisor
    access = subject.facts.access
    if isinstance(hypervisor, Unknown):
        skip_unless(access.stage == "reached", hypervisor.reason)
        skip_unless(not is_coming(subject, "packages", "libvirtd"), "it isn't there yet: `pulumi up` brings it")
        seen = hypervisor.reason.partition(". Is libvirtd running")[0]
        return failed(seen, _libvirt_remedy(hypervisor.reason, access.user, is_root=access.is_root))
    if hypervisor.libvirt < _LIBVIRT:
        return failed(
            f"libvirt {_text(hypervisor.libvirt)}",
            f"upgrade to {_text(_LIBVIRT)} or later: it chooses firmware by Secure Boot's keys",
        )
    return ok(_text(hypervisor.libvirt))


@check("qemu")
def qemu(subject: Subject) -> Verdict:
    """QEMU 6.2 or later."""
    version = hypervisor_of(subject).qemu
    if version is None:
        remedy = "apt-get install qemu-system-x86, then `systemctl restart libvirtd`"
        if not subject.instance.runs_vms:
            return warning("libvirt finds no QEMU", remedy)
        return failed("libvirt finds no QEMU", remedy)
    if version < _QEMU:
        return failed(f"QEMU {_text(version)}", f"upgrade to {_text(_QEMU)} or later, the oldest that is tried")
    return ok(_text(version))


@check("cpu-virtualisation", source="SYS")
def cpu_virtualisation(subject: Subject) -> Verdict:
    """Processor has VT-x or AMD-V, with SLAT."""
    processor = known(subject.facts.processor)
    skip_unless(subject.instance.runs_kvm, _no_vms(subject))
    if not processor.flags & {"vmx", "svm"}:
        return _without_kvm(subject, "neither VT-x nor AMD-V", "switch virtualisation on in the host's firmware")
    if not processor.flags & {"ept", "npt"}:
        return warning(
            "no second-level address translation (EPT or NPT)", "guests are slow; take a newer processor"
        )
    return ok("VT-x with EPT" if "vmx" in processor.flags else "AMD-V with NPT")


@check("kvm-device")
def kvm_device(subject: Subject) -> Verdict:
    """/dev/kvm is there."""
    system = known(subject.facts.system)
    skip_unless(subject.instance.runs_kvm, _no_vms(subject))
    if not system.kvm_device:
        remedy = "load kvm_intel or kvm_amd, with virtualisation switched on in the host's firmware"
        return _without_kvm(subject, "there is no /dev/kvm", remedy)
    return ok("there")


@check("kvm-boots")
def kvm_boots(subject: Subject) -> Verdict:
    """A guest boots under KVM."""
    skip_unless(subject.instance.runs_kvm, _no_vms(subject))
    probe = known(subject.facts.boot_probe)
    if not probe.boots:
        remedy = "where the host is a virtual machine, switch on nested virtualisation in its own host"
        return _without_kvm(subject, probe.reason, remedy)
    return ok(probe.reason)


@check("bare-metal", source="VIRT")
def bare_metal(subject: Subject) -> Verdict:
    """Host is no virtual machine itself."""
    hypervisor = known(subject.facts.processor).hypervisor
    if hypervisor:
        return warning(
            f"it is a virtual machine under {hypervisor}",
            "good for labs; Azure Local itself supports only physical machines",
        )
    return ok("a physical machine")


@check("guest-secure-boot", source="SYS")
def guest_secure_boot(subject: Subject) -> Verdict:
    """Guests can have Secure Boot."""
    return _guest_firmware(subject, hypervisor_of(subject).secure_boot, "OVMF with Secure Boot keys", "ovmf")


@check("guest-tpm", source="SYS")
def guest_tpm(subject: Subject) -> Verdict:
    """Guests can have a TPM 2.0."""
    return _guest_firmware(subject, hypervisor_of(subject).tpm, "swtpm", "swtpm swtpm-tools")


@check("containers")
def containers(subject: Subject) -> Verdict:
    """Machines can run as containers."""
    reason = hypervisor_of(subject).containers
    skip_unless(subject.instance.runs_containers, _no_containers(subject))
    if reason is None:
        return ok("libvirt's LXC answers")
    remedy = "apt-get install libvirt-daemon-driver-lxc, then `systemctl restart libvirtd`"
    return _without_containers(subject, reason, remedy)


@check("cgroups")
def cgroups(subject: Subject) -> Verdict:
    """Control groups have what containers need."""
    controllers = known(subject.facts.system).cgroup_controllers
    skip_unless(_is_container_host(subject), "machines run as VMs here")
    missing = [name for name in _CONTROLLERS if name not in controllers]
    if missing:
        remedy = f"switch on in the kernel's command line: cgroup_enable={','.join(missing)}"
        return _without_containers(subject, f"the kernel has no controller {listed(missing)}", remedy)
    return ok(listed(_CONTROLLERS))


@check("loop-devices")
def loop_devices(subject: Subject) -> Verdict:
    """Loop devices for containers' disks."""
    system = known(subject.facts.system)
    skip_unless(_is_container_host(subject), "machines run as VMs here")
    if not system.loop_control:
        return _without_containers(subject, "there is no /dev/loop-control", "modprobe loop")
    return ok("/dev/loop-control is there")


@check("inotify")
def inotify(subject: Subject) -> Verdict:
    """inotify instances for containers."""
    instances = known(subject.facts.system).inotify_instances
    skip_unless(_is_container_host(subject), "machines run as VMs here")
    if instances >= _INOTIFY_INSTANCES:
        return ok(f"{instances:,}")
    if subject.facts.access.acts_as_root:
        return ok(f"{instances:,}; azlocal raises them to {_INOTIFY_INSTANCES:,} with the first machine")
    return warning(
        f"{instances:,} for all containers together, used up by two small clusters",
        f"sysctl -w fs.inotify.max_user_instances={_INOTIFY_INSTANCES}, and in /etc/sysctl.d for the next boot",
    )


def _is_container_host(subject: Subject) -> bool:
    """Return whether machines become containers there: by the stack's word, or because KVM doesn't run."""
    probe = subject.facts.boot_probe
    boots = not isinstance(probe, Unknown) and probe.boots
    return subject.instance.runs_containers and not (subject.instance.runs_kvm and boots)


def _without_kvm(subject: Subject, seen: str, remedy: str) -> Verdict:
    if not subject.instance.runs_containers:
        return failed(seen, f"{remedy}; or set azlocal:machineType to auto, which takes containers instead")
    return warning(f"{seen}: machines run as containers instead", f"for VMs, {remedy}")


def _without_containers(subject: Subject, seen: str, remedy: str) -> Verdict:
    if _is_container_host(subject):
        return failed(seen, remedy)
    return ok(f"not needed, since guests boot under KVM here ({seen})")


def _guest_firmware(subject: Subject, there: bool, what: str, package: str) -> Verdict:
    skip_unless(subject.instance.runs_vms, "machines are containers (azlocal:machineType)")
    if there:
        return ok(what)
    if _is_container_host(subject):
        raise Skip("machines run as containers here, which have none")
    return warning(f"no {what}: VMs go without", f"apt-get install {package}")


def _libvirt_remedy(reason: str, user: str, *, is_root: bool) -> str:
    lowered = reason.lower()
    if "nc: command not found" in lowered or "nc: not found" in lowered or "netcat" in lowered:
        return "apt-get install netcat-openbsd on the host: libvirt's way through SSH ends in it"
    # Whom the socket's mode doesn't let in, polkit is asked about, over a system bus that hosts may lack.
    if not is_root and any(words in lowered for words in ("permission denied", "authentication", "system bus")):
        return f"let {user} use libvirt: `usermod --append --groups libvirt {user}`, then log in again"
    if "no such file" in lowered or "connection refused" in lowered or "failed to connect socket" in lowered:
        return f"apt-get install libvirt-daemon-system, then {_START}"
    if "answer within" in lowered or "in time" in lowered:
        return "`systemctl restart libvirtd` on the host; it hangs, or the host is overloaded"
    return _START


def _no_vms(subject: Subject) -> str:
    return f"machines don't run under KVM (azlocal:machineType {subject.instance.machine_type})"


def _no_containers(subject: Subject) -> str:
    return f"machines are no containers (azlocal:machineType {subject.instance.machine_type})"


def _text(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
