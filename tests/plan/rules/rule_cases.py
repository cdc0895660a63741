"""Instances that break a rule, and instances that just keep them all."""

from ipaddress import IPv4Address
from typing import Any

from infra.plan.addresses.lock import Given, Lock, VrrpId
from tests.instances import cluster, host, infrastructure, network
from tests.plan.rules.arc_cases import ARC_CASES, WORKLOADS, arranged
from tests.plan.rules.azure_cases import AZURE_CASES, FLUX_SOUND

ONE = cluster()
POOLS = "logicalNetworks[0].ipPools"
POOL = "clusters[0].agentPools[0]"
VIP = "clusters[0].controlPlane.hostIP"
SERVICES = "clusters[0].loadBalancer"
ADDRESS = "hosts[0].managementAddress"
PROFILE = "clusters[0].networkProfile"
PLANE_SIZE = "clusters[0].controlPlane.vmSize"
VERSION = "clusters[0].kubernetesVersion"
SHARED = {"addressPrefix": "192.168.1.0/24", "gateway": "192.168.1.1", "dnsServers": ["192.168.1.1"], "vlan": 0}
OTHER = {"name": "other", "addressPrefix": "10.9.0.0/24", "gateway": "10.9.0.1"}
DHCP = {"start": "192.168.1.30", "end": "192.168.1.99"}
VIP_ON_RECORD = Lock(given={int(IPv4Address("10.220.32.30")): Given("lab/a-vip", "controlPlaneVip")})
WIDE = network("10.220.32.18", "10.220.32.250")


def pool(**more: Any) -> dict[str, Any]:
    return {"name": "nodepool1", "count": 1, **more}


def vip(address: str) -> dict[str, Any]:
    return cluster(controlPlane={"hostIP": address})


def scaling(**more: Any) -> dict[str, Any]:
    return cluster(agentPools=[pool(enableAutoScaling=True, **more)])


def infra_pool(first: int, last: int) -> dict[str, Any]:
    return infrastructure(pool={"start": f"192.168.1.{first}", "end": f"192.168.1.{last}"})


def two_dns(server: str) -> dict[str, Any]:
    return infrastructure(dnsServers=[server, "10.0.0.5"])


def sized(size: str) -> dict[str, Any]:
    return cluster(controlPlane={"count": 1, "vmSize": size})


def pods(cidr: str, *, service: str = "10.96.0.0/12", **more: Any) -> dict[str, Any]:
    return cluster(networkProfile={"podCidr": cidr, "serviceCidr": service}, **more)


def scaled(**more: Any) -> dict[str, Any]:
    return pool(enableAutoScaling=True, minCount=1, **more)


def balancer(*addresses: str, **more: Any) -> dict[str, Any]:
    return cluster(loadBalancer={"addresses": list(addresses), **more})


INSTANCE_CASES: list[tuple[str, str, dict[str, Any]]] = [
    # rule, where, and the instance that breaks it
    *ARC_CASES,
    *AZURE_CASES,
    ("bad-name", "clusters[0].name", {"clusters": [cluster("A_b")]}),
    ("bad-name", "clusters[0].agentPools[0].name", {"clusters": [cluster(agentPools=[pool(name="ab")])]}),
    ("bad-name", "hosts[0].name", {"clusters": [ONE], "hosts": [host(name="Node_1")]}),
    ("bad-name", "logicalNetworks[0].name", {"networks": [network(name="-aks")]}),
    ("duplicate-name", "clusters[1].name", {"clusters": [cluster(), cluster()]}),
    ("duplicate-name", "clusters[0].agentPools[1].name", {"clusters": [cluster(agentPools=[pool(), pool()])]}),
    ("duplicate-name", "logicalNetworks[0].name", {"networks": [network(name="infrastructure")]}),
    ("duplicate-machine", "clusters[0]", {"clusters": [cluster("rb")]}),
    (
        "duplicate-machine",
        "clusters[0].controlPlane",
        {"clusters": [cluster("a-b"), cluster("a", agentPools=[pool(name="b-cp")])]},
    ),
    ("machine-name-too-long", "clusters[0].controlPlane", {"clusters": [cluster("c" * 40)], "name": "i" * 30}),
    (
        "container-disk-path",
        "clusters[0].agentPools[0]",
        {"clusters": [cluster()], "name": "production", "stack": {"machineType": "container"}},
    ),
    ("ssh-key-not-here", "sshPublicKeys[0]", {"stack": {"sshPublicKeys": ["~/no/such/id.pub"]}}),
    ("bad-instance-name", "Pulumi.My_Lab.yaml", {"name": "My_Lab"}),
    ("unknown-network", "clusters[0].logicalNetwork", {"clusters": [cluster(logicalNetwork="x")]}),
    ("unknown-vm-size", "clusters[0].controlPlane.vmSize", {"clusters": [cluster(controlPlane={"vmSize": "X"})]}),
    ("unknown-vm-size", "resourceBridge.vmSize", {"stack": {"resourceBridge": {"vmSize": "X"}}}),
    ("host-count", "hosts", {"hosts": []}),
    (
        "host-count",
        "hosts",
        {"hosts": [host(n) for n in range(1, 18)], "infra": infra_pool(40, 50)},
    ),
    (
        "host-count",
        "hosts",
        {"hosts": [host(n) for n in range(1, 5)], "stack": {"deploymentClass": "lowCapacity"}},
    ),
    ("host-count", "hosts", {"hosts": [host(n) for n in range(1, 11)], "stack": {"deploymentClass": "rackAware"}}),
    ("rack-aware-odd", "hosts", {"stack": {"deploymentClass": "rackAware"}}),
    ("host-memory", "hosts[0].memoryGiB", {"hosts": [host(memoryGiB=16)]}),
    (
        "host-memory",
        "hosts[0].memoryGiB",
        {"hosts": [host(memoryGiB=256)], "stack": {"deploymentClass": "lowCapacity"}},
    ),
    ("hosts-differ", "hosts", {"hosts": [host(n, memoryGiB=64 * n) for n in (1, 2)]}),
    ("host-cpus", "hosts[0].cpus", {"hosts": [host(cpus=32)], "stack": {"deploymentClass": "lowCapacity"}}),
    (
        "clusters-at-test-site",
        "clusters",
        {"clusters": [ONE], "stack": {"deploymentClass": "resourceBridgeTest"}},
    ),
    ("vm-size-not-for-control-plane", PLANE_SIZE, {"clusters": [sized("Standard_A2_v2")]}),
    ("vm-size-not-for-control-plane", PLANE_SIZE, {"clusters": [sized("Standard_D16s_v3")]}),
    ("vm-size-not-for-control-plane", PLANE_SIZE, {"clusters": [sized("Standard_NK6")]}),
    ("windows-pool", f"{POOL}.osType", {"clusters": [cluster(agentPools=[pool(osType="Windows")])]}),
    ("no-linux-pool", "clusters[0].agentPools", {"clusters": [cluster(agentPools=[pool(osType="Windows")])]}),
    (
        "gpu-pool-not-linux",
        f"{POOL}.vmSize",
        {"clusters": [cluster(agentPools=[pool(osType="Windows", vmSize="Standard_NK6"), pool(name="linux")])]},
    ),
    ("vm-size-not-azure", PLANE_SIZE, {"clusters": [sized("Small")]}),
    (
        "resource-bridge-too-small",
        "resourceBridge.vmSize",
        {"stack": {"resourceBridge": {"vmSize": "Standard_K8S3_v1"}}},
    ),
    ("unknown-release", "azureLocalRelease", {"stack": {"azureLocalRelease": "2402"}}),
    ("kubernetes-version-unsupported", VERSION, {"clusters": [cluster(kubernetesVersion="1.20.0")]}),
    ("kubernetes-version-unsupported", VERSION, {"clusters": [cluster(kubernetesVersion="1.32.7")]}),
    ("kubernetes-version-older", VERSION, {"clusters": [cluster(kubernetesVersion="1.30.14")]}),
    ("kubernetes-version-newer", VERSION, {"clusters": [cluster(kubernetesVersion="1.34.4")]}),
    (
        "kubernetes-version-newer",
        VERSION,
        {"clusters": [cluster(kubernetesVersion="1.32.10", provisioning="machines")]},
    ),
    ("kubernetes-version-not-built", VERSION, {"clusters": [cluster(kubernetesVersion="1.32.10")]}),
    ("kubernetes-version-not-built", VERSION, {"clusters": [cluster(kubernetesVersion="1.34.5")]}),
    ("kubernetes-version-not-built", VERSION, {"clusters": [cluster(kubernetesVersion="1.99.0")]}),
    ("kubernetes-version-not-built", VERSION, {"clusters": [cluster(kubernetesVersion="2.0.0")]}),
    ("kubernetes-version-not-built", VERSION, {"clusters": [cluster(kubernetesVersion="1.33.4")]}),
    ("kubernetes-version-not-built", VERSION, {"clusters": [cluster(kubernetesVersion="1.30.14")]}),
    (
        "kubernetes-version-newer",
        VERSION,
        {"clusters": [cluster(kubernetesVersion="1.33.5")], "stack": {"azureLocalRelease": "2510"}},
    ),
    ("pod-cidr-too-small", f"{PROFILE}.podCidr", {"clusters": [pods("172.30.0.0/24", workers=2)]}),
    (
        "pod-cidr-too-small",
        f"{PROFILE}.podCidr",
        {"clusters": [pods("172.30.0.0/21", agentPools=[scaled(maxPods=250, maxCount=9)])]},
    ),
    ("pod-cidr-node-blocks", f"{PROFILE}.podCidr", {"clusters": [pods("172.30.0.0/23")]}),
    ("gateway-host-without-effect", "gatewayHost", {"netplan": {"gatewayHost": "node1"}}),
    ("names-alike", "logicalNetworks[1].name", {"networks": [network(), {**OTHER, "name": "AKS"}]}),
    ("more-processors-than-hosts", PLANE_SIZE, {"clusters": [sized("Standard_D8s_v3")], "hosts": [host(cpus=6)]}),
    ("max-pods-few", f"{POOL}.maxPods", {"clusters": [cluster(agentPools=[pool(maxPods=2)])]}),
    ("max-pods-few", f"{POOL}.maxPods", {"clusters": [cluster(agentPools=[pool(maxPods=9)])]}),
    ("max-pods-per-block", f"{POOL}.maxPods", {"clusters": [cluster(agentPools=[pool(maxPods=255)])]}),
    (
        "service-cidr-fixed",
        f"{PROFILE}.serviceCidr",
        {"clusters": [cluster(networkProfile={"serviceCidr": "172.30.0.0/16"})]},
    ),
    (
        "cidr-in-reserved-range",
        f"{PROFILE}.podCidr",
        {"clusters": [pods("10.100.0.0/16", service="172.30.0.0/16")]},
    ),
    ("cidr-host-bits", f"{PROFILE}.podCidr", {"clusters": [pods("10.244.0.9/16")]}),
    (
        "public-dns",
        "logicalNetworks[0].dnsServers[1]",
        {"networks": [network(dnsServers=["10.220.32.5", "8.8.8.8"])]},
    ),
    ("dns-not-a-host", "infrastructure.dnsServers[0]", {"infra": infrastructure(dnsServers=["192.168.1.255"])}),
    ("host-name-not-netbios", "hosts[0].name", {"hosts": [host(name="a-host-of-16-let")]}),
    ("dns-in-infrastructure-pool", "infrastructure.dnsServers[0]", {"infra": two_dns("192.168.1.20")}),
    ("dns-on-host", "infrastructure.dnsServers", {"infra": infrastructure(dnsServers=["192.168.1.11"])}),
    ("network-meets-storage", "logicalNetworks[0].vlan", {"networks": [network(vlan=711)]}),
    (
        "network-meets-storage",
        "logicalNetworks[0].vlan",
        {"networks": [network(vlan=1711)], "stack": {"deploymentClass": "disaggregated"}},
    ),
    (
        "network-meets-storage",
        "logicalNetworks[0].addressPrefix",
        {"networks": [network("10.71.2.5", "10.71.2.9", addressPrefix="10.71.2.0/24", gateway="10.71.2.1")]},
    ),
    ("duplicate-dns", "infrastructure.dnsServers[1]", {"infra": infrastructure(dnsServers=["10.0.0.5"] * 2)}),
    ("dns-inside-instance", "infrastructure.dnsServers", {"infra": infrastructure(dnsServers=["10.220.32.30"])}),
    ("host-dns-differs", "hosts[0].dnsServers", {"hosts": [host(dnsServers=["10.0.0.5"])]}),
    (
        "proxy-in-reserved-range",
        "proxy.httpsProxy",
        {"netplan": {"proxy": {"httpsProxy": "http://10.244.3.4:3128"}}},
    ),
    (
        "private-endpoint-in-reserved-range",
        "privateEndpoints[0].privateIPAddress",
        {"netplan": {"privateEndpoints": [{"name": "vault", "privateIPAddress": "10.111.255.255"}]}},
    ),
    ("no-proxy-incomplete", "proxy", {"netplan": {"proxy": {"httpProxy": "http://p.example:3128"}}}),
    (
        "unreachable-from-pods",
        f"{PROFILE}.podCidr",
        {"clusters": [pods("10.220.0.0/19")], "networks": [network(dnsServers=["10.220.31.5"])]},
    ),
    (
        "host-in-pool",
        ADDRESS,
        {"infra": infrastructure(), "networks": [network("192.168.1.5", "192.168.1.12", **SHARED)]},
    ),
    ("gateway-in-pool", "logicalNetworks[0].gateway", {"networks": [network("10.220.32.1")]}),
    ("gateway-in-pool", "infrastructure.gateway", {"infra": infra_pool(1, 9)}),
    (
        "dns-in-pool",
        "logicalNetworks[0].dnsServers[0]",
        {"networks": [network(dnsServers=["10.220.32.20", "10.0.0.5"])]},
    ),
    (
        "infrastructure-prefix-too-small",
        "infrastructure.addressPrefix",
        {"infra": infrastructure(addressPrefix="192.168.1.0/30")},
    ),
    (
        "shared-subnet-gateway",
        "logicalNetworks[0].gateway",
        {"networks": [network("192.168.1.50", "192.168.1.60", **{**SHARED, "gateway": "192.168.1.2"})]},
    ),
    ("dhcp-meets-plan", "infrastructure.dhcpRanges[0]", {"infra": infrastructure(dhcpRanges=[DHCP])}),
    (
        "infrastructure-pool-not-consecutive",
        "infrastructure.pool",
        {"infra": infra_pool(20, 29), "reservations": [{"address": "192.168.1.25", "owner": "printer"}]},
    ),
    (
        "address-stranded",
        "clusters[0].controlPlane",
        {"clusters": [ONE], "lock": Lock(given={(10 << 24) + 5: Given("lab/a-cp-0", "controlPlaneNode")})},
    ),
    ("pin-moved", VIP, {"clusters": [vip("10.220.32.99")], "lock": VIP_ON_RECORD}),
    (
        "pin-moved",
        "reservations[0]",
        {
            "clusters": [ONE],
            "lock": VIP_ON_RECORD,
            "reservations": [{"address": "10.220.32.31", "owner": "a-vip"}],
        },
    ),
    (
        "vrrp-id-clash",
        "clusters[0]",
        {
            "clusters": [ONE],
            "lock": Lock(vrrp={"lab/a": VrrpId(110, 7)}),
            "networks": [network(takenVrrpIds=[1, 7])],
        },
    ),
    (
        "vrrp-id-clash",
        "clusters[0]",
        {"clusters": [ONE], "lock": Lock(vrrp={"lab/a": VrrpId(110, 7), "ci/b": VrrpId(110, 7)})},
    ),
    (
        "vrrp-ids-exhausted",
        "clusters[0]",
        {"clusters": [ONE], "networks": [network(takenVrrpIds=list(range(1, 256)))]},
    ),
    (
        "vrrp-id-out-of-range",
        "logicalNetworks[0].takenVrrpIds[1]",
        {"networks": [network(takenVrrpIds=[9, 256])]},
    ),
    (
        "cluster-count",
        "clusters",
        {"clusters": [cluster(f"c{n}") for n in range(33)], "networks": [WIDE]},
    ),
    (
        "cluster-count",
        "clusters",
        {
            "clusters": [{**scaling(minCount=1, maxCount=1), "name": f"c{n}"} for n in range(13)],
            "networks": [WIDE],
        },
    ),
    (
        "plain-image-has-no-kubernetes",
        "clusters[0].provisioning",
        {"clusters": [ONE], "stack": {"nodeImage": "plain"}},
    ),
    ("control-plane-count", "clusters[0].controlPlane.count", {"clusters": [cluster(planes=4)]}),
    ("control-plane-count", "clusters[0].controlPlane.count", {"clusters": [cluster(planes=-1)]}),
    ("pool-count", "clusters[0].agentPools", {"clusters": [cluster(agentPools=[])]}),
    ("pool-node-count", "clusters[0].agentPools[0].count", {"clusters": [cluster(workers=0)]}),
    (
        "cluster-node-count",
        "clusters[0]",
        {
            "clusters": [cluster(agentPools=[pool(name=f"pool{n}", count=50) for n in range(4)])],
            "networks": [WIDE],
        },
    ),
    ("autoscaling-range", POOL, {"clusters": [scaling()]}),
    (
        "autoscaling-range",
        POOL,
        {"clusters": [scaling(count=5, minCount=1, maxCount=3)]},
    ),
    ("max-pods", "clusters[0].agentPools[0].maxPods", {"clusters": [cluster(agentPools=[pool(maxPods=0)])]}),
]

SOUND: list[dict[str, Any]] = [
    # each stands just on the sound side of rules that the cases above break
    {"clusters": [scaling(count=1, minCount=1, maxCount=1)]},
    *FLUX_SOUND,
    arranged(cluster(**WORKLOADS)),
    arranged(cluster(oidcIssuerProfile={"enabled": True})),
    {"clusters": [{**scaling(minCount=1, maxCount=1), "name": f"c{n}"} for n in range(4)], "networks": [WIDE]},
    {"clusters": [cluster(f"c{n}") for n in range(8)], "networks": [WIDE]},
    {"clusters": [cluster(agentPools=[pool(name=f"p{n:02}") for n in range(9)])], "networks": [WIDE]},
    {"clusters": [cluster(agentPools=[pool(name=f"pool{n}", count=c) for n, c in enumerate((64, 64, 64, 7))])]}
    | {"networks": [WIDE]},
    {"clusters": [cluster(agentPools=[pool(name="abc"), pool(name="a1234567890b", maxPods=254)])]},
    {"hosts": [host(n) for n in range(1, 17)], "infra": infra_pool(40, 45)},
    {"hosts": [host(n, cpus=28, memoryGiB=128) for n in (1, 2, 3)], "stack": {"deploymentClass": "lowCapacity"}},
    {"hosts": [host(n, localAvailabilityZone=f"room {n % 2}") for n in range(1, 9)]}
    | {"stack": {"deploymentClass": "rackAware"}},
    {"hosts": [host(n) for n in range(1, 20)], "infra": infra_pool(40, 45)}
    | {"stack": {"deploymentClass": "disaggregated"}},
    {
        "clusters": [sized(size) for size in ("Standard_K8S3_v1",)],
        "hosts": [host(n, memoryGiB=48) for n in (1, 2)],
    },
    {"clusters": [cluster(agentPools=[pool(vmSize="Standard_D32s_v3", osSKU="CBLMariner")])]},
    {"clusters": [cluster(provisioning="machines")], "stack": {"nodeImage": "plain"}},
    {"clusters": [cluster(kubernetesVersion="1.31.12", provisioning="machines")]},
    {"clusters": [cluster(kubernetesVersion="1.30.13", provisioning="machines")]}
    | {"stack": {"azureLocalRelease": "2510"}},
    {"clusters": [pods("172.30.0.0/22")]},
    {"clusters": [vip("10.220.32.17"), cluster("b", controlPlane={"hostIP": "10.220.32.38"})]},
    {"clusters": [vip("10.220.32.254")]},
    {"clusters": [balancer("10.220.32.38-10.220.32.254", count=200)]},
    {"networks": [network(vlan=4094), network("10.9.0.9", "10.9.0.9", **OTHER, vlan=1)]},
    {"networks": [network("10.95.255.2", "10.95.255.9", addressPrefix="10.95.255.0/24", gateway="10.95.255.1")]},
    {"networks": [network("10.112.0.2", "10.112.0.9", addressPrefix="10.112.0.0/24", gateway="10.112.0.1")]},
    {"infra": infrastructure(dnsServers=["10.112.0.1", "10.95.255.255", "10.243.0.1", "10.245.0.1"])},
    {"infra": infra_pool(20, 30), "reservations": [{"address": "192.168.1.24", "owner": "printer"}]},
    {"clusters": [balancer("10.220.32.50-10.220.32.59")]}
    | {"reservations": [{"address": "10.220.32.51", "owner": "a-lb-1"}]},
    {"infra": infrastructure(dhcpRanges=[{"start": "192.168.1.31", "end": "192.168.1.99"}])},
    {"infra": infrastructure(addressPrefix="192.168.1.0/28", pool={"start": "192.168.1.2", "end": "192.168.1.7"})}
    | {"hosts": [host(managementAddress="192.168.1.14")]},
    {"networks": [network("192.168.1.50", "192.168.1.60", **SHARED)]},
    {"netplan": {"proxy": {"httpProxy": "http://proxy.example:80", "noProxy": ["192.168.1.0/24", "10.0.0.0/8"]}}},
    {"clusters": [ONE], "lock": Lock(vrrp={"lab/a": VrrpId(110, 7), "ci/a": VrrpId(111, 7)})}
    | {"hosts": [host(prepare=False)]},
    arranged(
        cluster(
            addOns={"metallb": {"enabled": False}},
            arc={"extensions": [{"name": "n", "extensionType": "microsoft.arcnetworking"}]},
        )
    ),
]
