"""Labs as people build them, all sound: what a plan refuses of these, it refuses wrongly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.instances import cluster, files, infrastructure, network

Content = Mapping[str, Any]

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
OBJECT = "00000000-0000-0000-0000-00000000000a"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdvbGRlbmdvbGRlbmdvbGRlbmdvbGRlbmdvbGRlbmdv me@laptop"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-lab/providers"
AZURE = {"subscriptionId": SUBSCRIPTION, "resourceGroup": "rg-lab"}
INFRA = infrastructure(
    dnsServers=["10.0.0.5", "10.0.0.6"], pool={"start": "192.168.1.100", "end": "192.168.1.119"}
)


def servers(count: int, **more: Any) -> list[dict[str, Any]]:
    """Return hosts of one model, reached at their management addresses."""
    return [
        {
            "name": f"node{number}",
            "connection": f"qemu+ssh://root@192.168.1.{number + 10}/system",
            "managementAddress": f"192.168.1.{number + 10}",
            "uplink": "eno1",
            "cpus": 64,
            "memoryGiB": 512,
            "diskGiB": 16_000,
            **more,
        }
        for number in range(1, count + 1)
    ]


def vlan(number: int, name: str, *, start: int = 20, end: int = 99, **more: Any) -> dict[str, Any]:
    """Return a logical network 10.VLAN.0.0/24, as many sites number theirs."""
    net = f"10.{number % 200 // 2}.{number % 250}"
    return {
        "name": name,
        "vlan": number,
        "addressPrefix": f"{net}.0/24",
        "gateway": f"{net}.1",
        "dnsServers": ["10.0.0.5", "10.0.0.6"],
        "ipPools": [{"start": f"{net}.{start}", "end": f"{net}.{end}"}],
        **more,
    }


def pool(name: str = "nodepool1", count: int = 3, **more: Any) -> dict[str, Any]:
    return {"name": name, "count": count, **more}


def lab(*clusters: Mapping[str, Any], **parts: Any) -> dict[str, Any]:
    """Return three files' content: four hosts and network `aks`, where nothing else is said."""
    parts = {"hosts": servers(4), "infra": INFRA, "networks": [vlan(110, "aks")], **parts}
    return files(clusters, **parts)


def connected(
    arc: Mapping[str, Any], cluster_arc: Mapping[str, Any] | None = None, **parts: Any
) -> dict[str, Any]:
    """Return a lab of one cluster in Azure Arc; keys of the stack are in `stack`."""
    stack = {"arc": arc, **parts.pop("stack", {})}
    return lab(cluster(arc=dict(cluster_arc or {}), **parts.pop("cluster", {})), stack=stack, **parts)


def _clusters(count: int, **more: Any) -> list[dict[str, Any]]:
    return [cluster(f"team-{number}", **more) for number in range(1, count + 1)]


def _proxy(*direct: str, **urls: str) -> dict[str, Any]:
    return {"proxy": {**urls, "noProxy": ["localhost", "127.0.0.1", ".svc", ".corp.example", *direct]}}


def _flux(url: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "apps",
        "gitRepository": {"url": url, **more},
        "kustomizations": {"all": {"path": "./clusters/a"}},
    }


def _hosts_of_laptop() -> list[dict[str, Any]]:
    return [{"name": "laptop", "connection": "qemu:///system"}]


def _laptop(*clusters: Mapping[str, Any], **stack: Any) -> dict[str, Any]:
    """Return one machine with networks of libvirt's own."""
    nat = {"gateway": "10.197.40.1", "dnsServers": ["10.197.40.1"], "addressPrefix": "10.197.40.0/24"}
    aks = {
        "name": "aks",
        "gateway": "10.197.41.1",
        "dnsServers": ["10.197.41.1"],
        "addressPrefix": "10.197.41.0/24",
    }
    return files(
        clusters,
        stack={"resourceBridge": {"vmSize": "Small"}, **stack},
        hosts=_hosts_of_laptop(),
        infra={**nat, "pool": {"start": "10.197.40.20", "end": "10.197.40.30"}},
        networks=[{**aks, "ipPools": [{"start": "10.197.41.20", "end": "10.197.41.99"}]}],
    )


def _small(name: str = "a", **more: Any) -> dict[str, Any]:
    sizes = {"controlPlane": {"count": 1, "vmSize": "Small"}, "agentPools": [pool(count=1, vmSize="Small")]}
    return cluster(name, **{**sizes, **more})


def layouts() -> Iterator[tuple[str, Content]]:
    """Yield each layout under what it is."""
    yield "a resource bridge alone", lab(stack={"deploymentClass": "resourceBridgeTest"})
    yield "one host, one cluster", lab(cluster(), hosts=servers(1))
    yield "two hosts with a witness elsewhere", lab(cluster(planes=3, workers=4), hosts=servers(2))
    yield (
        "three hosts, low capacity",
        lab(
            cluster(workers=2),
            hosts=servers(3, cpus=24, memoryGiB=96),
            stack={"deploymentClass": "lowCapacity"},
        ),
    )
    yield (
        "sixteen hosts, twelve teams on a VLAN each",
        lab(
            *(cluster(f"t{n}", planes=3, workers=5, logicalNetwork=f"team-{n}") for n in range(12)),
            hosts=servers(16),
            networks=[vlan(110 + n, f"team-{n}") for n in range(12)],
        ),
    )
    yield (
        "two racks",
        lab(
            cluster(planes=3),
            hosts=[{**one, "localAvailabilityZone": "ab"[n % 2]} for n, one in enumerate(servers(4))],
            stack={"deploymentClass": "rackAware"},
        ),
    )
    yield (
        "forty hosts on a SAN",
        lab(
            *_clusters(2, planes=3, workers=10),
            hosts=[
                {
                    **one,
                    "managementAddress": f"192.168.1.{n + 130}",
                    "connection": f"qemu+ssh://root@192.168.1.{n + 130}/system",
                }
                for n, one in enumerate(servers(40))
            ],
            stack={"deploymentClass": "disaggregated"},
        ),
    )
    yield (
        "prod, test and dev on VLANs of their own",
        lab(
            *(
                cluster(name, planes=planes, logicalNetwork=name)
                for name, planes in (("prod", 5), ("test", 3), ("dev", 1))
            ),
            networks=[vlan(210, "prod"), vlan(220, "test"), vlan(230, "dev")],
        ),
    )
    yield (
        "several clusters on one VLAN, with addresses for services",
        lab(
            *(
                cluster(name, loadBalancer={"addresses": [f"10.55.110.{start}-10.55.110.{start + 9}"]})
                for name, start in (("a", 110), ("b", 120), ("c", 130))
            )
        ),
    )
    yield "service addresses that are chosen", lab(cluster(loadBalancer={"count": 16}))
    yield "an API endpoint by hand", lab(cluster(controlPlane={"count": 3, "hostIP": "10.55.110.250"}))
    yield (
        "a /22 with two pools",
        lab(
            cluster(planes=3, workers=40),
            networks=[
                network(addressPrefix="10.30.0.0/22", gateway="10.30.3.254", dnsServers=["10.0.0.5"])
                | {
                    "ipPools": [
                        {"start": "10.30.0.10", "end": "10.30.0.200", "ipPoolType": "vm"},
                        {"start": "10.30.2.10", "end": "10.30.2.100", "name": "second"},
                    ]
                }
            ],
        ),
    )
    yield (
        "infrastructure and clusters in one subnet",
        lab(
            cluster(),
            networks=[
                {
                    "name": "flat",
                    "addressPrefix": "192.168.1.0/24",
                    "gateway": "192.168.1.1",
                    "dnsServers": ["10.0.0.5"],
                    "ipPools": [{"start": "192.168.1.150", "end": "192.168.1.200"}],
                }
            ],
        )
        | {"stack": {"site": "s", "clusters": [cluster(logicalNetwork="flat")]}},
    )
    yield "tagged management", lab(cluster(), infra={**INFRA, "vlan": 8})
    yield (
        "DHCP beside the pools",
        lab(
            cluster(), networks=[vlan(110, "aks", dhcpRanges=[{"start": "10.55.110.200", "end": "10.55.110.250"}])]
        ),
    )
    yield "routers with VRRP", lab(cluster(), networks=[vlan(110, "aks", takenVrrpIds=[1, 10, 110])])
    yield (
        "autoscaling, GPUs behind the first pool",
        lab(
            cluster(
                agentPools=[
                    pool(count=2, enableAutoScaling=True, minCount=1, maxCount=6),
                    pool("gpupool", 1, vmSize="Standard_NC16_A2", nodeTaints=["sku=gpu:NoSchedule"]),
                ]
            )
        ),
    )
    yield (
        "labels and taints of a platform team",
        lab(
            cluster(
                agentPools=[
                    pool("system", 2, nodeLabels={"example.com/tier": "system"}),
                    pool(
                        "infra",
                        2,
                        nodeLabels={
                            "node.kubernetes.io/exclude-from-external-load-balancers": "true",
                            "team": "net",
                        },
                        nodeTaints=["dedicated=infra:NoSchedule", "example.com/drain:PreferNoSchedule"],
                    ),
                ]
            )
        ),
    )
    yield "the public cloud with tags", connected({**AZURE, "tags": {"env": "lab", "cost center": "42"}})
    yield "a region as the portal writes it", connected(AZURE, stack={"location": "Germany West Central"})
    yield (
        "clusters in several regions",
        lab(
            cluster("a", arc={"location": "westeurope"}),
            cluster("b", arc={"location": "North Europe"}),
            stack={"arc": AZURE},
        ),
    )
    yield "US government", connected({**AZURE, "cloud": "AzureUSGovernment"}, stack={"location": "usgovvirginia"})
    yield "China", connected({**AZURE, "cloud": "AzureChinaCloud"}, stack={"location": "China North 3"})
    yield (
        "disconnected operations",
        connected(
            {**AZURE, "cloud": "custom", "resourceManager": "https://management.autonomous.cloud.private"},
            stack={"location": "autonomous"},
        ),
    )
    yield (
        "private link, private endpoints",
        connected(
            {**AZURE, "privateLinkScope": f"{GROUP}/Microsoft.HybridCompute/privateLinkScopes/pls"},
            netplan={
                "privateEndpoints": [
                    {"name": "acr", "privateIPAddress": "10.9.9.4"},
                    {"name": "key vault", "privateIPAddress": "10.9.9.5"},
                ]
            },
        ),
    )
    yield (
        "an Arc gateway behind a proxy",
        connected(
            {**AZURE, "gateway": f"{GROUP}/Microsoft.HybridCompute/gateways/gw"},
            netplan=_proxy(
                "192.168.1.0/24", "10.0.0.0/8", httpProxy="http://10.9.9.9:3128", httpsProxy="http://10.9.9.9:3128"
            ),
        ),
    )
    yield (
        "a proxy with a login, by name",
        lab(
            cluster(),
            netplan=_proxy(
                "192.168.1.0/24", "10.55.110.0/24", httpsProxy="http://lab:p%40ss@proxy.corp.example:8080"
            ),
        ),
    )
    yield (
        "no proxy for anything",
        lab(cluster(), netplan={"proxy": {"httpProxy": "http://p:80", "noProxy": ["*"]}}),
    )
    yield (
        "Flux over https and ssh",
        connected(
            AZURE,
            {
                "fluxConfigurations": [
                    _flux("https://dev.azure.com/org/project/_git/repo", repositoryRef={"branch": "main"}),
                    {
                        **_flux("ssh://git@github.com/org/repo.git", repositoryRef={"tag": "v1.2.0"}),
                        "name": "infra",
                    }
                    | {"configurationProtectedSettings": {"sshPrivateKey": "arc:key"}},
                ]
            },
        ),
    )
    yield (
        "Flux with steps that wait",
        connected(
            AZURE,
            {
                "fluxConfigurations": [
                    {
                        **_flux("https://github.com/org/repo"),
                        "namespace": "flux-apps",
                        "kustomizations": {
                            "infra": {"path": "./infra", "prune": True},
                            "apps": {"path": "./apps", "dependsOn": ["infra"], "retryIntervalInSeconds": 60},
                            "tenants": {"path": "./tenants", "dependsOn": ["infra", "apps"]},
                        },
                    }
                ]
            },
        ),
    )
    yield (
        "monitoring, policy, key vault",
        connected(
            AZURE,
            {
                "knownExtensions": {
                    "containerInsights": {
                        "logAnalyticsWorkspaceResourceID": f"{GROUP}/Microsoft.OperationalInsights/workspaces/logs"
                    },
                    "managedPrometheus": {
                        "azureMonitorWorkspaceResourceId": f"{GROUP}/Microsoft.Monitor/accounts/m"
                    },
                    "azurePolicy": {},
                    "defender": {},
                    "keyVaultSecretsProvider": {"enableSecretRotation": True, "rotationPollInterval": "1h30m"},
                }
            },
        ),
    )
    yield (
        "Azure's load balancer instead of azlocal's",
        connected(
            AZURE,
            {"knownExtensions": {"networking": {"k8sRuntimeFpaObjectId": OBJECT}}},
            cluster={"addOns": {"metallb": {"enabled": False}}},
        ),
    )
    yield (
        "a custom location",
        connected(
            AZURE,
            {
                "customLocationsFeature": {"enabled": True, "oid": OBJECT},
                "extensions": [{"name": "appservice", "extensionType": "Microsoft.Web.Appservice"}],
                "customLocations": [{"name": "site-1", "namespace": "apps", "extensions": ["appservice"]}],
            },
        ),
    )
    yield (
        "workload identity and Azure RBAC",
        connected(
            AZURE, {"workloadIdentity": True, "oidcIssuer": {"enabled": True}, "azureRbac": {"enabled": True}}
        ),
    )
    yield "the emulator on a laptop", _laptop(_small(), arc={"cloud": "emulator"})
    yield (
        "three clusters on a laptop, one of bare machines",
        _laptop(_small("a"), _small("b"), _small("c", provisioning="machines")),
    )
    yield "plain machines only", _laptop(_small(provisioning="machines"), nodeImage="plain", machineType="vm")
    yield (
        "a mesh of cloud machines",
        lab(
            cluster(planes=3),
            hosts=[
                {
                    "name": f"vm{n}",
                    "connection": f"qemu+ssh://azureuser@203.0.113.{n}/system",
                    "managementAddress": f"192.168.1.{n + 10}",
                    "tunnelAddress": f"10.200.0.{n}",
                    "memoryGiB": 64,
                }
                for n in (1, 2, 3)
            ],
            netplan={"transport": "vxlan", "underlayMtu": 1400, "gatewayHost": "vm2"},
        ),
    )
    yield (
        "hosts behind a jump, by names of ~/.ssh/config",
        lab(
            cluster(),
            hosts=[
                {**one, "connection": f"qemu+ssh://{alias}/system"}
                for one, alias in zip(servers(2), ("lab_node_1", "node2.lab.internal"), strict=True)
            ],
        ),
    )
    yield (
        "hosts behind one address that forwards ports",
        lab(
            cluster(),
            hosts=[
                {**one, "connection": f"qemu+ssh://ops@bastion.example:{2200 + n}/system"}
                for n, one in enumerate(servers(3))
            ],
        ),
    )
    yield (
        "a host that drains, one that is lost",
        lab(
            cluster(planes=3),
            hosts=[*servers(4)[:2], {**servers(3)[2], "drain": "live"}, {**servers(4)[3], "lost": True}],
        ),
    )
    yield (
        "pins, a reserve, headroom",
        lab(
            cluster(planes=3),
            stack={
                "placement": {
                    "reservePercent": 20,
                    "headroom": "host",
                    "pins": {"a-cp-0": "node1", "lab-a-cp-1": "node2", "lab/a-cp-2": "node3"},
                }
            },
        ),
    )
    yield (
        "reservations: printers, machines, names of three kinds",
        lab(
            cluster(),
            reservations=[
                {"address": "10.55.110.5", "owner": "printer, 2nd floor"},
                {"address": "10.55.110.30", "owner": "a-cp-0"},
                {"address": "10.55.110.31", "owner": "lab/a-nodepool1-0"},
                {"address": "192.168.1.200", "owner": "backup appliance"},
            ],
        ),
    )
    yield (
        "keys of two people, restricted pods",
        lab(
            cluster(podSecurity="restricted", timeoutMinutes=30),
            stack={"sshPublicKeys": [KEY, KEY.replace("me@", "you@")]},
        ),
    )
    yield (
        "sizes of the site's own, disks elsewhere",
        lab(
            cluster(controlPlane={"count": 1, "vmSize": "Lab_M"}, agentPools=[pool(vmSize="Lab_L")]),
            sizes={
                "Lab_M": {"vcpus": 2, "memoryGiB": 4},
                "Lab_L": {"vcpus": 16, "memoryGiB": 64, "diskGiB": 2000},
            },
            hosts=servers(2, storageDirectory="/srv/vm store/azlocal"),
        ),
    )
    yield (
        "pods and services elsewhere than usual",
        lab(
            cluster(
                networkProfile={
                    "podCidr": "172.20.0.0/16",
                    "serviceCidr": "172.30.0.0/16",
                    "networkPolicy": "Calico",
                }
            )
        ),
    )
    yield (
        "carrier-grade addresses",
        lab(cluster(networkProfile={"podCidr": "100.64.0.0/16", "serviceCidr": "10.96.0.0/12"})),
    )
    yield (
        "the add-ons' values",
        lab(
            cluster(
                addOns={
                    "metallb": {"values": {"speaker": {"frr": {"enabled": False}}}},
                    "calico": {"values": {"typha": {"replicas": 2}}},
                }
            )
        ),
    )


def named() -> Sequence[tuple[str, Content]]:
    """Return all layouts."""
    return tuple(layouts())
