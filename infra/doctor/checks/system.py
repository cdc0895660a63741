"""The operating system and its clock."""

from __future__ import annotations

from typing import Final

from infra.doctor.checks.base import (
    Subject,
    Verdict,
    check,
    failed,
    is_coming,
    known,
    listed,
    ok,
    skip_unless,
    warning,
)
from infra.doctor.packages import required_packages

_OLDEST: Final = {"debian": (12,), "ubuntu": (22, 4)}
_SUPPORTED: Final = "Debian 12 or later, Ubuntu 22.04 or later"
_SKEW_WARNING_SECONDS: Final = 2.0
_SKEW_FAILED_SECONDS: Final = 300.0


@check("distribution")
def distribution(subject: Subject) -> Verdict:
    """Debian 12+ or Ubuntu 22.04+."""
    system = known(subject.facts.system)
    distribution = system.distribution
    oldest = _OLDEST.get(distribution.id)
    if oldest is None and distribution.is_supported:
        return warning(f"{distribution.name}, made from a supported one", f"azlocal is tried on {_SUPPORTED}")
    if oldest is None:
        return failed(
            f"{distribution.name}: azlocal prepares no hosts of this distribution",
            f"install {_SUPPORTED}, or prepare the host by hand as docs/start.md lists it",
        )
    if distribution.version is None:
        return warning(f"{distribution.name} has no version number", f"azlocal is tried on {_SUPPORTED}")
    if tuple(int(part) for part in distribution.version.split(".")) < oldest:
        return failed(f"{distribution.name}, Linux {system.kernel}", f"upgrade to {_SUPPORTED}")
    return ok(f"{distribution.name}, Linux {system.kernel}")


@check("architecture", source="SYS")
def architecture(subject: Subject) -> Verdict:
    """64-bit x86."""
    seen = known(subject.facts.processor).architecture
    if seen != "x86_64":
        return failed(f"{seen}", "take an x86-64 machine: the node image is built for no other processor")
    return ok(seen)


@check("packages")
def packages(subject: Subject) -> Verdict:
    """Packages are installed."""
    installed = known(subject.facts.packages)
    missing = [name for name in required_packages(subject.host, subject.instance) if name not in installed]
    if missing:
        seen, command = f"{len(missing):,} missing: {listed(missing)}", f"apt-get install {' '.join(missing)}"
        if is_coming(subject, "packages"):
            return warning(seen, f"`pulumi up` installs them; where it finds no package mirror: {command}")
        return failed(seen, command)
    return ok("all of them")


@check("preparation")
def preparation(subject: Subject) -> Verdict:
    """azlocal can prepare the host."""
    planned = known(subject.facts.preparation)
    steps = "; ".join(why for _, why in planned.steps)
    if not subject.host.prepare:
        skip_unless(steps or planned.faults, "nothing is missing")
        what = steps or listed(planned.faults)
        return warning(f"missing, and not azlocal's to make: {what}", "make it by hand, or write `prepare: true`")
    if planned.faults:
        parts = [text.partition(": ") for text in planned.faults]
        return failed(listed([seen for seen, _, _ in parts]), "; ".join(remedy for _, _, remedy in parts))
    return ok(f"`pulumi up` will {steps}" if steps else "nothing is missing")


@check("clock")
def clock(subject: Subject) -> Verdict:
    """Clock agrees with this machine's.

    Certificates begin 10 minutes before they are made, and Azure's tokens bear 5 minutes.
    """
    measured = known(subject.facts.clock)
    off = max(0.0, abs(measured.offset) - measured.uncertainty)
    where = "ahead" if measured.offset > 0 else "behind"
    if off > _SKEW_FAILED_SECONDS:
        return failed(
            f"{abs(measured.offset):,.0f} s {where}: nodes refuse certificates and Azure refuses tokens",
            "set the clock: `timedatectl set-ntp true`, with an NTP server that the host reaches",
        )
    if off > _SKEW_WARNING_SECONDS:
        return warning(
            f"{abs(measured.offset):.1f} s {where}", "keep the clocks right: `timedatectl set-ntp true` on both"
        )
    return ok(f"within {abs(measured.offset) + measured.uncertainty:.2f} s")


@check("time-sync")
def time_sync(subject: Subject) -> Verdict:
    """Something keeps the clock right."""
    synchronised = known(subject.facts.clock).synchronised
    skip_unless(synchronised is not None, "the host has no systemd that would tell")
    if not synchronised:
        return warning(
            "systemd says the clock isn't synchronised",
            "`apt-get install systemd-timesyncd && timedatectl set-ntp true`, with an NTP server that answers",
        )
    return ok("synchronised")
