"""All questions to one host, in an order that gives the most before the time is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Final, TypeVar

from infra.doctor.facts import (
    Access,
    DnsAnswer,
    EndpointAnswer,
    HostFacts,
    Hypervisor,
    PeerAnswer,
    Preparation,
    ServedCertificate,
    Unknown,
    unreached,
)
from infra.doctor.gather import libvirt, names, outbound
from infra.doctor.gather.access import reach
from infra.doctor.gather.commands import COMMAND_SECONDS, Commands, Unlearned, learned, time_for, within
from infra.doctor.packages import wanted_of_host
from infra.doctor.wanted import Endpoint, WantedHost, WantedInstance
from infra.hosts.facts import Fact, network, storage, system
from infra.hosts.facts.files import Files, contents, existing
from infra.hosts.facts.network import Firewall, Network
from infra.hosts.facts.storage import Storage
from infra.hosts.facts.system import Clock, System
from infra.kubernetes.certificates import served_end
from infra.kvm.connection import HostSession, Hypervisors
from infra.kvm.preparation import plan, read_facts
from infra.model.work import Work
from infra.ssh import RootShell, ShellError, SshError, shell_for

_STAY_REMEDY: Final = "Does the host hang, or did its network go?"
_LIBVIRT_SECONDS: Final = 20.0
"""For libvirt to say what it has; right after its start it asks QEMU what that can, for some seconds."""

_AT_ONCE: Final = 6
"""Connections to the outside tried at the same time; below the shell's own limit of sessions."""

_PING_PAYLOAD: Final = 28  # IPv4 header 20, ICMP header 8: the rest of a packet that ping fills
_SMALL_PING: Final = 56
_PING_AT_ONCE: Final = 15
_NAME_ASKED: Final = "mcr.microsoft.com"

# $0: bytes, $1: address. Prints the address when it answers; 255 makes xargs stop.
_PING: Final = (
    'command -v ping >/dev/null || { echo "ping is not installed there (iputils-ping)" >&2; exit 255; }; '
    'if ping -n -q -c 1 -W 1 -M do -s "$0" "$1" >/dev/null 2>&1; then echo "$1"; fi'
)

_UNITS: Final = ("docker", "firewalld", "ufw")

T = TypeVar("T")
Question = TypeVar("Question")
Answer = TypeVar("Answer")
Publish = Callable[[HostFacts], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What to ask a host beside what it is.

    Attributes:
        packages: Distribution packages to look for.
        endpoints: What it is to reach outside; none: don't ask.
        seconds: The host's time.
        boots: Whether to boot the probe guest.
    """

    packages: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    seconds: float
    boots: bool


def gather(
    host: WantedHost,
    instance: WantedInstance,
    asked: Asked,
    publish: Publish,
    work: Work,
) -> None:
    """Ask one host everything.

    Args:
        host: Which, and what it is to carry.
        instance: What it belongs to.
        asked: What to ask.
        publish: Takes the facts, each time there are more of them.
        work: Takes what is being done; cancelled when nobody waits for more.
    """
    work = work.within(asked.seconds)
    try:
        shell = shell_for(host.connection)
    except SshError as error:
        publish(unreached(Access("unreachable", str(error)), "the host can't be logged in to"))
        return
    with closing(shell):
        work.status("logging in")
        access = reach(shell, work)
        if access.stage != "reached":
            publish(unreached(access, "the host can't be logged in to"))
            return
        prefix = () if access.is_root else ("sudo", "--non-interactive") if access.can_sudo else None
        inquiry = _Inquiry(host, instance, asked, Commands(shell, work, prefix), _expecting(access))
        for what, ask in inquiry.questions():
            if work.cancelled.is_set():
                return
            work.status(what)
            inquiry.facts = ask(inquiry.facts)
            lost = inquiry.commands.lost
            if lost is not None:
                gone = replace(access, stage="unreachable", message=f"{lost}. {_STAY_REMEDY}")
                publish(replace(inquiry.facts, access=gone))
                return
            publish(inquiry.facts)


def _expecting(access: Access) -> HostFacts:
    """Return the facts before anything was asked. libvirt has no time limits: it is what a host hangs in."""
    late = Unknown("libvirt there didn't answer in time")
    return HostFacts(access, hypervisor=late, boot_probe=late)


@dataclass
class _Inquiry:
    """The questions to one host."""

    host: WantedHost
    instance: WantedInstance
    asked: Asked
    commands: Commands
    facts: HostFacts

    def questions(self) -> Iterable[tuple[str, Callable[[HostFacts], HostFacts]]]:
        packages = system.packages(self.asked.packages)
        yield "clock", lambda facts: replace(facts, clock=learned(self._clock))
        yield "processor", lambda facts: replace(facts, processor=self._learned(system.PROCESSOR))
        yield "operating system", self._system_and_network
        yield "storage", lambda facts: replace(facts, storage=learned(self._storage))
        yield "packages", lambda facts: replace(facts, packages=self._learned(packages))
        yield "preparation", lambda facts: replace(facts, preparation=learned(self._preparation))
        yield "kinds of interface", lambda facts: replace(facts, link_kinds=self._learned(network.LINK_KINDS))
        yield "DNS servers", lambda facts: replace(facts, dns=learned(self._dns))
        yield "other hosts", lambda facts: replace(facts, peers=learned(self._peers))
        yield "endpoints", lambda facts: replace(facts, endpoints=learned(self._endpoints))
        yield "API servers", lambda facts: replace(facts, certificates=learned(self._certificates))
        yield "libvirt", self._libvirt

    def _learned(self, fact: Fact[T]) -> T | Unknown:
        return learned(lambda: self.commands.learn(fact))

    def _clock(self) -> Clock:
        synchronised = self.commands.learn_or(None, system.SYNCHRONISED)
        before = time.time()
        there = self.commands.learn(system.TIME)
        after = time.time()
        return Clock(there - (before + after) / 2, (after - before) / 2, synchronised)

    def _system_and_network(self, facts: HostFacts) -> HostFacts:
        uplink = self.host.uplink
        names = (*system.FILES, *network.FILES, *([network.speed_file(uplink)] if uplink else ()))
        paths = (*system.PATHS, *([network.wireless_folder(uplink)] if uplink else ()))
        read = learned(lambda: (self.commands.learn(contents(names)), self.commands.learn(existing(paths))))
        if isinstance(read, Unknown):
            return replace(facts, system=read, network=read, firewall=read)
        files, there = read
        return replace(
            facts,
            system=learned(lambda: self._system(files, there)),
            network=learned(lambda: self._network(files, there)),
            firewall=learned(lambda: self._firewall(files)),
        )

    def _system(self, files: Files, there: frozenset[str]) -> System:
        namespace = self.commands.learn_or("", system.NETWORK_NAMESPACE)
        secure_boot = self.commands.learn_or(None, system.SECURE_BOOT)
        units = self.commands.learn_or(None, system.active_units(_UNITS))
        return system.parse_system(files, namespace, there, secure_boot, units)

    def _network(self, files: Files, there: frozenset[str]) -> Network:
        links = network.with_hardware(self.commands.learn(network.LINKS).values(), files, there)
        return Network(tuple(links), self.commands.learn(network.ROUTES), network.resolvers(files))

    def _firewall(self, files: Files) -> Firewall:
        chains = learned(lambda: self.commands.learn(network.CHAINS))
        if isinstance(chains, Unknown):
            chains = self.commands.learn(network.IPTABLES)
        return network.firewall(chains, files)

    def _storage(self) -> Storage:
        file_systems = self.commands.learn(storage.FILE_SYSTEMS)
        disks = self.commands.learn_or((), storage.DISKS)
        return Storage(disks, file_systems, self.commands.learn_or((), storage.LOOP_FILES))

    def _preparation(self) -> Preparation:
        access, wanted = self.facts.access, wanted_of_host(self.host, self.instance)
        if not access.acts_as_root:
            raise Unlearned("only root may ask that there, and sudo wants a password")
        time_for(self.commands.work, COMMAND_SECONDS)
        shell, login = self.commands.shell, None if access.is_root else access.user
        try:
            planned = plan(read_facts(RootShell(shell) if login else shell, wanted, login), wanted)
        except ShellError as error:
            raise Unlearned(str(error)) from error
        return Preparation(tuple((step.id, step.why) for step in planned.steps), planned.faults)

    def _dns(self) -> tuple[DnsAnswer, ...]:
        servers = dict.fromkeys(
            (
                *self.instance.dns_servers,
                *(server for network in self.host.networks for server in network.dns_servers),
            )
        )
        # libvirt itself answers at the gateway of a NAT network, and only once that stands.
        own = {network.gateway for network in self.host.networks if network.mode != "bridge"}
        foreign = [server for server in servers if server not in own]
        name = next((endpoint.name for endpoint in self.asked.endpoints if not endpoint.is_address), _NAME_ASKED)
        return _at_once(lambda server: names.ask(self.commands, server, name), foreign)

    def _endpoints(self) -> tuple[EndpointAnswer, ...]:
        if not self.asked.endpoints:
            raise Unlearned(self.instance.outside.reason or "not asked, as --offline says")
        if self.facts.access.forwarding is not None:
            raise Unlearned("endpoints are tried through sshd, which forbids it")
        proxy, authorities = self.instance.proxy, self.instance.outside.authorities
        return _at_once(
            lambda endpoint: outbound.reach_endpoint(self.commands, endpoint, proxy, authorities),
            self.asked.endpoints,
        )

    def _peers(self) -> tuple[PeerAnswer, ...]:
        peers = [host.underlay_address for host in self.instance.hosts if host.name != self.host.name]
        addresses = [address for address in peers if address]
        if not addresses:
            raise Unlearned("the files name no other host's address")
        carries = self._pinged(addresses, self.instance.underlay_mtu - _PING_PAYLOAD)
        answers = carries | self._pinged([address for address in addresses if address not in carries], _SMALL_PING)
        return tuple(PeerAnswer(address, address in answers, address in carries) for address in addresses)

    def _certificates(self) -> tuple[ServedCertificate, ...]:
        """Ask from here, as `up` does: a host needn't reach the machines on its bridges."""
        control_planes = [machine for machine in self.host.machines or () if machine.api_server is not None]
        if not control_planes:
            raise Unlearned("no control plane of a cluster is planned there")
        now = datetime.now(UTC)
        ends = _at_once(lambda machine: served_end(str(machine.api_server)), control_planes)
        return tuple(
            ServedCertificate(machine.name, (end - now) / timedelta(days=1))
            for machine, end in zip(control_planes, ends, strict=True)
            if end is not None
        )

    def _pinged(self, addresses: list[IPv4Address], payload: int) -> set[IPv4Address]:
        if not addresses:
            return set()
        argv = ("xargs", f"--max-procs={_PING_AT_ONCE}", "--max-args=1", "sh", "-c", _PING, str(payload))
        printed = self.commands.output(argv, input="\n".join(map(str, addresses)).encode())
        return {IPv4Address(line) for line in printed.split()}

    def _libvirt(self, facts: HostFacts) -> HostFacts:
        connection = self.host.connection
        session = HostSession(connection, self.commands.shell, threading.Lock(), Hypervisors(connection))
        hypervisor = learned(lambda: self._hypervisor(session))
        if isinstance(hypervisor, Unknown):
            return replace(facts, hypervisor=hypervisor, boot_probe=Unknown("libvirt doesn't answer"))
        if not self.asked.boots:
            reason = Unknown("the stack's machines don't run under KVM (azlocal:machineType)")
            return replace(facts, hypervisor=hypervisor, boot_probe=reason)
        return replace(facts, hypervisor=hypervisor, boot_probe=libvirt.boot_probe(session))

    def _hypervisor(self, session: HostSession) -> Hypervisor:
        seconds = time_for(self.commands.work, _LIBVIRT_SECONDS)
        return within(seconds, lambda: libvirt.hypervisor(session), "libvirt there")


def _at_once(ask: Callable[[Question], Answer], questions: Iterable[Question]) -> tuple[Answer, ...]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(ask, questions))
