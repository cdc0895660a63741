"""VXLAN meshes and their gateways on this machine's kernel, each host a network namespace."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.kvm import network_hook
from infra.kvm.errors import HostError
from infra.kvm.meshes import (
    Gateway,
    ensure_at_boot,
    ensure_gateway,
    ensure_tunnel,
    has_gateway,
    is_guarded,
    read_tunnel,
    remove_mesh,
)
from infra.kvm.ownership import Mark
from infra.model.network import Tunnel
from infra.ssh import CommandResult, LocalShell

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces"),
]

MARK = Mark("test", "test", "")
OTHERS = Mark("other", "test", "")
MTU = 1450


class Namespace(LocalShell):
    """A network namespace that runs commands."""

    def __init__(self, name: str) -> None:
        self.name = f"azl{os.getpid()}-{name}"

    def run(
        self, argv: Sequence[str], *, input: bytes | None = None, timeout: float = 60, check: bool = True
    ) -> CommandResult:
        inside = ["ip", "netns", "exec", self.name, *argv]
        return super().run(inside, input=input, timeout=timeout, check=check)

    def ip(self, *words: str) -> None:
        self.run(["ip", *words])

    def plug_into(self, other: Namespace, bridge: str, address: str, mtu: int = 1500) -> None:
        """Give it a NIC with an address, and put the NIC's other end on a bridge of another namespace."""
        end = self.name[-15:]
        other.ip("link", "add", end, "type", "veth", "peer", "name", "nic", "netns", self.name)
        other.ip("link", "set", end, "master", bridge, "mtu", str(mtu), "up")
        self.ip("address", "add", address, "dev", "nic")
        self.ip("link", "set", "nic", "mtu", str(mtu), "up")

    def reaches(self, address: str, size: int = 56) -> bool:
        """Return whether a packet of that size comes back; a failed ARP is remembered for seconds."""
        return self._ping(address, size, seconds=5)

    def misses(self, address: str) -> bool:
        """Return whether a packet stays unanswered."""
        return not self._ping(address, size=56, seconds=1)

    def _ping(self, address: str, size: int, seconds: int) -> bool:
        command = ["ping", "-c", "1", "-w", str(seconds), "-M", "do", "-s", str(size), address]
        return self.run(command, check=False).exit_code == 0


@dataclass(frozen=True)
class Lab:
    """Hosts on one switch; `machine` makes what stands for a VM on a host's bridge."""

    hosts: list[Namespace]
    machine: Callable[[Namespace, str, str], Namespace]

    def join(self, network: str = "aks", vni: int = 77, hosts: Sequence[Namespace] = ()) -> None:
        for host in hosts or self.hosts:
            wanted = tunnel(self, host, hosts, vni)
            ensure_tunnel(host, network, MARK, f"azl-{network}", MTU, wanted)

    def underlay(self, host: Namespace) -> str:
        return f"192.0.2.{self.hosts.index(host) + 1}"


def tunnel(lab: Lab, host: Namespace, hosts: Sequence[Namespace] = (), vni: int = 77) -> Tunnel:
    peers = tuple(lab.underlay(one) for one in hosts or lab.hosts if one is not host)
    return Tunnel(vni=vni, local=lab.underlay(host), peers=peers)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with ExitStack() as stack:

        def namespace(name: str) -> Namespace:
            made = Namespace(name)
            subprocess.run(["ip", "netns", "add", made.name], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "del", made.name], check=True)
            made.ip("link", "set", "lo", "up")
            return made

        def machine(host: Namespace, network: str, address: str) -> Namespace:
            made = namespace(f"m{address.rpartition('.')[2]}{network}")
            made.plug_into(host, f"azl-{network}", f"{address}/24", MTU)
            return made

        switch = namespace("switch")
        switch.ip("link", "add", "switch", "type", "bridge")
        switch.ip("link", "set", "switch", "up")
        hosts = [namespace(f"h{number}") for number in (1, 2, 3)]
        for number, host in enumerate(hosts, 1):
            host.plug_into(switch, "switch", f"192.0.2.{number}/24")
            for network in ("aks", "other"):  # as libvirt makes them
                host.ip("link", "add", f"azl-{network}", "type", "bridge")
                host.ip("link", "set", f"azl-{network}", "mtu", str(MTU), "up")
        yield Lab(hosts, machine)


def test_machines_of_a_mesh_reach_each_other_with_whole_packets(lab: Lab) -> None:
    first, second, third = (
        lab.machine(host, "aks", f"10.77.0.{number}") for number, host in enumerate(lab.hosts, 11)
    )
    assert first.misses("10.77.0.12")
    lab.join()
    assert [read_tunnel(host, "aks", MARK) for host in lab.hosts] == [tunnel(lab, host) for host in lab.hosts]
    assert first.reaches("10.77.0.12")
    assert third.reaches("10.77.0.12")
    assert second.reaches("10.77.0.13", MTU - 28), "ICMP and IP headers are 28 bytes"


def test_a_mesh_follows_its_hosts(lab: Lab) -> None:
    first, _, third = lab.hosts
    machine = lab.machine(first, "aks", "10.77.0.11")
    lab.machine(third, "aks", "10.77.0.13")
    lab.join(hosts=lab.hosts[:2])
    assert machine.misses("10.77.0.13")
    lab.join()
    assert machine.reaches("10.77.0.13")
    lab.join(hosts=lab.hosts[:2])
    assert read_tunnel(first, "aks", MARK) == tunnel(lab, first, lab.hosts[:2])
    (device, *_) = first.run(["ip", "-brief", "link", "show", "type", "vxlan"]).stdout.split()
    first.run(["bridge", "fdb", "delete", "00:00:00:00:00:00", "dev", device, "dst", "192.0.2.2"])
    assert read_tunnel(first, "aks", MARK) == Tunnel(vni=77, local="192.0.2.1", peers=()), (
        "what was changed by hand is seen"
    )


@pytest.fixture
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of libvirt's hooks, which these hosts have none of."""
    monkeypatch.setattr(network_hook, "FOLDER", str(tmp_path / "network.d"))
    return tmp_path / "network.d"


def test_what_a_boot_takes_is_put_back_when_libvirt_starts_the_network(lab: Lab, hooks: Path) -> None:
    host, gateway = lab.hosts[0], Gateway("azl-aks", "10.77.0.0/24")
    ensure_at_boot(host, "aks", MARK, "azl-aks", MTU, tunnel(lab, host), gateway)
    (hook,) = hooks.iterdir()
    for called in (["other", "started"], ["aks", "stopped"]):
        host.run([str(hook), *called, "begin", "-"])
        assert read_tunnel(host, "aks", MARK) is None
    for _ in range(2):  # at a boot, and at a start of the network on a host that runs
        host.run([str(hook), "aks", "started", "begin", "-"])
        assert read_tunnel(host, "aks", MARK) == tunnel(lab, host)
        assert is_guarded(host, "aks", MARK)
        assert has_gateway(host, "aks", MARK)
    lab.join(hosts=lab.hosts[1:])
    lab.join(hosts=lab.hosts)
    machine = lab.machine(host, "aks", "10.77.0.11")
    lab.machine(lab.hosts[1], "aks", "10.77.0.12")
    assert machine.reaches("10.77.0.12")
    remove_mesh(host, "aks", MARK)
    assert list(hooks.iterdir()) == []


def test_a_hook_never_keeps_a_network_from_starting(lab: Lab, hooks: Path) -> None:
    host = lab.hosts[0]
    ensure_at_boot(host, "aks", MARK, "no-such-bridge", MTU, tunnel(lab, host), None)
    (hook,) = hooks.iterdir()
    host.run([str(hook), "aks", "started", "begin", "-"])


def test_a_host_that_is_no_peer_gets_no_packet_into_the_mesh(lab: Lab) -> None:
    """It knows the network's number and sends to the right address: without the guard it is on the network."""
    first, second, stranger = lab.hosts
    lab.machine(first, "aks", "10.77.0.11")
    lab.join(hosts=[first, second])
    intruder = lab.machine(stranger, "aks", "10.77.0.13")
    ensure_tunnel(stranger, "aks", MARK, "azl-aks", MTU, Tunnel(vni=77, local="192.0.2.3", peers=("192.0.2.1",)))
    (device, *_) = first.run(["ip", "-brief", "link", "show", "type", "vxlan"]).stdout.split()
    first.run(["bridge", "fdb", "append", "00:00:00:00:00:00", "dev", device, "dst", "192.0.2.3"])
    assert intruder.misses("10.77.0.11")
    assert is_guarded(first, "aks", MARK)
    lab.join()
    assert intruder.reaches("10.77.0.11"), "as a peer it would be let in"


def test_the_guard_leaves_other_tunnels_of_the_host_alone(lab: Lab) -> None:
    """Somebody's own VXLAN on the same port, with another number, from a host that is no peer of ours."""
    first, second, other = lab.hosts
    lab.join(hosts=[first, second])
    for host, remote, address in ((first, "192.0.2.3", "10.99.0.1/24"), (other, "192.0.2.1", "10.99.0.3/24")):
        host.ip("link", "add", "theirs", "type", "vxlan", "id", "99", "dstport", "4789", "remote", remote)
        host.ip("address", "add", address, "dev", "theirs")
        host.ip("link", "set", "theirs", "up")
    assert other.reaches("10.99.0.1")


def test_two_networks_do_not_see_each_other(lab: Lab) -> None:
    gateway, host, _ = lab.hosts
    lab.join()
    lab.join("other", 78)
    gateway.run(["sysctl", "-q", "net.ipv4.ip_forward=1"])
    machines = {
        network: lab.machine(host, network, f"10.{number}.0.11")
        for network, number in (("aks", 77), ("other", 78))
    }
    for network, number in (("aks", 77), ("other", 78)):
        gateway.ip("address", "add", f"10.{number}.0.1/24", "dev", f"azl-{network}")
        machines[network].ip("route", "add", "default", "via", f"10.{number}.0.1")
    assert machines["aks"].reaches("10.78.0.11"), "without rules the gateway routes between them"
    ensure_gateway(gateway, "aks", MARK, Gateway("azl-aks", "10.77.0.0/24"))
    assert machines["aks"].misses("10.78.0.11")
    assert machines["other"].misses("10.77.0.11")
    assert machines["aks"].reaches("10.77.0.1")


def test_the_gateway_lets_machines_out_under_its_own_address_and_those_with_a_route_in(lab: Lab) -> None:
    gateway, host, outside = lab.hosts
    lab.join(hosts=[gateway, host])
    gateway.run(["sysctl", "-q", "net.ipv4.ip_forward=1"])
    gateway.ip("address", "add", "10.77.0.1/24", "dev", "azl-aks")
    machine = lab.machine(host, "aks", "10.77.0.11")
    machine.ip("route", "add", "default", "via", "10.77.0.1")
    assert machine.misses("192.0.2.3"), "nobody outside knows the way back"
    for _ in range(2):
        ensure_gateway(gateway, "aks", MARK, Gateway("azl-aks", "10.77.0.0/24"))
    assert machine.reaches("192.0.2.3")
    outside.ip("route", "add", "10.77.0.0/24", "via", "192.0.2.1")
    assert outside.reaches("10.77.0.11")


def test_what_is_removed_is_gone_and_what_is_another_s_stays(lab: Lab) -> None:
    host = lab.hosts[0]
    lab.join()
    ensure_gateway(host, "aks", MARK, Gateway("azl-aks", "10.77.0.0/24"))
    remove_mesh(host, "aks", OTHERS)
    assert (read_tunnel(host, "aks", MARK), has_gateway(host, "aks", MARK)) == (tunnel(lab, host), True)
    for _ in range(2):
        remove_mesh(host, "aks", MARK)
    assert (read_tunnel(host, "aks", MARK), has_gateway(host, "aks", MARK)) == (None, False)
    assert not is_guarded(host, "aks", MARK)


def test_refused_rules_say_what_is_missing(lab: Lab) -> None:
    with pytest.raises(HostError, match="nft refuses the rules of a mesh"):
        ensure_gateway(lab.hosts[0], "aks", MARK, Gateway("azl-test", "no-prefix/24"))
