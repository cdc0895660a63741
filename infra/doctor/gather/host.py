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
    Clock,
    DnsAnswer,
    EndpointAnswer,
    Firewall,
    HostFacts,
    Hypervisor,
    LinkKinds,
    Network,
    PeerAnswer,
    Preparation,
    Processor,
    ServedCertificate,
    Storage,
    System,
    Unknown,
    unreached,
)
from infra.doctor.gather import libvirt, names, outbound
from infra.doctor.gather.access import reach
from infra.doctor.gather.commands import COMMAND_SECONDS, Commands, Deadline, Unlearned, learned, within
from infra.doctor.packages import wanted_of_host
from infra.doctor.parse import files, system
from infra.doctor.parse import network as network_parser
from infra.doctor.parse import storage as storage_parser
from infra.doctor.wanted import Endpoint, WantedHost, WantedInstance
from infra.kubernetes.certificates import served_end
from infra.kvm.connection import HostSession, Hypervisors
from infra.kvm.preparation import plan, read_facts
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

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Publish = Callable[[HostFacts], None]
Say = Callable[[str], None]


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
    say: Say,
    cancelled: threading.Event,
) -> None:
    """Ask one host everything.

    Args:
        host: Which, and what it is to carry.
        instance: What it belongs to.
        asked: What to ask.
        publish: Takes the facts, each time there are more of them.
        say: Takes what is being done.
        cancelled: Set when nobody waits for more.
    """
    deadline = Deadline(asked.seconds)
    try:
        shell = shell_for(host.connection)
    except SshError as error:
        publish(unreached(Access("unreachable", str(error)), "the host can't be logged in to"))
        return
    with closing(shell):
        say("logging in")
        access = reach(shell, deadline)
        if access.stage != "reached":
            publish(unreached(access, "the host can't be logged in to"))
            return
        prefix = () if access.is_root else ("sudo", "--non-interactive") if access.can_sudo else None
        inquiry = _Inquiry(host, instance, asked, Commands(shell, deadline, prefix), _expecting(access))
        for what, ask in inquiry.questions():
            if cancelled.is_set():
                return
            say(what)
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
        yield "clock", lambda facts: replace(facts, clock=learned(self._clock))
        yield "processor", lambda facts: replace(facts, processor=learned(self._processor))
        yield "operating system", self._system_and_network
        yield "storage", lambda facts: replace(facts, storage=learned(self._storage))
        yield "packages", lambda facts: replace(facts, packages=learned(self._packages))
        yield "preparation", lambda facts: replace(facts, preparation=learned(self._preparation))
        yield "kinds of interface", lambda facts: replace(facts, link_kinds=learned(self._link_kinds))
        yield "DNS servers", lambda facts: replace(facts, dns=learned(self._dns))
        yield "other hosts", lambda facts: replace(facts, peers=learned(self._peers))
        yield "endpoints", lambda facts: replace(facts, endpoints=learned(self._endpoints))
        yield "API servers", lambda facts: replace(facts, certificates=learned(self._certificates))
        yield "libvirt", self._libvirt

    def _clock(self) -> Clock:
        argv = ("timedatectl", "show", "--property=NTPSynchronized", "--value")
        said = self.commands.output_or("", argv).strip()
        asked = time.time()
        printed = self.commands.output(["date", "+%s.%N"])
        return system.clock(printed, asked, time.time(), {"yes": True, "no": False}.get(said))

    def _processor(self) -> Processor:
        return system.processor(self.commands.output(["lscpu", "--json"]))

    def _system_and_network(self, facts: HostFacts) -> HostFacts:
        uplink = self.host.uplink
        speeds = (network_parser.speed_file(uplink),) if uplink else ()
        read = learned(
            lambda: (self._files((*system.FILES, *network_parser.FILES, *speeds)), self._devices()),
        )
        if isinstance(read, Unknown):
            return replace(facts, system=read, network=read, firewall=read)
        found, devices = read
        return replace(
            facts,
            system=learned(lambda: self._system(found, devices)),
            network=learned(lambda: self._network(found, devices)),
            firewall=learned(lambda: self._firewall(found)),
        )

    def _files(self, paths: tuple[str, ...]) -> files.Files:
        return files.parse(self.commands.output(files.argv(paths), check=False))

    def _devices(self) -> frozenset[str]:
        paths = [system.KVM, system.LOOP_CONTROL, system.EFI]
        if self.host.uplink:
            paths.append(network_parser.wireless_folder(self.host.uplink))
        return frozenset(self.commands.output(["stat", "--format=%n", "--", *paths], check=False).split())

    def _system(self, found: files.Files, devices: frozenset[str]) -> System:
        namespace = self.commands.output_or("", ["readlink", "/proc/self/ns/net"])
        variable = self.commands.output_or(
            "", ["od", "--address-radix=n", "--format=u1", system.SECURE_BOOT], as_root=True
        )
        secure_boot = system.efi_flag(variable) if variable.strip() else None
        return system.system(found, namespace, devices, secure_boot, self._units())

    def _units(self) -> frozenset[str] | None:
        names = [f"{name}.service" for name in _UNITS]
        listed = self.commands.output_or("", ["systemctl", "show", "--property=Id,ActiveState", *names])
        return system.units(listed) if listed.strip() else None

    def _network(self, found: files.Files, devices: frozenset[str]) -> Network:
        addresses = self.commands.output(["ip", "-json", "-details", "address"])
        routes = self.commands.output(["ip", "-json", "-4", "route"])
        return network_parser.network(addresses, routes, found, devices)

    def _firewall(self, found: files.Files) -> Firewall:
        chains = learned(lambda: self.commands.output(["nft", "--json", "list", "chains"], as_root=True))
        if not isinstance(chains, Unknown):
            return network_parser.firewall(chains, "", found)
        rules = self.commands.output(["iptables", "--wait", "5", "--list-rules"], as_root=True)
        return network_parser.firewall(None, rules, found)

    def _storage(self) -> Storage:
        columns = "TARGET,SOURCE,FSTYPE,SIZE,AVAIL"
        return storage_parser.storage(
            self.commands.output(["findmnt", "--json", "--bytes", "--real", "--output", columns]),
            self.commands.output_or(
                "", ["lsblk", "--json", "--bytes", "--output", "NAME,TYPE,SIZE,MODEL,MOUNTPOINTS"]
            ),
            self.commands.output_or(
                "", ["losetup", "--json", "--list", "--output", "NAME,BACK-FILE"], as_root=True
            ),
        )

    def _packages(self) -> frozenset[str]:
        argv = ("dpkg-query", "--show", "--showformat=${Package}\\t${db:Status-Status}\\n", *self.asked.packages)
        return system.packages(self.commands.output(argv, check=False))

    def _preparation(self) -> Preparation:
        access, wanted = self.facts.access, wanted_of_host(self.host, self.instance)
        if not access.acts_as_root:
            raise Unlearned("only root may ask that there, and sudo wants a password")
        self.commands.deadline.left(COMMAND_SECONDS)
        shell, login = self.commands.shell, None if access.is_root else access.user
        try:
            found = plan(read_facts(RootShell(shell) if login else shell, wanted, login), wanted)
        except ShellError as error:
            raise Unlearned(str(error)) from error
        return Preparation(tuple((step.id, step.why) for step in found.steps), found.faults)

    def _link_kinds(self) -> LinkKinds:
        argv = ("unshare", "--net", "ip", "-force", "-json", "-batch", "-")
        batch = "\n".join((*network_parser.PROBE, "")).encode()
        return network_parser.link_kinds(self.commands.output(argv, input=batch, as_root=True, check=False))

    def _dns(self) -> tuple[DnsAnswer, ...]:
        servers = dict.fromkeys(
            (*self.instance.dns_servers, *(one for network in self.host.networks for one in network.dns_servers))
        )
        # libvirt itself answers at the gateway of a NAT network, and only once that stands.
        own = {network.gateway for network in self.host.networks if network.mode != "bridge"}
        asked = [server for server in servers if server not in own]
        name = next((one.name for one in self.asked.endpoints if not one.is_address), _NAME_ASKED)
        return _at_once(lambda server: names.ask(self.commands, server, name), asked)

    def _endpoints(self) -> tuple[EndpointAnswer, ...]:
        if not self.asked.endpoints:
            raise Unlearned(self.instance.outside.reason or "not asked, as --offline says")
        if self.facts.access.forwarding is not None:
            raise Unlearned("endpoints are tried through sshd, which forbids it")
        proxy, authorities = self.instance.proxy, self.instance.outside.authorities
        return _at_once(
            lambda one: outbound.reach_endpoint(self.commands, one, proxy, authorities), self.asked.endpoints
        )

    def _peers(self) -> tuple[PeerAnswer, ...]:
        peers = [one.underlay_address for one in self.instance.hosts if one.name != self.host.name]
        addresses = [address for address in peers if address]
        if not addresses:
            raise Unlearned("the files name no other host's address")
        carries = self._pinged(addresses, self.instance.underlay_mtu - _PING_PAYLOAD)
        answers = carries | self._pinged([one for one in addresses if one not in carries], _SMALL_PING)
        return tuple(PeerAnswer(one, one in answers, one in carries) for one in addresses)

    def _certificates(self) -> tuple[ServedCertificate, ...]:
        """Ask from here, as `up` does: a host needn't reach the machines on its bridges."""
        asked = [one for one in self.host.machines or () if one.api_server is not None]
        if not asked:
            raise Unlearned("no control plane of a cluster is planned there")
        now = datetime.now(UTC)
        ends = _at_once(lambda one: served_end(str(one.api_server)), asked)
        return tuple(
            ServedCertificate(one.name, (end - now) / timedelta(days=1))
            for one, end in zip(asked, ends, strict=True)
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
        seconds = self.commands.deadline.left(_LIBVIRT_SECONDS)
        return within(seconds, lambda: libvirt.hypervisor(session), "libvirt there")


def _at_once(ask: Callable[[Question], Answer], questions: Iterable[Question]) -> tuple[Answer, ...]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(ask, questions))
