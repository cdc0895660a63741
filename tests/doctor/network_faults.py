"""Faults of a host's network, of what it reaches and of what stands there."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from infra.doctor.facts import DnsAnswer, EndpointAnswer, LibvirtObject, PeerAnswer, ServedCertificate
from infra.hosts.facts.storage import FileSystem
from tests.doctor.planting import (
    FOREIGN,
    UNTAGGED,
    Fault,
    both,
    fact,
    facts,
    host,
    instance,
    networks,
    objects,
    routes,
    uplink,
)
from tests.doctor.samples import GIB, known, link, ours, subject

STANDING = (ours("pool", "azlocal-lab"), ours("domain", "lab-a-cp-1", instance="lab"))
LINKS = known(subject().facts.network).links

FAULTS = [
    Fault(
        "certificates of a cluster of 0.1.0, after nine months",
        "certificates",
        "warning",
        "that of lab-a-cp-1 ends in 80 days",
        facts(certificates=(ServedCertificate("lab-a-cp-1", 80.2),)),
    ),
    Fault(
        "certificates that have ended",
        "certificates",
        "warning",
        "that of lab-a-cp-1 has ended",
        facts(certificates=(ServedCertificate("lab-a-cp-1", -3.0),)),
    ),
    Fault(
        "an API server that is away",
        "certificates",
        "warning",
        "lab-a-cp-1 runs, and its API server doesn't answer",
        both(facts(certificates=()), objects(*STANDING)),
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
    Fault(
        "one adapter",
        "nics",
        "warning",
        "eno2",
        fact("network", links=(LINKS[0], *LINKS[2:])),
        ("management-address",),
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
        fact("network", links=(*LINKS, link("eno3", "10.220.32.18/32"))),
    ),
    Fault(
        "host inside the pods' network",
        "reserved-overlap",
        "failed",
        "10.244.7.1/16",
        fact("network", links=(*LINKS, link("eno3", "10.244.7.1/16"))),
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
        "VXLAN is kept out",
        "vxlan-port",
        "warning",
        "inet filter input",
        both(networks(mode="mesh"), fact("firewall", refusing=("inet filter input",))),
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
                *known(subject().facts.storage).file_systems,
                FileSystem("/var/lib/azlocal/ci", "/dev/loop3", "xfs", 9 * GIB, 8 * GIB),
            ),
            loop_files=(("/dev/loop3", "/var/lib/azlocal/ci.xfs"),),
        ),
    ),
    Fault(
        "end of a mesh without a bridge",
        "leftovers",
        "warning",
        "azv-0123456789a",
        fact("network", links=(*LINKS, link("azv-0123456789a", kind="vxlan"))),
    ),
    Fault(
        "a doctor was killed",
        "leftovers",
        "warning",
        "azlocal-doctor-1a2b",
        objects(LibvirtObject("pool", "azlocal-doctor-1a2b", FOREIGN, True)),
    ),
]
