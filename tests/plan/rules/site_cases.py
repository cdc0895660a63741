"""Instances that break a rule about who has an address: nobody, somebody, another stack of the site."""

from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from infra.plan.addresses.lock import Given, Lock
from infra.spec.neighbours import Neighbour, SharedHost
from tests.instances import cluster, host, infrastructure, network
from tests.plan.rules.rule_cases import ONE, PROFILE, balancer, infra_pool, pods, vip

OTHER_STACK = Lock(given={int(IPv4Address("10.220.32.18")): Given("lab-a/b-cp-0", "controlPlaneNode")})
# sha256 of both names begins with the same three bytes, which a MAC address is drawn from
TWINS = ("lab-a-cp-0", "ci-c4308206-cp-0")
TWIN = Lock(given={int(IPv4Address("10.220.32.18")): Given("ci/c4308206-cp-0", "controlPlaneNode")})
SHARED = [SharedHost("t", "node1", ("infrastructure", "aks"), {"lab-a-b-cp-0": "lab-a"})]
PUBLIC = network("11.0.0.10", "11.0.0.20", addressPrefix="11.0.0.0/24", gateway="11.0.0.1")
SOCKET = {"name": "node1", "connection": "qemu:///system"}
LOOPBACK = network("127.0.0.10", "127.0.0.20", addressPrefix="127.0.0.0/24", gateway="127.0.0.1")
OWN = Lock(given={int(IPv4Address("10.220.32.18")): Given("lab/a-b-cp-0", "controlPlaneNode")})
DOCUMENTATION = network("192.0.2.10", "192.0.2.20", addressPrefix="192.0.2.0/24", gateway="192.0.2.1")
PORTS = "qemu+ssh://root@127.0.0.1"
DNS = "infrastructure.dnsServers[0]"
ADDRESS_PREFIX = "logicalNetworks[0].addressPrefix"
DHCP_RANGE = "infrastructure.dhcpRanges[0]"


def dns(server: str) -> dict[str, Any]:
    return {"infra": infrastructure(dnsServers=[server, "10.0.0.5"])}


def dhcp(first: str, last: str) -> dict[str, Any]:
    return {"infra": infrastructure(dhcpRanges=[{"start": first, "end": last}])}


def proxy(url: str) -> dict[str, Any]:
    return {"netplan": {"proxy": {"httpProxy": url, "noProxy": ["*"]}}}


def reserved(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"clusters": [ONE], "reservations": [{"address": one, "owner": owner} for one, owner in pairs]}


def emulator(address: str) -> dict[str, Any]:
    return {"stack": {"arc": {"cloud": "emulator", "emulatorAddress": address}}}


def reached(*connections: str) -> dict[str, Any]:
    return {"hosts": [host(number, connection=one) for number, one in enumerate(connections, 1)]}


_OVER_EMULATOR = {"clusters": [pods("172.30.0.0/16")], **emulator("172.30.0.9")}


def in_one_group(name: str | None, other: str, arc: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a stack and another one that connect a cluster each, to one resource group unless `arc` differs."""
    group = {"subscriptionId": f"{0:08}-0000-0000-0000-{0:012}", "resourceGroup": "group"}
    return {
        "clusters": [cluster(arc={"name": name})],
        "stack": {"arc": group},
        "siblings": {"dev": {"clusters": [cluster(arc={"name": other})], "arc": {**group, **(arc or {})}}},
    }


def on_uplink(vlan: int) -> Neighbour:
    """Return a site with a VLAN on this site's uplink."""
    return Neighbour("dev", "node1", (("aks", IPv4Interface("10.220.0.0/16")),), "eno1", (vlan,))


def direct(*entries: str) -> dict[str, Any]:
    """Return a site with these exceptions of its proxy, beside one that covers its networks."""
    return {"netplan": {"proxy": {"httpProxy": "http://p.example:80", "noProxy": ["0.0.0.0/0", *entries]}}}


_MASKS = {"netplan": {"proxy": {"httpProxy": "http://p.example:80", "noProxy": ["0.0.0.0/0.0.0.0"]}}}
_HALVES = [".svc", "192.168.1.128/25", "192.168.1.0/25"]

SITE_CASES: list[tuple[str, str, dict[str, Any]]] = [
    # addresses that can be nobody's
    ("address-of-nobody", ADDRESS_PREFIX, {"networks": [LOOPBACK]}),
    ("address-of-nobody", ADDRESS_PREFIX, {"networks": [DOCUMENTATION]}),
    ("address-of-nobody", DNS, dns("127.0.0.53")),
    ("address-of-nobody", DNS, dns("169.254.169.254")),
    ("address-of-nobody", DNS, dns("0.0.0.0")),
    ("address-of-nobody", DNS, dns("224.0.0.251")),
    ("address-of-nobody", DNS, dns("240.0.0.1")),
    ("address-of-nobody", DNS, dns("255.255.255.255")),
    ("address-of-nobody", DNS, dns("192.0.0.170")),
    ("address-of-nobody", f"{PROFILE}.podCidr", {"clusters": [pods("127.0.0.0/16")]}),
    ("address-of-nobody", f"{PROFILE}.podCidr", {"clusters": [pods("169.254.0.0/16")]}),
    ("address-of-nobody", f"{PROFILE}.podCidr", {"clusters": [pods("224.0.0.0/8")]}),
    ("address-of-nobody", f"{PROFILE}.podCidr", {"clusters": [pods("0.0.0.0/1")]}),
    ("address-of-nobody", "arc.emulatorAddress", emulator("127.0.0.1")),
    ("address-of-nobody", "proxy.httpProxy", proxy("http://169.254.1.1:3128")),
    ("address-of-nobody", "hosts[0].tunnelAddress", {"hosts": [host(tunnelAddress="127.0.0.1")]}),
    ("address-of-nobody", "hosts[0].connection", reached("qemu+ssh://root@224.0.0.1/system")),
    (
        "address-of-nobody",
        "privateEndpoints[0].privateIPAddress",
        {"netplan": {"privateEndpoints": [{"name": "vault", "privateIPAddress": "127.0.0.1"}]}},
    ),
    ("address-is-edge", "arc.emulatorAddress", emulator("10.220.32.255")),
    ("address-is-edge", "proxy.httpProxy", proxy("http://10.220.32.0:3128")),
    ("address-is-edge", "reservations[0]", reserved(("10.220.32.255", "broadcast"))),
    # hosts, by whatever key and in whatever way
    ("host-in-pool", "hosts[0].connection", reached("qemu+ssh://root@10.220.32.20/system")),
    ("host-in-pool", "hosts[0].connection", reached("qemu+ssh://10.220.32.20:22/system")),
    ("host-in-pool", "hosts[0].tunnelAddress", {"hosts": [host(tunnelAddress="10.220.32.20")]}),
    ("host-in-infrastructure-pool", "hosts[0].connection", reached("qemu+ssh://root@192.168.1.21/system")),
    ("address-clash", "hosts[1].connection", reached("qemu+ssh://h1/system", "qemu+ssh://192.168.1.11/system")),
    (
        "address-clash",
        "privateEndpoints[0].privateIPAddress",
        {
            "hosts": [host(managementAddress="192.168.1.7")],
            "netplan": {"privateEndpoints": [{"name": "vault", "privateIPAddress": "192.168.1.7"}]},
        },
    ),
    (
        "address-clash",
        "reservations[1]",
        {
            **reserved(("10.220.32.90", "x"), ("10.220.32.90", "y")),
            "netplan": {"proxy": {"httpProxy": "http://10.220.32.90:3128", "noProxy": ["*"]}},
        },
    ),
    (
        "reserved-for-another",
        "reservations[0]",
        {**reserved(("10.220.32.90", "printer")), **proxy("http://10.220.32.90:3128")},
    ),
    (
        "reserved-for-another",
        "reservations[0]",
        {**reserved(("192.168.1.9", "printer")), **reached("qemu+ssh://192.168.1.9/system")},
    ),
    (
        "tunnel-address-missing",
        "hosts[0]",
        {**reached(f"{PORTS}:2201/system", f"{PORTS}:2202/system"), "netplan": {"transport": "vxlan"}},
    ),
    ("duplicate-connection", "hosts[1].connection", reached("qemu+ssh://root@h/system", "qemu+ssh://h/system")),
    ("duplicate-connection", "hosts[1].connection", reached("qemu+ssh://h/system", "qemu+ssh://H.:22/system")),
    (
        "duplicate-connection",
        "hosts[1].connection",
        {"hosts": [SOCKET, host(2, connection="qemu+ssh://root@localhost/system")]},
    ),
    (
        "duplicate-connection",
        "hosts[1].connection",
        reached("qemu+ssh://[fd00::1]/system", "qemu+ssh://[fd00:0:0::1]/system"),
    ),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@192.168.1.300/system")),
    ("uplink-is-loopback", "hosts[0].uplink", {"hosts": [host(uplink="lo")]}),
    *(
        ("storage-does-not-last", "hosts[0].storageDirectory", {"hosts": [host(storageDirectory=folder)]})
        for folder in ("/tmp", "/run/azlocal", "//tmp/x", "/var/run/x/y", "/./var/tmp/")
    ),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@192.168.001.010/system")),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@010.0.0.1/system")),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@010.1/system")),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@192.0.2.11./system")),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@192.0.2.11.5/system")),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@4294967296/system")),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@0x/system")),
    # ssh reads addresses in fewer numbers, and in hexadecimal ones, as inet_aton(3) does
    *(
        ("connection-in-short", "hosts[0].connection", reached(f"qemu+ssh://root@{text}/system"))
        for text in ("10.1", "192.168.267", "0xC0A8010B", "192.168.1.0xb", "3232235787", "0x7f.1", "2130706433")
    ),
    *(
        ("host-in-infrastructure-pool", "hosts[0].connection", reached(f"qemu+ssh://root@{text}/system"))
        for text in ("192.168.277", "0xc0a80115", "3232235797", "192.168.1.0x15")
    ),
    ("address-of-nobody", "hosts[0].connection", reached("qemu+ssh://root@1/system")),
    (
        "duplicate-connection",
        "hosts[1].connection",
        reached("qemu+ssh://root@192.0.2.11/system", "qemu+ssh://ann@192.0.523/system"),
    ),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@node1..example/system")),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@[:::1]/system")),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@[fe80::1]/system")),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@[ff02::1]/system")),
    ("connection-not-a-host", "hosts[0].connection", reached("qemu+ssh://root@[::]/system")),
    (
        "address-clash",
        "infrastructure.gateway",
        {"hosts": [host(1), host(2, managementAddress="192.168.1.1")]},
    ),
    ("connection-not-a-host", "hosts[0].connection", reached(f"qemu+ssh://root@{'n' * 64}/system")),
    # what clusters must reach
    ("service-in-reserved-range", "arc.emulatorAddress", emulator("10.96.0.10")),
    (
        "unreachable-from-pods",
        f"{PROFILE}.podCidr",
        {"clusters": [pods("172.30.0.0/16")], **emulator("172.30.0.9")},
    ),
    (
        "unreachable-from-pods",
        f"{PROFILE}.podCidr",
        {"clusters": [pods("10.240.0.0/13")], **proxy("http://10.241.0.9:3128")},
    ),
    *(
        ("host-in-pod-range", f"{PROFILE}.podCidr", {"clusters": [pods("172.30.0.0/16")], "hosts": [one]})
        for one in (
            host(connection="qemu+ssh://root@172.30.0.9/system"),
            host(connection="qemu+ssh://root@[::ffff:172.30.0.9]/system"),
            host(tunnelAddress="172.30.0.9"),
        )
    ),
    (
        "host-in-pod-range",
        f"{PROFILE}.serviceCidr",
        {"clusters": [ONE], **reached("qemu+ssh://root@10.100.0.9/system")},
    ),
    *(
        ("proxy-on-machine-itself", "proxy.httpProxy", proxy(f"http://{own}:3128"))
        for own in (
            "127.0.0.1",
            "127.8.9.1",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "localhost",
            "LOCALHOST.",
            "localhost.localdomain",
            "ip6-localhost",
            "x.localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
        )
    ),
    ("proxy-out-of-reach", "proxy.httpProxy", proxy("http://[fd00::5]:3128")),
    ("proxy-out-of-reach", "proxy.httpProxy", proxy("http://10.220.32.300:3128")),
    ("proxy-out-of-reach", "proxy.httpProxy", proxy("http://3232235797:3128")),
    ("proxy-out-of-reach", "proxy.httpProxy", proxy("http://0xC0A80115:3128")),
    ("proxy-out-of-reach", "proxy.httpProxy", proxy("http://-p.example:3128")),
    ("proxy-out-of-reach", "proxy.httpProxy", proxy("http://p-.example:3128")),
    ("proxy-out-of-reach", "proxy.httpProxy", proxy("http://p$x.example:3128")),
    ("proxy-without-port", "proxy.httpProxy", proxy("http://proxy.example")),
    # ranges outside their network
    ("dhcp-outside-prefix", DHCP_RANGE, dhcp("192.168.2.100", "192.168.2.200")),
    ("dhcp-outside-prefix", DHCP_RANGE, dhcp("192.168.1.200", "192.168.2.10")),
    ("dhcp-outside-prefix", DHCP_RANGE, dhcp("192.168.1.200", "192.168.1.255")),
    ("dhcp-outside-prefix", DHCP_RANGE, dhcp("192.168.1.0", "192.168.1.0")),
    ("dhcp-backwards", DHCP_RANGE, dhcp("192.168.1.200", "192.168.1.100")),
    ("dhcp-meets-somebody", DHCP_RANGE, dhcp("192.168.1.11", "192.168.1.19")),
    ("dhcp-meets-somebody", DHCP_RANGE, dhcp("192.168.1.1", "192.168.1.9")),
    # pins and reservations without effect
    ("pin-twice", "reservations[1]", reserved(("10.220.32.20", "a-cp-0"), ("10.220.32.21", "a-cp-0"))),
    ("pin-twice", "reservations[1]", reserved(("10.220.32.20", "a-cp-0"), ("10.220.32.21", "lab-a-cp-0"))),
    ("pin-twice", "reservations[1]", reserved(("10.220.32.20", "lab/a-cp-0"), ("10.220.32.21", "lab-a-cp-0"))),
    (
        "pin-twice",
        "reservations[0]",
        {**reserved(("10.220.32.60", "a-vip")), "clusters": [vip("10.220.32.61")]},
    ),
    ("pin-outside-pool", "reservations[0]", reserved(("10.220.32.99", "lab-a-cp-0"))),
    ("reservation-names-nothing", "reservations[0]", reserved(("10.220.32.20", "lab/printer"))),
    ("reservation-names-nothing", "reservations[0]", reserved(("10.220.32.20", "a-nodepol1-0"))),
    ("reservation-names-nothing", "reservations[0]", reserved(("10.220.32.20", "lab-a-vipp"))),
    ("reservation-names-nothing", "reservations[0]", reserved(("10.220.32.20", "a-cp-1"))),
    ("reservation-names-nothing", "reservations[0]", reserved(("10.220.32.20", "A_CP_0"))),
    *(
        ("reservation-names-nothing", "reservations[0]", reserved(("10.220.32.20", text)))
        for text in ("a-cp-00", "a.cp.0", "a nodepool1-0", "a cp 0", "nodepool1-0", "cp-0", "nodepool1 0")
    ),
    ("reservation-names-nothing", "reservations[0]", reserved(("10.220.32.20", "LAB-A-CP-0"))),
    ("reservation-names-nothing", "reservations[0]", reserved(("10.220.32.20", "Lab/a-cp-0"))),
    ("reservation-names-nothing", "reservations[0]", reserved(("10.220.32.20", "a-cp-0 "))),
    ("reservation-names-nothing", "reservations[0]", reserved(("10.220.32.20", "b-cp-0"))),
    ("reservation-names-nothing", "reservations[0]", reserved(("10.220.32.20", "lab-b-cp-0"))),
    ("reservation-names-nothing", "reservations[0]", reserved(("10.220.32.20", "a"))),
    ("no-proxy-incomplete", "proxy", {**proxy("http://p.example:80"), **_MASKS}),
    *(
        ("no-proxy-without-effect", "proxy.noProxy[1]", direct(text))
        for text in (
            "10.0.0.0/33",
            "10.220.32.0/255.255.255.0",
            "10.220.32/24",
            "10.220.32.*",
            "10.220.32.1-10.220.32.9",
            "10.1",
            "https://x.example/y",
            "http://[::1",
            "10.0.0.300",
            "2001:db8::/129",
            "a.*.example",
        )
    ),
    (
        "service-pin-ignored",
        "reservations[0]",
        {**reserved(("10.220.32.52", "a-lb-1")), "clusters": [balancer("10.220.32.50-10.220.32.59")]},
    ),
    # stacks of one site
    ("machine-of-another-stack", "clusters[0].controlPlane", {"clusters": [cluster("a-b")], "lock": OTHER_STACK}),
    (
        "mac-of-another-stack",
        "clusters[0].controlPlane",
        {"clusters": [ONE], "lock": TWIN},
    ),
    (
        "network-name-of-another-stack",
        "logicalNetworks[0]",
        {
            "networks": [
                network(name="a-b"),
                network("10.9.0.9", "10.9.0.9", name="b", addressPrefix="10.9.0.0/24", gateway="10.9.0.1"),
            ],
            "lock": OTHER_STACK,
        },
    ),
    ("gateway-of-another-stack", "site", {"hosts": [SOCKET], "lock": OTHER_STACK}),
    (
        "network-of-another-site",
        ADDRESS_PREFIX,
        {
            "clusters": [ONE],
            "neighbours": [Neighbour("dev", "node1", (("aks", IPv4Interface("10.220.0.0/16")),))],
        },
    ),
    ("dns-of-azure-alone", DNS, dns("168.63.129.16")),
    ("network-is-public", ADDRESS_PREFIX, {"networks": [PUBLIC]}),
    ("network-is-public", f"{PROFILE}.podCidr", {"clusters": [pods("172.32.0.0/16")]}),
    ("network-is-public", f"{PROFILE}.podCidr", {"clusters": [pods("32.0.0.0/8")]}),  # as much as kubeadm cuts
    ("no-proxy-without-effect", "proxy.noProxy", {"netplan": {"proxy": {"noProxy": [".svc"]}}}),
    # another site on one of this site's hosts: libvirt there knows domains and networks by their names alone
    (
        "machine-of-another-stack",
        "clusters[0].controlPlane",
        {"clusters": [cluster("a-b")], "shared_hosts": SHARED},
    ),
    (
        "mac-of-another-stack",
        "clusters[0].controlPlane",
        {"clusters": [ONE], "shared_hosts": [SharedHost("t", "node1", (), {TWINS[1]: "ci"})]},
    ),
    (
        "network-name-of-another-stack",
        "logicalNetworks[0]",
        {"networks": [network(name="a-aks")], "shared_hosts": SHARED},
    ),
    ("uplink-of-another-site", "logicalNetworks[0].vlan", {"clusters": [ONE], "neighbours": [on_uplink(110)]}),
    ("uplink-of-another-site", "infrastructure.addressPrefix", {"neighbours": [on_uplink(0)]}),
    ("uplink-of-another-stack", "site", {"clusters": [ONE], "lock": OTHER_STACK}),
    (
        "gateway-of-another-stack",
        "site",
        {"hosts": [host(1), host(2)], "lock": OTHER_STACK, "netplan": {"transport": "vxlan"}},
    ),
    # stacks of one site that no lock knows yet
    (
        "machine-of-two-stacks",
        "clusters[0].controlPlane",
        {"clusters": [cluster("a-b")], "siblings": {"lab-a": {"clusters": [cluster("b")]}}},
    ),
    ("gateway-of-two-stacks", "site", {"clusters": [ONE], "hosts": [SOCKET], "siblings": {"dev": {}}}),
    ("arc-name-of-two-stacks", "clusters[0].arc.name", in_one_group("edge", "Edge")),
    ("arc-name-of-two-stacks", "clusters[0]", in_one_group(None, "LAB-a")),
]

BY_HAND = {"hosts": [host(prepare=False)]}

SITE_SOUND: list[dict[str, Any]] = [
    # siblings: on record, and refused themselves; names that only begin alike; names and groups of their own
    {"clusters": [cluster("a-b")], "lock": OWN, "siblings": {"lab-a": {"clusters": [cluster("b")]}}},
    {"clusters": [ONE], "hosts": [SOCKET], "lock": OWN, "siblings": {"dev": {}}},
    {"clusters": [ONE], "siblings": {"dev": {"clusters": [ONE]}, "lab-a": {"clusters": [ONE]}}},
    in_one_group("edge", "edge-2"),
    in_one_group("edge", "edge", {"resourceGroup": "other"}),
    in_one_group("edge", "edge", {"cloud": "AzureUSGovernment"}),
    dns("100.64.0.9"),
    dns("198.18.0.9"),
    dns("192.175.48.9"),
    {"clusters": [pods("100.64.0.0/16")]},
    {"clusters": [pods("198.18.0.0/16")]},
    {"networks": [network("100.64.0.5", "100.64.0.9", addressPrefix="100.64.0.0/24", gateway="100.64.0.1")]},
    {
        "networks": [],
        "neighbours": [Neighbour("dev", "node1", (("aks", IPv4Interface("10.220.0.0/16")),))],
    },
    {"clusters": [ONE], "neighbours": [on_uplink(111)]},
    {"clusters": [ONE], "shared_hosts": SHARED},
    # which was of the other site before
    {"clusters": [ONE], "shared_hosts": [SharedHost("t", "node1", ("aks",), {"lab-a-cp-0": "lab"})]},
    *(
        {"hosts": [host(storageDirectory=folder)]}
        for folder in ("/", "/srv/tmp", "/var", "/tmpfiles", "/data/run")
    ),
    # hosts whose address is named twice, or in words of ssh's own
    reached("qemu+ssh://root@192.168.1.11/system"),
    reached("qemu+ssh://ann.b-c@node_1/system"),
    reached("qemu+ssh://root@[fd00::1]:2222/system"),
    {"hosts": [host(1, tunnelAddress="192.168.1.11")]},
    # hosts behind one address that forwards ports
    reached("qemu+ssh://root@203.0.113.5:2201/system", "qemu+ssh://root@203.0.113.5:2202/system"),
    reached("qemu+ssh://root@127.0.0.1:2201/system", "qemu+ssh://root@127.0.0.1:2202/system"),
    # a service runs on somebody's machine, and a reservation says whose it is
    {**emulator("192.168.1.11")},
    {**reserved(("192.168.1.9", "Ann's laptop with the emulator")), **emulator("192.168.1.9")},
    {**emulator("192.168.1.9"), **proxy("http://192.168.1.9:3128")},
    {**reserved(("10.220.32.90", "squid, our proxy")), **proxy("http://10.220.32.90:3128")},
    {
        **reserved(("192.168.1.9", "kv")),
        "netplan": {"privateEndpoints": [{"name": "kv", "privateIPAddress": "192.168.1.9"}]},
    },
    # a host is managed at the gateway that libvirt, or a mesh, gives to it
    {**dns("10.0.0.6"), "hosts": [host(managementAddress="192.168.1.1", uplink=None)]},
    {
        **dns("10.0.0.6"),
        "hosts": [host(1), host(2, managementAddress="192.168.1.1")],
        "netplan": {"transport": "vxlan", "gatewayHost": "node2"},
    },
    # a repository that a cluster serves itself
    {
        "clusters": [
            cluster(
                loadBalancer={"addresses": ["10.220.32.50"]},
                arc={
                    "fluxConfigurations": [
                        {"name": f"f{len(url)}", "gitRepository": {"url": url}}
                        for url in ("http://10.220.32.50/x", "http://10.96.0.50/x")
                    ]
                },
            )
        ],
        "stack": {"arc": {"subscriptionId": "00000000-0000-0000-0000-000000000001"}},
    },
    proxy("http://proxy.example:3128"),
    proxy("http://proxy_1.b\u00fccher.example.:3128"),
    direct(
        "localhost", ".svc", "*.example", "x.example:8443", "[2001:db8::1]", "fd00::/8", "10.9.9.9:80", "1.2.3.4"
    ),
    # of a machine's address, noProxy says how it is reached, and not whose it is
    direct("10.220.32.18", "10.220.32.19", "10.220.32.1"),
    # noProxy in halves, by single addresses, beside suffixes
    {
        "networks": [],
        "netplan": {
            "proxy": {
                "httpProxy": "http://p.example:80",
                "noProxy": [".svc", "192.168.1.128/25", "192.168.1.0/25"],
            }
        },
    },
    {
        "networks": [],
        "infra": infrastructure(addressPrefix="192.168.1.16/29", gateway="192.168.1.17")
        | {"dnsServers": ["192.168.1.1"], "pool": {"start": "192.168.1.17", "end": "192.168.1.22"}}
        | {"gateway": "192.168.1.22", "pool": {"start": "192.168.1.17", "end": "192.168.1.20"}},
        "hosts": [SOCKET],
        "stack": {"deploymentClass": "resourceBridgeTest"},
        "netplan": {
            "proxy": {"httpProxy": "http://p.example:80", "noProxy": [f"192.168.1.{n}" for n in range(17, 23)]}
        },
    },
    dhcp("192.168.1.31", "192.168.1.254"),
    # both names of a machine pin it, and the same address twice is one pin
    reserved(("10.220.32.20", "lab-a-cp-0")),
    reserved(("10.220.32.20", "lab-a-cp-0"), ("10.220.32.20", "a-cp-0")),
    reserved(("10.220.32.90", "lab-printer"), ("10.220.32.91", "a printer"), ("10.220.32.92", "web-vip")),
    {"lock": OTHER_STACK, "clusters": [ONE], **BY_HAND},
    {**reserved(("10.220.32.18", "lab-a/b-cp-0")), "lock": OTHER_STACK, **BY_HAND},
    {**reserved(("10.220.32.18", "lab-a-b-cp-0")), "lock": OTHER_STACK, **BY_HAND},
    {**reserved(("10.220.32.18", "b-cp-0")), "lock": OTHER_STACK, **BY_HAND},
    {"infra": infra_pool(20, 25), **reached("qemu+ssh://root@192.168.1.26/system")},
]
