"""Each fault planted alone in a healthy host is found by its check, with a remedy, and by nothing unrelated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from infra.doctor.checks import HOST_CHECKS, SITE_CHECKS, Subject
from infra.doctor.checks.base import Status
from infra.doctor.facts import (
    Access,
    AccessStage,
    BootProbe,
    DnsAnswer,
    EndpointAnswer,
    FileSystem,
    LibvirtObject,
    PeerAnswer,
    Unknown,
    unreached,
)
from infra.doctor.wanted import WantedMachine
from tests.doctor.samples import GIB, judged, judged_together, link, ours, route, subject, subjects

Plant = Callable[[Subject], Subject]


@dataclass(frozen=True)
class Fault:
    name: str
    check: str
    status: Status
    seen: str
    plant: Plant
    also: tuple[str, ...] = ()


def fact(group: str, **changes: Any) -> Plant:
    """Plant a change in one group of facts."""

    def plant(one: Subject) -> Subject:
        changed = replace(getattr(one.facts, group), **changes)
        return replace(one, facts=replace(one.facts, **{group: changed}))

    return plant


def facts(**changes: Any) -> Plant:
    return lambda one: replace(one, facts=replace(one.facts, **changes))


def host(**changes: Any) -> Plant:
    return lambda one: replace(one, host=replace(one.host, **changes))


def instance(**changes: Any) -> Plant:
    return lambda one: replace(one, instance=replace(one.instance, **changes))


def both(*plants: Plant) -> Plant:
    def plant(one: Subject) -> Subject:
        for each in plants:
            one = each(one)
        return one

    return plant


def uplink(**changes: Any) -> Plant:
    links = subject().facts.network.links
    return fact("network", links=(*links[:2], replace(links[2], **changes)))


def networks(**changes: Any) -> Plant:
    return host(networks=(replace(subject().host.networks[0], **changes),))


def routes(*more: tuple[str, str]) -> Plant:
    return fact("network", routes=tuple(route(*one) for one in (("0.0.0.0/0", "eno1"), *more)))


def objects(*found: LibvirtObject) -> Plant:
    return fact("hypervisor", objects=found)


def refused(stage: AccessStage, message: str) -> Plant:
    return lambda one: replace(one, facts=unreached(Access(stage, message), "no login"))


UNTAGGED = networks(vlan=0, name="infrastructure", bridge="azl-lab-inf")
NO_KVM = facts(boot_probe=BootProbe(False, "libvirt lists kvm, but a probe guest never booted"))
FOREIGN = "11111111-2222-3333-4444-555555555555"
EVERYTHING = tuple(one.id for one in HOST_CHECKS)

FAULTS = [
    Fault(
        "host is off",
        "reachable",
        "failed",
        "no connection",
        refused("unreachable", "root@192.0.2.1: no connection to 192.0.2.1 port 22: timed out. Is the host on?"),
        EVERYTHING,
    ),
    Fault(
        "host key unknown",
        "host-key",
        "failed",
        "in none of",
        refused("hostKeyUnknown", "node1: its host key is in none of ~/.ssh/known_hosts. Accept it once"),
        EVERYTHING,
    ),
    Fault(
        "host key changed",
        "host-key",
        "failed",
        "but known_hosts has",
        refused("hostKeyChanged", "node1: its host key is A, but known_hosts has B. Compare them"),
        EVERYTHING,
    ),
    Fault(
        "login refused",
        "login",
        "failed",
        "may not log in",
        refused("loginRefused", "node1: root may not log in. Install your key: `ssh-copy-id`"),
        EVERYTHING,
    ),
    Fault(
        "sudo wants a password",
        "root",
        "failed",
        "ann isn't root",
        fact("access", user="ann", is_root=False, can_sudo=False),
    ),
    Fault(
        "sshd forwards nothing",
        "ssh-forwarding",
        "failed",
        "forbids",
        fact("access", forwarding="sshd there forbids it"),
    ),
    Fault(
        "old Debian", "distribution", "failed", "Debian 11", fact("system", version="11", pretty_name="Debian 11")
    ),
    Fault(
        "old Ubuntu",
        "distribution",
        "failed",
        "20.04",
        fact("system", distribution="ubuntu", version="20.04", pretty_name="Ubuntu 20.04"),
    ),
    Fault(
        "other distribution",
        "distribution",
        "failed",
        "Fedora",
        fact("system", distribution="fedora", version="42", pretty_name="Fedora 42"),
    ),
    Fault(
        "Debian testing",
        "distribution",
        "warning",
        "no version",
        fact("system", version=None, pretty_name="Debian trixie/sid"),
    ),
    Fault("other architecture", "architecture", "failed", "aarch64", fact("processor", architecture="aarch64")),
    Fault(
        "package missing",
        "packages",
        "failed",
        "netcat-openbsd",
        facts(packages=subject().facts.packages - {"netcat-openbsd"}),
    ),
    Fault("clock far off", "clock", "failed", "400 s behind", fact("clock", offset=-400.0)),
    Fault("clock a little off", "clock", "warning", "12.0 s ahead", fact("clock", offset=12.0)),
    Fault("no NTP", "time-sync", "warning", "isn't synchronised", fact("clock", synchronised=False)),
    Fault(
        "libvirt is down",
        "libvirt",
        "failed",
        "doesn't answer",
        facts(hypervisor=Unknown("libvirt doesn't answer: No such file or directory"), boot_probe=Unknown("no")),
    ),
    Fault("old libvirt", "libvirt", "failed", "7.0.0", fact("hypervisor", libvirt=(7, 0, 0))),
    Fault("no QEMU", "qemu", "failed", "no QEMU", fact("hypervisor", qemu=None)),
    Fault("old QEMU", "qemu", "failed", "5.2.0", fact("hypervisor", qemu=(5, 2, 0))),
    Fault(
        "virtualisation off",
        "cpu-virtualisation",
        "warning",
        "neither VT-x",
        fact("processor", flags=frozenset({"avx2"})),
    ),
    Fault("no SLAT", "cpu-virtualisation", "warning", "second-level", fact("processor", flags=frozenset({"vmx"}))),
    Fault("no /dev/kvm", "kvm-device", "warning", "no /dev/kvm", fact("system", kvm_device=False)),
    Fault("KVM hangs", "kvm-boots", "warning", "containers instead", NO_KVM),
    Fault(
        "KVM hangs and VMs are wanted",
        "kvm-boots",
        "failed",
        "never booted",
        both(NO_KVM, instance(machine_type="vm")),
    ),
    Fault("host is a VM", "bare-metal", "warning", "KVM", fact("processor", hypervisor="KVM")),
    Fault("no OVMF", "guest-secure-boot", "warning", "OVMF", fact("hypervisor", secure_boot=False)),
    Fault("no swtpm", "guest-tpm", "warning", "swtpm", fact("hypervisor", tpm=False)),
    Fault(
        "no LXC where KVM hangs",
        "containers",
        "failed",
        "lists no",
        both(NO_KVM, fact("hypervisor", containers="libvirt's LXC lists no containers")),
        ("kvm-boots",),
    ),
    Fault(
        "no memory controller",
        "cgroups",
        "failed",
        "memory",
        both(NO_KVM, fact("system", cgroup_controllers=frozenset({"cpu", "cpuset", "io", "pids"}))),
        ("kvm-boots",),
    ),
    Fault(
        "no loop devices",
        "loop-devices",
        "failed",
        "loop-control",
        both(NO_KVM, fact("system", loop_control=False)),
        ("kvm-boots",),
    ),
    Fault(
        "few inotify instances",
        "inotify",
        "warning",
        "128",
        both(NO_KVM, fact("system", inotify_instances=128), fact("access", is_root=False, can_sudo=False)),
        ("kvm-boots", "root"),
    ),
    Fault(
        "little memory",
        "memory",
        "warning",
        "16 GiB",
        fact("system", memory_bytes=16 * GIB),
        ("memory-for-plan", "declared"),
    ),
    Fault(
        "plan too big",
        "memory-for-plan",
        "failed",
        "128 GiB for 2 machines",
        host(machines=(WantedMachine("lab-a", 4, 65536, 10), WantedMachine("lab-b", 4, 65536, 10))),
    ),
    Fault(
        "plan leaves no reserve",
        "memory-for-plan",
        "warning",
        "of 125 GiB",
        host(machines=(WantedMachine("lab-a", 4, 120 * 1024, 10),)),
    ),
    Fault("hosts file says too much", "declared", "failed", "memoryGiB: 256", host(declared_memory_gib=256)),
    Fault(
        "small boot drive",
        "boot-drive",
        "warning",
        "sda",
        fact(
            "storage",
            disks=(
                replace(subject().facts.storage.disks[0], size=64 * GIB),
                *subject().facts.storage.disks[1:],
            ),
        ),
    ),
    Fault(
        "no data drives",
        "data-drives",
        "warning",
        "none",
        fact("storage", disks=subject().facts.storage.disks[:1]),
    ),
    Fault("no TPM", "tpm", "warning", "no TPM", fact("system", tpm_version=None)),
    Fault("TPM 1.2", "tpm", "warning", "TPM 1", fact("system", tpm_version=1)),
    Fault("Secure Boot off", "secure-boot", "warning", "off", fact("system", secure_boot=False)),
    Fault("BIOS", "secure-boot", "warning", "BIOS", fact("system", uefi=False, secure_boot=None)),
    Fault(
        "disk full",
        "free-disk",
        "failed",
        "3.0 GiB free",
        fact("storage", file_systems=(FileSystem("/", "/dev/sda2", "ext4", 3500 * GIB, 3 * GIB),)),
    ),
    Fault(
        "disks may outgrow it",
        "free-disk",
        "warning",
        "may grow to 400 GiB",
        fact("storage", file_systems=(FileSystem("/", "/dev/sda2", "ext4", 3500 * GIB, 100 * GIB),)),
    ),
    Fault(
        "other management address",
        "management-address",
        "failed",
        "no interface has 192.168.1.99",
        host(management_address=IPv4Address("192.168.1.99")),
    ),
    Fault(
        "no such uplink", "uplink", "failed", "no interface enp9s0; there are eno1, eno2", host(uplink="enp9s0")
    ),
    Fault("uplink is Wi-Fi", "uplink", "failed", "Wi-Fi", uplink(is_wireless=True)),
    Fault("uplink is down", "uplink", "failed", "switched off", uplink(is_up=False)),
    Fault("uplink without carrier", "uplink-carrier", "failed", "eno2", uplink(has_carrier=False)),
    Fault("slow uplink", "uplink-speed", "warning", "100 Mbit/s", uplink(speed=100)),
    Fault(
        "uplink is the host's own connection",
        "own-connection",
        "warning",
        "this SSH connection",
        both(UNTAGGED, host(uplink="eno1")),
    ),
    Fault(
        "uplink is another bridge's port",
        "own-connection",
        "failed",
        "port of br0",
        both(UNTAGGED, uplink(master="br0")),
    ),
    Fault("no bridges", "bridges", "failed", "bridge", fact("link_kinds", bridge=False)),
    Fault("no VLANs", "vlans", "failed", "VLAN 110", fact("link_kinds", vlan=False)),
    Fault("no VXLAN", "vxlan", "failed", "vxlan", fact("link_kinds", vxlan=False)),
    Fault("small uplink MTU", "mtu", "failed", "1400", uplink(mtu=1400)),
    Fault(
        "underlay smaller than planned",
        "mtu",
        "failed",
        "underlayMtu is 1600",
        lambda one: both(
            instance(hosts=(replace(one.host, networks=(replace(one.host.networks[0], mode="mesh"),)),)),
            networks(mode="mesh"),
            instance(underlay_mtu=1600),
        )(one),
        (),
    ),
    Fault(
        "route inside a NAT network",
        "route-overlap",
        "failed",
        "10.220.32.0/25 on eno1",
        both(networks(mode="nat", holds_gateway=True), routes(("10.220.32.0/25", "eno1"))),
    ),
    Fault(
        "host reaches that network elsewhere",
        "route-overlap",
        "warning",
        "10.220.0.0/16",
        routes(("10.220.0.0/16", "eno1")),
    ),
    Fault(
        "planned address is the host's",
        "address-overlap",
        "failed",
        "10.220.32.18 of a-cp-0",
        fact("network", links=(*subject().facts.network.links, link("eno3", "10.220.32.18/32"))),
    ),
    Fault(
        "host inside the pods' network",
        "reserved-overlap",
        "failed",
        "10.244.7.1/16",
        fact("network", links=(*subject().facts.network.links, link("eno3", "10.244.7.1/16"))),
    ),
    Fault(
        "another host silent",
        "peers",
        "warning",
        "192.168.1.12",
        facts(peers=(PeerAnswer(IPv4Address("192.168.1.12"), False, False),)),
    ),
    Fault(
        "small packets only",
        "peers",
        "warning",
        "1500 bytes don't reach",
        facts(peers=(PeerAnswer(IPv4Address("192.168.1.12"), True, False),)),
    ),
    Fault(
        "DNS silent",
        "dns",
        "failed",
        "192.168.1.1: no answer",
        facts(dns=(DnsAnswer(IPv4Address("192.168.1.1"), "no answer", None),)),
    ),
    Fault(
        "a network's DNS silent",
        "dns",
        "warning",
        "10.220.32.5",
        facts(dns=(DnsAnswer(IPv4Address("10.220.32.5"), "no answer", None),)),
    ),
    Fault(
        "DNS resolves nothing",
        "dns",
        "warning",
        "SERVFAIL",
        facts(dns=(DnsAnswer(IPv4Address("192.168.1.1"), None, "SERVFAIL"),)),
    ),
    Fault("host asks another DNS", "resolvers", "warning", "8.8.8.8", fact("network", resolvers=("8.8.8.8",))),
    Fault(
        "endpoint lost",
        "endpoints",
        "warning",
        "1 of 1",
        facts(endpoints=(EndpointAnswer("mcr.microsoft.com", 443, "Connection refused"),)),
    ),
    Fault(
        "TLS looked into",
        "endpoints",
        "warning",
        "somebody else's",
        facts(endpoints=(EndpointAnswer("mcr.microsoft.com", 443, "self-signed certificate", untrusted=True),)),
    ),
    Fault(
        "Docker drops bridged frames",
        "firewall",
        "failed",
        "br_netfilter",
        both(
            fact("firewall", dropping=("ip filter FORWARD",), bridge_calls_iptables=True),
            fact("system", active_units=frozenset({"docker"})),
        ),
    ),
    Fault(
        "Docker drops forwarded packets",
        "firewall",
        "warning",
        "docker runs there",
        both(
            networks(mode="nat", holds_gateway=True),
            fact("firewall", dropping=("ip filter FORWARD",)),
            fact("system", active_units=frozenset({"docker"})),
        ),
    ),
    Fault(
        "bridge table drops",
        "firewall",
        "failed",
        "bridge filter FORWARD",
        fact("firewall", dropping=("bridge filter FORWARD",)),
    ),
    Fault(
        "a name is taken",
        "names",
        "failed",
        "domain lab-a-cp-1",
        objects(LibvirtObject("domain", "lab-a-cp-1", FOREIGN, True)),
    ),
    Fault(
        "machine without its pool",
        "leftovers",
        "warning",
        "whose storage pool is gone",
        objects(LibvirtObject("domain", "ci-a-cp-0", FOREIGN, False, instance="ci")),
    ),
    Fault(
        "machine that the plan doesn't have",
        "leftovers",
        "warning",
        "lab-b-cp-0",
        objects(ours("pool", "azlocal-lab"), ours("domain", "lab-b-cp-0", instance="lab")),
    ),
    Fault(
        "network without the pool", "leftovers", "warning", "network lab-aks", objects(ours("network", "lab-aks"))
    ),
    Fault(
        "store without a pool",
        "leftovers",
        "warning",
        "/var/lib/azlocal/ci.xfs",
        fact(
            "storage",
            file_systems=(
                *subject().facts.storage.file_systems,
                FileSystem("/var/lib/azlocal/ci", "/dev/loop3", "xfs", 9 * GIB, 8 * GIB),
            ),
            loop_files=(("/dev/loop3", "/var/lib/azlocal/ci.xfs"),),
        ),
    ),
    Fault(
        "a doctor was killed",
        "leftovers",
        "warning",
        "azlocal-doctor-1a2b",
        objects(LibvirtObject("pool", "azlocal-doctor-1a2b", FOREIGN, True)),
    ),
]


SITE_FAULTS = [
    Fault(
        "one machine under two names",
        "distinct-hosts",
        "failed",
        "node1 = node2",
        fact("system", identity="boot-1/net:[1]"),
    ),
    Fault(
        "another processor", "same-cpu", "warning", "EPYC", fact("processor", vendor="AuthenticAMD", model="EPYC")
    ),
    Fault(
        "a feature switched off",
        "same-cpu-features",
        "warning",
        "avx2",
        fact("processor", flags=frozenset({"vmx", "ept"})),
    ),
    Fault("another model", "same-model", "warning", "PowerEdge", fact("system", product="PowerEdge R650")),
    Fault("another QEMU", "same-versions", "warning", "8.2.2", fact("hypervisor", qemu=(8, 2, 2))),
    Fault(
        "one host UUID",
        "host-uuid",
        "warning",
        "node1 = node2",
        fact("hypervisor", host_uuid="00000000-0000-0000-0000-000000000001"),
    ),
    Fault("slower uplink", "same-uplink-speed", "warning", "1,000 Mbit/s", uplink(speed=1000)),
    Fault("clocks apart", "clocks", "warning", "90.0 s", fact("clock", offset=-90.0)),
]


def test_a_healthy_site_has_no_faults() -> None:
    for one in subjects():
        assert {result.check: result.seen for result in judged(one).values() if result.status == "warning"} == {}
        assert {result.check: result.seen for result in judged(one).values() if result.status == "failed"} == {}
    assert {result.status for result in judged_together(subjects()).values()} == {"ok"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_of_a_host(fault: Fault) -> None:
    found = judged(fault.plant(subject()))
    assert found[fault.check].status == fault.status, found[fault.check]
    assert fault.seen in found[fault.check].seen
    assert found[fault.check].remedy
    others = {one.check for one in found.values() if one.status in ("failed", "warning")} - {fault.check}
    assert others <= set(fault.also), others


@pytest.mark.parametrize("fault", SITE_FAULTS, ids=lambda fault: fault.name)
def test_fault_among_hosts(fault: Fault) -> None:
    several = subjects()
    several[1] = fault.plant(several[1])
    found = judged_together(several)
    assert (found[fault.check].status, fault.seen in found[fault.check].seen) == (fault.status, True), found
    assert found[fault.check].remedy
    assert [one.check for one in found.values() if one.status != "ok"] == [fault.check]


def test_every_check_has_a_fault() -> None:
    planted = {fault.check for fault in (*FAULTS, *SITE_FAULTS)}
    without = {one.id for one in (*HOST_CHECKS, *SITE_CHECKS)} - planted
    assert without == {"forwarding"}  # says how it stands; libvirt switches it on by itself


def test_what_is_not_known_is_skipped_with_its_reason() -> None:
    silent = refused("unreachable", "node1: no connection. Is it on?")(subject())
    found = judged(silent)
    assert {one.check for one in found.values() if one.status != "skipped"} == {"reachable"}
    assert found["libvirt"].seen == "no login"
    assert found["reachable"].remedy == "Is it on?"
    assert all(one.seen for one in found.values())


def test_a_network_of_our_own_is_no_overlap() -> None:
    bridge = link("azl-lab-aks", "10.220.32.1/24", kind="bridge")
    standing = both(
        networks(mode="nat", holds_gateway=True),
        fact("network", links=(*subject().facts.network.links, bridge)),
        routes(("10.220.32.0/24", "azl-lab-aks")),
    )
    assert judged(standing(subject()))["route-overlap"].status == "ok"


def test_the_hosts_own_network_is_no_overlap() -> None:
    untagged = both(UNTAGGED, networks(vlan=5, prefix=IPv4Network("192.168.1.0/24")))
    assert judged(untagged(subject()))["route-overlap"].status == "ok"


def test_what_stands_of_ours_is_no_leftover() -> None:
    found = judged(
        objects(
            ours("pool", "azlocal-lab", place="/var/lib/azlocal/lab/volumes"),
            ours("network", "lab-aks"),
            ours("domain", "lab-a-cp-1", instance="lab"),
            LibvirtObject("pool", "azlocal-ci", FOREIGN, True),
            LibvirtObject("domain", "somebody-elses", FOREIGN, True),
        )(subject())
    )
    assert found["leftovers"].status == found["names"].status == "ok"
    assert found["leftovers"].seen == "lab stands there with 1 machines; ci stands there too"


def test_containers_need_nothing_where_guests_boot() -> None:
    found = judged(fact("hypervisor", containers="libvirt's LXC lists none")(subject()))
    assert found["containers"].status == "ok"
    assert found["cgroups"].status == "skipped"


def test_a_mesh_with_room_for_whole_packets() -> None:
    def mesh(one: Subject, mtu: int) -> Subject:
        carried = replace(one.host, networks=(replace(one.host.networks[0], mode="mesh"),))
        links = tuple(replace(each, mtu=mtu) for each in one.facts.network.links)
        return Subject(
            replace(one.facts, network=replace(one.facts.network, links=links)),
            carried,
            replace(one.instance, hosts=(carried,), underlay_mtu=mtu),
        )

    assert judged(mesh(subject(), 1550))["mtu"].seen == "eno1 carries 1550, machines get 1500"
    small = judged(mesh(subject(), 1500))["mtu"]
    assert (small.status, "underlayMtu: 1550" in small.remedy) == ("warning", True)


def test_one_host_is_alike_with_itself() -> None:
    found = judged_together([subject()])
    assert {one.status for one in found.values()} == {"ok", "skipped"}
