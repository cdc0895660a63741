"""Hosts, networks and machines: what of them isn't as planned, and what each is. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from infra.counting import counted
from infra.kvm.ownership import Mark
from infra.plan.addresses import AddressPlan
from infra.plan.host_networks import HostNetwork
from infra.plan.topology import Host, Machine, Topology
from infra.status.model import HostState, HostStatus, Level, MachineState, MachineStatus, NetworkStatus
from infra.status.seen import Observations, Seen, SeenHost, StateMachine, Unseen
from infra.status.trouble import Key, Trouble

PLAN: Final[Key] = ("plan",)
"""What the files say that no run has made yet."""
STATE: Final[Key] = ("state",)
"""What a run has left that failed, or was killed."""
KEYS: Final[Key] = ("keys",)
"""What lets us into clusters, which state has encrypted."""
_NAMED: Final = 4
_LEAST_FREE: Final = 0.1
"""Of a host's file system; with less its timers take no snapshots (infra/kvm/files/take_snapshot.py)."""


@dataclass(frozen=True)
class Fleet:
    """The hosts and machines of an instance, planned and standing.

    Attributes:
        stack: The stack's name.
        topology: What is planned.
        seen: What stands.
    """

    stack: str
    topology: Topology
    seen: Observations

    @cached_property
    def planned(self) -> Mapping[str, Machine]:
        """Return the planned machines by name."""
        return {machine.name: machine for machine in self.topology.machines}

    @cached_property
    def states(self) -> Mapping[str, MachineState]:
        """Return how each machine is, planned or in state."""
        return {name: self._state_of(name) for name in {**self.planned, **self.seen.state.machines}}

    @cached_property
    def hosts(self) -> Mapping[str, Host]:
        """Return the planned hosts that are asked, by name."""
        return {host.name: host for host in self.topology.hosts if not host.is_lost}

    def host_of(self, name: str) -> str:
        """Return the host that has a machine: by state, else by the plan."""
        made = self.seen.state.machines.get(name)
        if made is None:
            return self.planned[name].host
        known = self.seen.state.hosts.get(made.connection)
        by_file = (host.name for host in self.topology.hosts if host.connection == made.connection)
        return known.name if known else next(by_file, made.connection)

    def host(self, name: str) -> Seen[SeenHost]:
        """Return what a host answer."""
        return self.seen.hosts.get(name, Unseen("the hosts file has it no more"))

    def networks_on(self, name: str) -> frozenset[str]:
        """Return what libvirt calls the networks that were made on a host."""
        made = (host.networks for host in self.seen.state.hosts.values() if host.name == name)
        return next(made, frozenset())

    def causes(self, machine: str) -> tuple[Key, ...]:
        """Return what may keep a machine, and all that is on it, from running: the nearest first."""
        host = self.host_of(machine)
        planned = self.planned.get(machine)
        network = (("network", f"{planned.libvirt_network}@{host}"),) if planned else ()
        return (("machine", machine), *network, ("machines", host), ("host", host))

    def _state_of(self, name: str) -> MachineState:
        if name not in self.seen.state.machines:
            return "notMade"
        if name not in self.planned:
            return "notPlanned"
        host = self.host(self.host_of(name))
        if isinstance(host, Unseen) or isinstance(host.running, Unseen):
            return "unknown"
        domain = host.running.domains.get(name)
        mark = Mark(self.topology.instance, self.stack, "")
        if domain is None or not mark.owns("domain", name, domain.uuid):
            return "missing"
        return "running" if domain.is_running else "off"


def plan_troubles(fleet: Fleet, versions: Mapping[str, str]) -> Iterator[Trouble]:
    """Yield where the files and what runs have made differ, which the next `up` changes.

    Args:
        fleet: The machines.
        versions: What each cluster's API server says it is, without the v; those that answer.
    """
    up = f"azlocal up {fleet.stack}"
    if not fleet.seen.state.machines:
        yield Trouble(PLAN, "wrong", "not made yet", up, (STATE,), f"instance {fleet.stack}")
        return
    differences = [*_differences(fleet), *_other_versions(fleet, versions)]
    if differences:
        text = f"{counted(len(differences), 'difference')} to what was made: the next run brings them"
        remedy = f"azlocal preview {fleet.stack} shows them; {up}"
        yield Trouble(PLAN, "wrong", text, remedy, (STATE,), "the stack's files")
    yield from differences


def _differences(fleet: Fleet) -> Iterator[Trouble]:
    for network in fleet.topology.networks:
        if network.libvirt_name not in fleet.networks_on(network.host):
            key, subject = _network(network)
            yield Trouble(key, "wrong", "is planned, and not made yet", "", (STATE, PLAN), subject)
    for name, state in fleet.states.items():
        key = ("machine", name)
        if state == "notMade":
            yield Trouble(key, "wrong", "is planned, and not made yet", causes=(STATE, PLAN))
        elif state == "notPlanned":
            yield Trouble(key, "wrong", "was made, and is planned no more", causes=(STATE, PLAN))
        elif fleet.host_of(name) != fleet.planned[name].host:
            text = f"is on {fleet.host_of(name)}, and planned on {fleet.planned[name].host}"
            yield Trouble(("place", name), "wrong", text, causes=(PLAN,), subject=f"machine {name}")


def _other_versions(fleet: Fleet, versions: Mapping[str, str]) -> Iterator[Trouble]:
    for cluster in fleet.topology.clusters:
        runs = versions.get(cluster.name)
        if runs is not None and runs != cluster.final_version:
            text = f"runs Kubernetes {runs}, and {cluster.final_version} is planned"
            yield Trouble(("version", cluster.name), "wrong", text, "", (PLAN,), f"cluster {cluster.name}")
    for name, machine in fleet.planned.items():
        made = fleet.seen.state.machines.get(name)
        if made is not None and made.version and made.version != machine.image:
            text = f"booted the image of {made.version}, and that of {machine.image} is planned"
            yield Trouble(("image", name), "wrong", text, causes=(PLAN,), subject=f"machine {name}")


def host_troubles(fleet: Fleet) -> Iterator[Trouble]:
    """Yield what is the matter with hosts."""
    for name in fleet.hosts:
        seen = fleet.host(name)
        key = ("host", name)
        doctor = f"azlocal doctor {fleet.stack} --host {name}"
        if isinstance(seen, Unseen):
            yield Trouble(key, "unknown", f"can't be looked at: {seen.why}", doctor)
        elif isinstance(seen.running, Unseen):
            if not any(host.name == name for host in fleet.seen.state.hosts.values()):
                continue  # the first `up` prepares it
            level: Level = "wrong" if seen.running.is_refusal else "unknown"
            yield Trouble(key, level, f"its libvirt can't be asked: {seen.running.why}", doctor)
        else:
            yield from _restart(fleet, name, seen)
            yield from _room(name, seen)
        yield from _unseen_machines(fleet, name)


def _restart(fleet: Fleet, name: str, seen: SeenHost) -> Iterator[Trouble]:
    """Say that a host was restarted, where that explains why machines are off."""
    before = next((host.boot_id for host in fleet.seen.state.hosts.values() if host.name == name), "")
    off = [machine for machine, state in fleet.states.items() if state == "off" and fleet.host_of(machine) == name]
    if off and before and seen.boot_id and before != seen.boot_id:
        text = f"was restarted since the last run, and {counted(len(off), 'machine')} stayed off"
        yield Trouble(("host", name), "wrong", text, f"azlocal up {fleet.stack}")


def _room(name: str, seen: SeenHost) -> Iterator[Trouble]:
    size, available = seen.disk_mib, seen.available_disk_mib
    if size is not None and available is not None and available < size * _LEAST_FREE:
        text = f"only {available / 1024:.1f} of {size / 1024:.0f} GiB are free"
        remedy = "free some: with less than a tenth no snapshots are taken, and with nothing machines stop"
        yield Trouble(("disk", name), "warning", text, remedy, subject=f"disk of host {name}")


def _unseen_machines(fleet: Fleet, name: str) -> Iterator[Trouble]:
    unseen = [
        machine for machine, state in fleet.states.items() if state == "unknown" and fleet.host_of(machine) == name
    ]
    if unseen:
        listed = ", ".join(unseen[:_NAMED]) + (f" and {len(unseen) - _NAMED} more" if len(unseen) > _NAMED else "")
        subject = f"{counted(len(unseen), 'machine')} on {name}"
        yield Trouble(("machines", name), "unknown", f"not looked at: {listed}", "", (("host", name),), subject)


def network_troubles(fleet: Fleet) -> Iterator[Trouble]:
    """Yield the networks that were made and aren't up."""
    for network in fleet.topology.networks:
        seen = fleet.host(network.host)
        if isinstance(seen, Unseen) or isinstance(seen.running, Unseen):
            continue
        is_up = seen.running.networks.get(network.libvirt_name)
        if not is_up and network.libvirt_name in fleet.networks_on(network.host):
            text = "is gone" if is_up is None else "is down"
            key, subject = _network(network)
            yield Trouble(key, "wrong", text, f"azlocal up {fleet.stack}", (("host", network.host),), subject)


def _network(network: HostNetwork) -> tuple[Key, str]:
    """Return what a host's network is known by as a cause, and to people."""
    name = network.libvirt_name
    return ("network", f"{name}@{network.host}"), f"network {name} on {network.host}"


def machine_troubles(fleet: Fleet) -> Iterator[Trouble]:
    """Yield the machines that were made and don't run."""
    for name, state in fleet.states.items():
        if state not in ("off", "missing"):
            continue
        causes = (*fleet.causes(name)[1:], STATE)
        up = f"azlocal up {fleet.stack}"
        if state == "off":
            text = f"is {_domain_state(fleet, name)} on {fleet.host_of(name)}"
            yield Trouble(("machine", name), "wrong", text, f"{up} starts it", causes)
        else:
            text = f"is gone from {fleet.host_of(name)}"
            yield Trouble(("machine", name), "wrong", text, f"{up} makes it again", causes)


def _domain_state(fleet: Fleet, name: str) -> str:
    host = fleet.host(fleet.host_of(name))
    if isinstance(host, Unseen) or isinstance(host.running, Unseen):
        return "unknown"
    return host.running.domains[name].state


def host_statuses(fleet: Fleet) -> Iterator[HostStatus]:
    """Yield every host of the plan."""
    placed: dict[str, list[Machine]] = defaultdict(list)
    for machine in fleet.topology.machines:
        placed[machine.host].append(machine)
    types = {host.name: host.machine_type for host in fleet.seen.state.hosts.values()}
    for host in fleet.topology.hosts:
        seen = None if host.is_lost else fleet.host(host.name)
        answer = seen if isinstance(seen, SeenHost) else None
        yield HostStatus(
            name=host.name,
            state="lost" if host.is_lost else _health_of(seen),
            machine_type=types.get(host.name) or None,
            machines=len(placed[host.name]),
            planned_memory_mib=sum(machine.memory_mib for machine in placed[host.name]),
            memory_mib=answer.memory_mib if answer else None,
            available_memory_mib=answer.available_memory_mib if answer else None,
            available_disk_mib=answer.available_disk_mib if answer else None,
        )


def _health_of(seen: Seen[SeenHost] | None) -> HostState:
    if not isinstance(seen, SeenHost):
        return "unknown"
    if isinstance(seen.running, Unseen):
        return "wrong" if seen.running.is_refusal else "unknown"
    return "ok"


def machine_statuses(fleet: Fleet, ready: Mapping[str, bool]) -> Iterator[MachineStatus]:
    """Yield every machine, those of the plan first.

    Args:
        fleet: The machines.
        ready: Whether each node is Ready, as its cluster says.
    """
    for name, state in fleet.states.items():
        planned, made = fleet.planned.get(name), fleet.seen.state.machines.get(name, StateMachine(""))
        yield MachineStatus(
            name=name,
            role=planned.role if planned else made.role,
            cluster=(planned.cluster if planned else made.cluster) or None,
            host=fleet.host_of(name),
            address=str(planned.address.ip) if planned else made.address.partition("/")[0] or None,
            state=state,
            ready=ready.get(name),
            version=made.version or None,
        )


def network_statuses(fleet: Fleet, addresses: AddressPlan) -> Iterator[NetworkStatus]:
    """Yield every network of the plan."""
    for network in addresses.networks:
        carriers = [each for each in fleet.topology.networks if each.network == network.name]
        up = [
            seen.running.networks.get(each.libvirt_name, False)
            for each in carriers
            if isinstance(seen := fleet.host(each.host), SeenHost) and not isinstance(seen.running, Unseen)
        ]
        yield NetworkStatus(
            name=network.name,
            address_prefix=str(network.address_prefix),
            vlan=network.vlan,
            pool_size=network.pool.size,
            pool_free=network.pool.free,
            hosts=len(carriers),
            up=sum(up) if up else None,
        )
