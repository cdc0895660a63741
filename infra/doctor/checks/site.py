"""All hosts together: are they alike, and are they several?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from infra.counting import counted
from infra.doctor.checks.base import GB, Skip, Subject, Verdict, failed, listed, ok, site_check, warning
from infra.doctor.facts import Hypervisor, Unknown
from infra.hosts.facts.network import Network
from infra.hosts.facts.storage import Storage
from infra.hosts.facts.system import Clock, Processor, System

_SKEW_SECONDS: Final = 2.0
_Fact = TypeVar("_Fact")
_REPLACE: Final = "replace one, or make two instances"


@site_check("some-host")
def some_host(subjects: Sequence[Subject]) -> Verdict:
    """There is a host to look at."""
    if not subjects:
        return failed(
            "the hosts file names none, or gives all of them up (lost: true)",
            "name each machine that runs KVM under `hosts:`, or take `lost: true` away from one that is back",
        )
    return ok(counted(len(subjects), "host"))


@site_check("distinct-hosts")
def distinct_hosts(subjects: Sequence[Subject]) -> Verdict:
    """Every name is another machine."""
    groups = _groups(subjects, lambda subject: _of(subject.facts.system, System, lambda system: system.identity))
    _several([name for names in groups.values() for name in names])
    same = [" = ".join(names) for names in groups.values() if len(names) > 1]
    if same:
        return failed(
            listed(same), "name each machine once in the hosts file: what is spread over two is lost with one"
        )
    return ok(counted(sum(map(len, groups.values())), "machine"))


@site_check("same-cpu", source="SYS")
def same_cpu(subjects: Sequence[Subject]) -> Verdict:
    """Same processor on all hosts."""
    groups = _groups(
        subjects, lambda subject: _of(subject.facts.processor, Processor, lambda cpu: f"{cpu.vendor} {cpu.model}")
    )
    return _alike(groups, f"Azure Local asks for the same processor type: {_REPLACE}")


@site_check("same-cpu-features", source="SYS")
def same_cpu_features(subjects: Sequence[Subject]) -> Verdict:
    """Same processor features on all hosts.

    A running machine moves only to a host that has what its processor showed it.
    """
    flags = {
        subject.host.name: subject.facts.processor.flags
        for subject in subjects
        if not isinstance(subject.facts.processor, Unknown)
    }
    _several(flags)
    common = frozenset.intersection(*flags.values())
    more = {name: sorted(own - common) for name, own in flags.items() if own - common}
    if more:
        differences = [f"only {name} has {listed(extra, 4)}" for name, extra in more.items()]
        return warning(
            listed(differences, 4),
            "same firmware settings and microcode everywhere; else machines don't move while they run",
        )
    return ok(counted(len(common), "feature"))


@site_check("same-model", source="SYS")
def same_model(subjects: Sequence[Subject]) -> Verdict:
    """Same manufacturer and model on all hosts."""
    groups = _groups(
        subjects,
        lambda subject: _of(
            subject.facts.system,
            System,
            lambda system: f"{system.manufacturer} {system.product}" if system.manufacturer else None,
        ),
    )
    return _alike(groups, f"Azure Local asks for one manufacturer and model; a lab may mix: {_REPLACE}")


@site_check("same-versions")
def same_versions(subjects: Sequence[Subject]) -> Verdict:
    """Same libvirt and QEMU on all hosts."""

    def versions(hypervisor: Hypervisor) -> str:
        return f"libvirt {_text(hypervisor.libvirt)}, QEMU {_text(hypervisor.qemu)}"

    groups = _groups(subjects, lambda subject: _of(subject.facts.hypervisor, Hypervisor, versions))
    return _alike(groups, "bring all hosts to one version: a running machine doesn't move to an older QEMU")


@site_check("host-uuid")
def host_uuid(subjects: Sequence[Subject]) -> Verdict:
    """libvirt tells the hosts apart."""
    groups = _groups(
        subjects,
        lambda subject: _of(subject.facts.hypervisor, Hypervisor, lambda hypervisor: hypervisor.host_uuid),
    )
    _several([name for names in groups.values() for name in names])
    same = [" = ".join(names) for names in groups.values() if len(names) > 1]
    if same:
        return warning(
            f"{listed(same)} have one host UUID, and libvirt moves no running machine between them",
            "set host_uuid in /etc/libvirt/libvirtd.conf (`uuidgen` makes one), then restart libvirtd",
        )
    return ok(f"{len(groups)} different")


@site_check("same-uplink-speed", source="SYS")
def same_uplink_speed(subjects: Sequence[Subject]) -> Verdict:
    """Same uplink speed on all hosts."""

    def speed(subject: Subject) -> str | None:
        def of_network(network: Network) -> str | None:
            link = network.link(subject.host.uplink or "")
            return f"{link.speed:,} Mbit/s" if link and link.speed else None

        return _of(subject.facts.network, Network, of_network)

    return _alike(_groups(subjects, speed), "Azure Local asks for the same NICs: look at cables and switch ports")


@site_check("same-drives", source="SYS")
def same_drives(subjects: Sequence[Subject]) -> Verdict:
    """Same drives on all hosts."""

    def drives(storage: Storage) -> str:
        counts = Counter(round(disk.size / GB) for disk in storage.disks)
        return ", ".join(f"{count} x {size:,} GB" for size, count in sorted(counts.items())) or "none"

    groups = _groups(subjects, lambda subject: _of(subject.facts.storage, Storage, drives))
    return _alike(groups, "Azure Local asks for the same number and type of drives; a lab may mix")


@site_check("clocks")
def clocks(subjects: Sequence[Subject]) -> Verdict:
    """Hosts' clocks agree."""
    known_clocks = {
        subject.host.name: subject.facts.clock for subject in subjects if isinstance(subject.facts.clock, Clock)
    }
    _several(known_clocks)
    first = min(known_clocks, key=lambda name: known_clocks[name].offset)
    last = max(known_clocks, key=lambda name: known_clocks[name].offset)
    apart = known_clocks[last].offset - known_clocks[first].offset
    unsure = known_clocks[last].uncertainty + known_clocks[first].uncertainty
    if apart - unsure > _SKEW_SECONDS:
        return warning(
            f"{last} is {apart:.1f} s ahead of {first}",
            "`timedatectl set-ntp true` on all of them, with one NTP server: etcd and leases suffer",
        )
    return ok(f"within {max(apart, unsure):.2f} s")


def _of(fact: object, kind: type[_Fact], read: Callable[[_Fact], str | None]) -> str | None:
    return read(fact) if isinstance(fact, kind) else None


def _groups(subjects: Sequence[Subject], key: Callable[[Subject], str | None]) -> dict[str, list[str]]:
    """Return the hosts by what they have, those left out of which it isn't known."""
    groups: dict[str, list[str]] = defaultdict(list)
    for subject in subjects:
        value = key(subject)
        if value is not None:
            groups[value].append(subject.host.name)
    return groups


def _alike(groups: Mapping[str, Sequence[str]], remedy: str) -> Verdict:
    _several([name for names in groups.values() for name in names])
    if len(groups) > 1:
        parts = [f"{listed(names, 4)}: {value}" for value, names in groups.items()]
        return warning("; ".join(parts[:4]), remedy)
    return ok(next(iter(groups)))


def _several(known: Sequence[str] | Mapping[str, object]) -> None:
    if len(known) < 2:
        raise Skip("it takes two hosts of which it is known")


def _text(version: tuple[int, int, int] | None) -> str:
    return ".".join(map(str, version)) if version else "missing"
