"""A healthy site of four hosts, as facts: what tests plant faults in."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeVar

from infra.doctor.checks import Result, Subject, judge_host, judge_site
from infra.doctor.facts import (
    Access,
    BootProbe,
    DnsAnswer,
    EndpointAnswer,
    HostFacts,
    Hypervisor,
    LibvirtObject,
    ObjectKind,
    PeerAnswer,
    Preparation,
    ServedCertificate,
    Unknown,
)
from infra.doctor.packages import ALL
from infra.doctor.wanted import (
    Endpoint,
    Outside,
    WantedHost,
    WantedInstance,
    WantedMachine,
    WantedNetwork,
)
from infra.hosts.facts.network import Address, Firewall, Link, LinkKinds, Network, Route
from infra.hosts.facts.storage import Disk, FileSystem, Storage
from infra.hosts.facts.system import Clock, Distribution, Processor, System
from infra.kvm.ownership import Mark

GIB = 1 << 30
GB = 10**9
MARK = Mark("lab", "lab", "")

T = TypeVar("T")


def known(fact: T | Unknown) -> T:
    """Return a fact that the healthy site's hosts all have."""
    assert not isinstance(fact, Unknown), fact.reason
    return fact


def address(number: int) -> IPv4Address:
    return IPv4Address(f"192.168.1.{10 + number}")


def link(name: str, *addresses: str, **more: Any) -> Link:
    plain = Link(name, speed=10_000, addresses=tuple(Address(one) for one in addresses))
    return replace(plain, **more)


def route(destination: str, device: str) -> Route:
    return Route(IPv4Network(destination), device)


def healthy(number: int) -> HostFacts:
    return HostFacts(
        access=Access("reached", "", "root", True, True, True, address(number), None),
        clock=Clock(0.01, 0.02, True),
        processor=Processor(
            "x86_64", "GenuineIntel", "Intel(R) Xeon(R) Gold 6338", 64, frozenset({"vmx", "ept", "avx2"}), None
        ),
        system=System(
            distribution=Distribution("debian", "Debian GNU/Linux 12 (bookworm)", version="12"),
            kernel="6.1.0-25-amd64",
            manufacturer="Dell Inc.",
            product="AX-760",
            identity=f"boot-{number}/net:[1]",
            memory_bytes=125 * GIB,
            tpm_version=2,
            uefi=True,
            secure_boot=True,
            kvm_device=True,
            loop_control=True,
            cgroup_controllers=frozenset({"cpu", "cpuset", "io", "memory", "pids"}),
            inotify_instances=8192,
            active_units=frozenset(),
        ),
        storage=Storage(
            disks=(
                Disk("sda", 480 * GB, "BOSS", ("/", "/boot/efi")),
                Disk("nvme0n1", 3840 * GB, "SSD", ("/var/lib/azlocal",)),
                Disk("nvme1n1", 3840 * GB, "SSD", ()),
            ),
            file_systems=(
                FileSystem("/", "/dev/sda2", "ext4", 440 * GIB, 400 * GIB),
                FileSystem("/var/lib/azlocal", "/dev/nvme0n1", "xfs", 3500 * GIB, 3400 * GIB),
            ),
            loop_files=(),
        ),
        network=Network(
            links=(
                link("lo", "127.0.0.1/8", mtu=65536, speed=None),
                link("eno1", f"{address(number)}/24"),
                link("eno2"),
            ),
            routes=(route("0.0.0.0/0", "eno1"), route("192.168.1.0/24", "eno1")),
            resolvers=("192.168.1.1",),
        ),
        link_kinds=LinkKinds(bridge=True, vlan=True, vxlan=True),
        firewall=Firewall((), (), bridge_calls_iptables=False, forwards=False),
        packages=frozenset(ALL),
        preparation=Preparation(),
        hypervisor=Hypervisor(
            libvirt=(9, 0, 0),
            qemu=(7, 2, 9),
            host_uuid=f"00000000-0000-0000-0000-00000000000{number}",
            secure_boot=True,
            tpm=True,
            containers=None,
            objects=(),
        ),
        boot_probe=BootProbe(True, "a probe guest booted under kvm"),
        dns=(DnsAnswer(IPv4Address("192.168.1.1"), None, "NOERROR"),),
        endpoints=(EndpointAnswer("mcr.microsoft.com", 443, None),),
        peers=tuple(PeerAnswer(address(one), True, True) for one in range(1, 5) if one != number),
        certificates=(ServedCertificate(f"lab-a-cp-{number}", 3640.0),),
    )


def wanted_host(number: int) -> WantedHost:
    return WantedHost(
        name=f"node{number}",
        connection=f"qemu+ssh://root@{address(number)}/system",
        where=f"hosts/lab.yaml:{number}: hosts[{number - 1}]",
        management_address=address(number),
        underlay_address=address(number),
        uplink="eno2",
        storage_directory="/var/lib/azlocal/lab",
        declared_cpus=64,
        declared_memory_gib=125,
        declared_disk_gib=3000,
        prepare=True,
        networks=(
            WantedNetwork(
                name="aks",
                libvirt_name="lab-aks",
                prefix=IPv4Network("10.220.32.0/24"),
                gateway=IPv4Address("10.220.32.1"),
                mode="bridge",
                bridge="azl-lab-aks",
                vlan=110,
                holds_gateway=False,
                dns_servers=(IPv4Address("10.220.32.5"),),
            ),
        ),
        machines=(
            WantedMachine(f"lab-a-cp-{number}", 4, 8192, 200, IPv4Address("10.220.32.18") + number - 1),
            WantedMachine(f"lab-a-nodepool1-{number}", 4, 8192, 200),
        ),
    )


def wanted(hosts: int = 4) -> WantedInstance:
    return WantedInstance(
        name="lab",
        machine_type="auto",
        hosts=tuple(wanted_host(number) for number in range(1, hosts + 1)),
        lost=(),
        addresses=((IPv4Address("10.220.32.18"), "a-cp-0"), (IPv4Address("192.168.1.20"), "rb-0")),
        reserved=((IPv4Network("10.244.0.0/16"), "pods"), (IPv4Network("10.96.0.0/12"), "services")),
        dns_servers=(IPv4Address("192.168.1.1"),),
        proxy=None,
        outside=Outside((Endpoint("mcr.microsoft.com"),)),
        underlay_mtu=1500,
        plan_problem=None,
    )


def subject(number: int = 1) -> Subject:
    instance = wanted()
    return Subject(healthy(number), instance.hosts[number - 1], instance)


def subjects() -> list[Subject]:
    return [subject(number) for number in range(1, 5)]


def ours(kind: ObjectKind, name: str, **more: Any) -> LibvirtObject:
    return LibvirtObject(kind, name, MARK.uuid(kind, name), True, **more)


def judged(one: Subject) -> dict[str, Result]:
    return {result.check: result for result in judge_host(one)}


def judged_together(several: list[Subject]) -> dict[str, Result]:
    return {result.check: result for result in judge_site(several)}
