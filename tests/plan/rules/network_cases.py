"""Instances that break a rule of networks, ranges and addresses."""

from ipaddress import IPv4Address
from typing import Any

from infra.plan.addresses.lock import Given, Lock
from tests.instances import cluster, host, infrastructure, network
from tests.plan.rules.rule_cases import ADDRESS, ONE, POOLS, SERVICES, VIP, balancer, infra_pool, vip

NETWORK_CASES: list[tuple[str, str, dict[str, Any]]] = [
    (
        "prefix-host-bits",
        "logicalNetworks[0].addressPrefix",
        {"networks": [network(addressPrefix="10.220.32.16/24")]},
    ),
    ("gateway-outside-prefix", "logicalNetworks[0].gateway", {"networks": [network(gateway="192.168.200.1")]}),
    ("gateway-outside-prefix", "infrastructure.gateway", {"infra": infrastructure(gateway="192.168.1.255")}),
    ("pool-backwards", f"{POOLS}[0]", {"networks": [network("10.220.32.30", "10.220.32.20")]}),
    ("pool-outside-prefix", f"{POOLS}[0]", {"networks": [network("10.220.31.18", "10.220.32.37")]}),
    ("pool-outside-prefix", f"{POOLS}[0]", {"networks": [network("10.220.32.200", "10.220.32.255")]}),
    (
        "pools-overlap",
        "logicalNetworks[1].ipPools[0]",
        {"networks": [network(), network("10.220.32.37", "10.220.32.50", name="other")]},
    ),
    (
        "networks-overlap",
        "logicalNetworks[1].addressPrefix",
        {
            "networks": [
                network(),
                network("10.220.32.129", "10.220.32.140", name="b", addressPrefix="10.220.32.128/25"),
            ]
        },
    ),
    ("vlan-out-of-range", "logicalNetworks[0].vlan", {"networks": [network(vlan=4095)]}),
    (
        "network-not-static",
        "logicalNetworks[0].ipAllocationMethod",
        {"clusters": [ONE], "networks": [network(ipAllocationMethod="Dynamic")]},
    ),
    ("network-without-pool", POOLS, {"clusters": [ONE], "networks": [network(ipPools=[])]}),
    (
        "network-without-dns",
        "logicalNetworks[0].dnsServers",
        {"clusters": [ONE], "networks": [network(dnsServers=[])]},
    ),
    ("host-outside-infrastructure", ADDRESS, {"hosts": [host(managementAddress="192.168.2.1")]}),
    ("host-in-infrastructure-pool", ADDRESS, {"hosts": [host(managementAddress="192.168.1.20")]}),
    ("hosts-not-joined", "hosts[1]", {"hosts": [host(1), host(2, uplink=None)]}),
    (
        "tunnel-address-missing",
        "hosts[1]",
        {"hosts": [host(1), host(2, connection="qemu:///system")], "netplan": {"transport": "vxlan"}},
    ),
    (
        "tunnel-address-clash",
        "hosts[1].tunnelAddress",
        {"hosts": [host(1), host(2, tunnelAddress="192.0.2.1")], "netplan": {"transport": "vxlan"}},
    ),
    (
        "tunnel-address-clash",
        "hosts[1].connection",
        {
            "hosts": [host(1), host(2, connection="qemu+ssh://root@192.168.1.12/system")],
            "netplan": {"transport": "vxlan"},
        },
    ),
    (
        "mesh-needs-route",
        "logicalNetworks[0].addressPrefix",
        {"clusters": [ONE], "hosts": [host(1), host(2)], "netplan": {"transport": "vxlan"}},
    ),
    ("unknown-gateway-host", "gatewayHost", {"netplan": {"gatewayHost": "nobody"}}),
    ("host-without-address", "hosts[0]", {"hosts": [{"name": "n", "connection": "qemu+ssh://root@h/system"}]}),
    (
        "duplicate-connection",
        "hosts[1].connection",
        {"hosts": [host(1), host(2, connection="qemu+ssh://root@192.0.2.1/system")]},
    ),
    (
        "network-in-reserved-range",
        "logicalNetworks[0].addressPrefix",
        {"networks": [network("10.100.0.5", "10.100.0.9", addressPrefix="10.100.0.0/24", gateway="10.100.0.1")]},
    ),
    (
        "dns-in-reserved-range",
        "infrastructure.dnsServers[0]",
        {"infra": infrastructure(dnsServers=["10.96.0.10"])},
    ),
    (
        "cidr-overlap",
        "clusters[0].networkProfile.podCidr",
        {"clusters": [cluster(networkProfile={"podCidr": "10.220.0.0/16"})]},
    ),
    (
        "cidr-overlap",
        "clusters[0].networkProfile",
        {"clusters": [cluster(networkProfile={"podCidr": "10.96.0.0/16"})]},
    ),
    ("vip-outside-prefix", VIP, {"clusters": [vip("10.0.0.1")]}),
    ("vip-outside-prefix", VIP, {"clusters": [vip("10.220.32.255")]}),
    ("vip-in-pool", VIP, {"clusters": [vip("10.220.32.37")]}),
    ("load-balancer-outside-subnet", f"{SERVICES}.addresses[0]", {"clusters": [balancer("10.220.33.1")]}),
    ("load-balancer-in-pool", f"{SERVICES}.addresses[0]", {"clusters": [balancer("10.220.32.37-10.220.32.40")]}),
    ("load-balancer-too-small", SERVICES, {"clusters": [balancer("10.220.32.50", count=2)]}),
    ("load-balancer-count", f"{SERVICES}.count", {"clusters": [cluster(loadBalancer={"count": -1})]}),
    ("address-clash", f"{SERVICES}.addresses[1]", {"clusters": [balancer("10.220.32.50/31", "10.220.32.51")]}),
    ("address-clash", "infrastructure.gateway", {"hosts": [host(managementAddress="192.168.1.1")]}),
    (
        "address-clash",
        "reservations[1]",
        {"reservations": [{"address": "10.220.32.90", "owner": o} for o in "xy"]},
    ),
    (
        "address-of-another-instance",
        f"{SERVICES}.addresses[0]",
        {
            "clusters": [balancer("10.220.32.47-10.220.32.49")],
            "lock": Lock(given={int(IPv4Address("10.220.32.48")): Given("ci/a-lb-0", "loadBalancer")}),
        },
    ),
    (
        "pin-clash",
        "clusters[1].controlPlane.hostIP",
        {"clusters": [cluster(n, controlPlane={"hostIP": "10.220.32.60"}) for n in "ab"]},
    ),
    ("pin-clash", VIP, {"clusters": [vip("10.220.32.5")]}),
    (
        "pin-outside-pool",
        "reservations[0]",
        {"clusters": [ONE], "reservations": [{"address": "10.220.32.99", "owner": "a-cp-0"}]},
    ),
    ("reservation-outside", "reservations[0]", {"reservations": [{"address": "10.0.0.1", "owner": "x"}]}),
    ("aks-pool-too-small", POOLS, {"clusters": [ONE], "networks": [network(end="10.220.32.20")]}),
    (
        "infrastructure-pool-too-small",
        "infrastructure.pool",
        {"infra": infra_pool(20, 24)},
    ),
    (
        "resource-bridge-not-adjacent",
        "reservations",
        {"reservations": [{"address": f"192.168.1.{n}", "owner": o} for n, o in ((21, "rb-0"), (25, "rb-spare"))]},
    ),
    (
        "address-not-placed",
        SERVICES,
        {
            "clusters": [cluster(loadBalancer={"count": 200})],
            "networks": [network("10.220.32.18", "10.220.32.100")],
        },
    ),
    (
        "address-not-placed",
        "resourceBridge",
        {
            "infra": infra_pool(20, 31),
            "reservations": [{"address": f"192.168.1.{n}", "owner": "x"} for n in range(21, 32, 2)],
        },
    ),
]
