"""From what a host has and what it is to have to the steps still missing. Pure.

A step that isn't needed isn't there. `prepare` runs the first one, reads the facts again and comes back here, so
that no step counts as done that didn't take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from infra.kvm.preparation.facts import LIBVIRT_SERVICE, LIBVIRT_SOCKETS, PreparationFacts
from infra.kvm.preparation.netplan import Design, design_network
from infra.kvm.preparation.packages import required
from infra.kvm.preparation.wanted import Wanted

StepId = Literal["packages", "libvirtd", "access", "network"]

LOCK_SECONDS: Final = 300
"""How long apt waits for another package manager, such as unattended-upgrades."""

_APT: Final = (
    "env",
    "DEBIAN_FRONTEND=noninteractive",
    "NEEDRESTART_SUSPEND=1",  # Ubuntu's needrestart would ask, and restart services that aren't ours
    "apt-get",
    f"--option=DPkg::Lock::Timeout={LOCK_SECONDS}",
)
_INSTALL: Final = (
    "install",
    "--yes",
    "--no-install-recommends",
    "--no-upgrade",
    "--no-remove",
    "--option=Dpkg::Options::=--force-confold",
)
_LIBVIRT_GROUP: Final = "libvirt"


@dataclass(frozen=True)
class Step:
    """Something that is missing on a host.

    Attributes:
        id: Which one.
        why: What is missing, as people read it.
        undo: What the removal of the instance does about it.
        remedy: What to do by hand where it fails.
        commands: What is run, in order.
        network: The network's change, which runs under the guard; None for other steps.
    """

    id: StepId
    why: str
    undo: str
    remedy: str
    commands: tuple[tuple[str, ...], ...] = ()
    network: Design | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be done on a host.

    Attributes:
        steps: In order; none where nothing is missing.
        faults: Why it can't be prepared; each with what to do. Without them the steps may run.
        notes: What is left as it is, and why.
    """

    steps: tuple[Step, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plan(facts: PreparationFacts, wanted: Wanted) -> Plan:
    """Return what is missing on a host."""
    if not facts.distribution.is_supported:
        return Plan(faults=(_foreign_distribution(facts, wanted),))
    network = design_network(facts, wanted)
    steps = (*_packages(facts, wanted), *_libvirtd(facts), *_access(facts), *_network(facts, wanted, network))
    return Plan(steps, (*_libvirt_faults(facts), *network.faults), tuple(_notes(network)))


def _packages(facts: PreparationFacts, wanted: Wanted) -> Iterator[Step]:
    missing = [name for name in required(wanted) if name not in facts.packages]
    if missing:
        yield Step(
            id="packages",
            why=f"install {', '.join(missing)}",
            undo="the packages stay",
            remedy=f"Without a package mirror, install these by hand: {' '.join(missing)}",
            commands=((*_APT, "update"), (*_APT, *_INSTALL, "--", *missing)),
        )


def _libvirtd(facts: PreparationFacts) -> Iterator[Step]:
    units = (LIBVIRT_SERVICE, "libvirtd.socket", *LIBVIRT_SOCKETS)
    is_enabled = any(facts.units.get(unit) == "enabled" for unit in units)
    if not facts.has_systemd or (facts.libvirt_listens and is_enabled):
        return
    is_split = LIBVIRT_SERVICE not in facts.units and any(unit in facts.units for unit in LIBVIRT_SOCKETS)
    names = [unit for unit in LIBVIRT_SOCKETS if unit in facts.units] if is_split else [LIBVIRT_SERVICE]
    yield Step(
        id="libvirtd",
        why="start libvirtd, now and whenever the host boots",
        undo="libvirtd goes on",
        remedy=f"`journalctl -u {names[0]}` on the host says more",
        commands=(("systemctl", "enable", "--now", *names),),
    )


def _access(facts: PreparationFacts) -> Iterator[Step]:
    if facts.user is not None and _LIBVIRT_GROUP not in facts.groups:
        yield Step(
            id="access",
            why=f"let {facts.user} use libvirt (group {_LIBVIRT_GROUP})",
            undo=f"{facts.user} stays in the group",
            remedy=f"`sudo usermod --append --groups {_LIBVIRT_GROUP} {facts.user}` on the host",
            commands=(("usermod", "--append", "--groups", _LIBVIRT_GROUP, facts.user),),
        )


def _network(facts: PreparationFacts, wanted: Wanted, network: Design) -> Iterator[Step]:
    if network.faults or _is_standing(facts, network):
        return
    yield Step(
        id="network",
        why=_network_why(wanted, network),
        undo="our files and interfaces go, and the host has its old network",
        remedy="the host has its old network again",
        network=network,
    )


def _is_standing(facts: PreparationFacts, network: Design) -> bool:
    """Return whether the files and the interfaces are as designed."""
    if (facts.own_netplan, facts.own_port) != (network.netplan, network.port) or network.new or network.stale:
        return False
    return all(
        facts.links[bridge].is_up and facts.links[port].is_up and facts.links[port].master == bridge
        for bridge, port in network.ports.items()
        if port in facts.links
    )


def _network_why(wanted: Wanted, network: Design) -> str:
    if network.netplan is None:
        return f"remove {wanted.netplan_path} and {', '.join(network.stale) or 'its interfaces'}"
    made = [f"{bridge} on {port}" for bridge, port in network.ports.items() if {bridge, port} & {*network.new}]
    parts = [f"make {', '.join(made)}"] if made else []
    if network.moved:
        parts.append(f"move {', '.join(network.moved)} from {wanted.uplink} to its bridge")
    parts += [f"remove {', '.join(network.stale)}"] if network.stale else []
    return "; ".join(parts or ["bring its interfaces back to it"]) + f" ({wanted.netplan_path})"


def _libvirt_faults(facts: PreparationFacts) -> Iterator[str]:
    if not facts.has_systemd and not facts.libvirt_listens:
        yield "libvirtd doesn't run, and there is no systemd to start it: start virtlogd and libvirtd by hand"


def _notes(network: Design) -> Iterator[str]:
    for bridge in network.used:
        yield f"{bridge} stands already, made by somebody else: it is used as it is"
    for bridge in network.kept:
        yield f"{bridge} isn't wanted any more and still carries machines: it goes when they are gone"


def _foreign_distribution(facts: PreparationFacts, wanted: Wanted) -> str:
    bridges = (
        f" make {', '.join(bridge.name for bridge in wanted.bridges)} on {wanted.uplink},"
        if wanted.bridges
        else ""
    )
    return (
        f"it runs {facts.distribution.name}, and azlocal prepares Debian and Ubuntu only: install what Debian "
        f"calls {', '.join(required(wanted))}, start libvirtd,{bridges} and write `prepare: false` under the host "
        "in hosts/<site>.yaml"
    )
