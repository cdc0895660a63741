"""Many instances, drawn by a seed of their own: the same on every machine and in every run."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.instances import cluster, files, host, infrastructure, network

VERSION = "1.34.4"
COUNT = 100
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdvbGRlbmdvbGRlbmdvbGRlbmdvbGRlbmdvbGRlbmdv golden"
_SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
_SCOPE = f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/rg/providers"
_POOLS = ("nodepool1", "gpu", "infra", "zoo")
_NAMES = ("a", "b", "web", "db-1", "x9", "edge")
_SIZES = ("Standard_A4_v2", "Standard_D4s_v3", "Small")


@dataclass(frozen=True)
class Instance:
    """One instance as people write it.

    Attributes:
        name: The stack.
        content: The three files.
        machine_type: How machines run on a host where nobody says it.
    """

    name: str
    content: dict[str, dict[str, Any]]
    machine_type: str


def instance(number: int) -> Instance:
    """Return one of many instances of every kind: most are sound; every fifth breaks some rule."""
    chance = random.Random(number)
    content = _sound(chance)
    if number % 5 == 4:
        _break(chance, content)
    return Instance(f"g{number:03}", content, chance.choice(["vm", "container", "emulated"]))


def _sound(chance: random.Random) -> dict[str, dict[str, Any]]:
    """Draw an instance that keeps the rules, as far as nothing drawn clashes by chance."""
    networks = _networks(chance)
    count = chance.choice([1, 1, 2, 3, 4])
    names = chance.sample(_NAMES, chance.choice([0, 1, 1, 2, 2, 3]))
    arc = _azure(chance, count)
    clusters = [_cluster(chance, name, chance.choice(networks)["name"], arc) for name in names]
    transport = {"transport": "vxlan", "underlayMtu": chance.choice([1500, 9000])} if chance.random() < 0.3 else {}
    netplan: dict[str, Any] = {**transport}
    if chance.random() < 0.2:
        netplan["proxy"] = {"httpProxy": "http://10.0.0.8:3128", "httpsProxy": "http://10.0.0.8:3128"}
        netplan["proxy"]["noProxy"] = ["localhost", ".svc", "10.0.0.0/8", "192.168.0.0/16"]
    if chance.random() < 0.2:
        netplan["privateEndpoints"] = [{"name": "vault", "privateIPAddress": "10.0.0.7"}]
    stack: dict[str, Any] = {
        "sshPublicKeys": [PUBLIC_KEY],
        "location": chance.choice(["eastus", "westeurope"]),
        "machineType": chance.choice(["auto", "auto", "vm", "container", "emulated"]),
        "resourceBridge": {"vmSize": chance.choice(_SIZES)},
        "probeAddresses": chance.random() < 0.8,
    }
    if arc is not None:
        stack["arc"] = arc
        if arc.get("cloud") == "AzureChinaCloud":
            stack["location"] = {"eastus": "chinaeast2", "westeurope": "China North 3"}[stack["location"]]
    return files(
        clusters,
        stack=stack,
        hosts=_hosts(chance, count, with_uplink=not transport),
        infra=infrastructure(pool={"start": "192.168.1.40", "end": f"192.168.1.{chance.randint(46, 60)}"}),
        networks=networks,
        reservations=[{"address": "10.220.32.9", "owner": "printer"}] * (chance.random() < 0.4),
        netplan=netplan,
        sizes={"Small": {"vcpus": 2, "memoryGiB": 4, "diskGiB": 40}},
    )


def _networks(chance: random.Random) -> list[dict[str, Any]]:
    first = network("10.220.32.20", f"10.220.32.{chance.randint(90, 160)}")
    second = network(
        "10.9.0.20",
        "10.9.0.120",
        name="other",
        addressPrefix="10.9.0.0/24",
        gateway="10.9.0.1",
        dnsServers=["10.9.0.2"],
        vlan=9,
        takenVrrpIds=chance.sample(range(1, 256), 3),
    )
    return [first, second] if chance.random() < 0.5 else [first]


def _hosts(chance: random.Random, count: int, *, with_uplink: bool) -> list[dict[str, Any]]:
    size = {"cpus": 64, "memoryGiB": 512, "diskGiB": 8000}
    hosts = []
    for number in range(1, count + 1):
        one = host(number, **(size if chance.random() < 0.8 else {}))
        if not with_uplink:
            del one["uplink"]
        if chance.random() < 0.2:
            one["storageDirectory"] = "/srv/azlocal"
        if chance.random() < 0.2:
            one["prepare"] = False
        hosts.append(one)
    if count > 2 and chance.random() < 0.4:
        hosts[-1] |= chance.choice([{"drain": True}, {"drain": "live"}, {"lost": True}])
    return hosts


def _cluster(chance: random.Random, name: str, home: str, azure: dict[str, Any] | None) -> dict[str, Any]:
    start = {"aks": "10.220.32", "other": "10.9.0"}[home]
    own = 170 + 12 * _NAMES.index(name)
    one = cluster(
        name,
        kubernetesVersion=VERSION,
        logicalNetwork=home,
        controlPlane={
            "count": chance.choice([1, 1, 1, 1, 3, 3, 5]),
            "vmSize": chance.choice(_SIZES),
            **({"hostIP": f"{start}.{own}"} if chance.random() < 0.3 else {}),
        },
        agentPools=[_pool(chance, pool) for pool in chance.sample(_POOLS, chance.choice([1, 1, 2, 3]))],
        loadBalancer=chance.choice(
            [{"addresses": [f"{start}.{own + 1}-{start}.{own + 4}"]}, {"count": 2}, {"count": 0}, {}]
        ),
        networkProfile={
            "podCidr": chance.choice(["10.244.0.0/16", "172.28.0.0/15"]),
            "serviceCidr": "10.96.0.0/12",
        },
        timeoutMinutes=chance.choice([5, 10, 30]),
    )
    if chance.random() < 0.3:
        one["podSecurity"] = chance.choice(["privileged", "restricted"])
    if chance.random() < 0.15:
        one["provisioning"] = "machines"
    if chance.random() < 0.3:
        one["addOns"] = chance.choice(
            [
                {"metallb": {"enabled": False}},
                {"calico": {"values": {"typha": {"replicas": 2}}}},
                {"localPathProvisioner": {"values": {"replicaCount": 1}}},
            ]
        )
    if azure is not None and one.get("provisioning") != "machines":
        one["arc"] = _arc(chance, name)
    return one


def _pool(chance: random.Random, name: str) -> dict[str, Any]:
    count = chance.randint(1, 3)
    one: dict[str, Any] = {"name": name, "count": count, "vmSize": chance.choice(_SIZES)}
    if chance.random() < 0.3:
        one |= {"enableAutoScaling": True, "minCount": 1, "maxCount": count + chance.randint(0, 3)}
    if name == "gpu":
        one |= {"nodeLabels": {"example.com/tier": "gpu"}, "maxPods": chance.choice([30, 110, 200])}
    if name == "infra" and chance.random() < 0.5:
        one["nodeTaints"] = ["dedicated=infra:NoExecute"]
    return one


def _azure(chance: random.Random, hosts: int) -> dict[str, Any] | None:
    kind = chance.choice(["none", "none", "public", "emulator", "custom", "china"])
    tags = {"tags": {"team": "golden"}} if chance.random() < 0.5 else {}
    match kind:
        case "none":
            return None
        case "emulator":
            return {"cloud": "emulator", "emulatorAddress": "10.0.0.9", **tags}
        case "custom":
            return {"cloud": "custom", "resourceManager": "https://arm.example", "subscriptionId": _SUBSCRIPTION}
        case "china":
            return {"cloud": "AzureChinaCloud", "subscriptionId": _SUBSCRIPTION, **tags}
    link = {"privateLinkScope": f"{_SCOPE}/Microsoft.HybridCompute/privateLinkScopes/s"}
    return {
        "subscriptionId": _SUBSCRIPTION,
        "resourceGroup": "rg",
        "registerProviders": chance.random() < 0.5,
        **(link if chance.random() < 0.3 else {}),
        **tags,
    }


def _arc(chance: random.Random, name: str) -> dict[str, Any]:
    arc: dict[str, Any] = {"name": f"arc-{name}"} if chance.random() < 0.3 else {}
    if chance.random() < 0.4:
        arc["fluxConfigurations"] = [
            {
                "name": "apps",
                "gitRepository": {"url": "https://git.example/r.git", "repositoryRef": {"tag": "v1"}},
                "kustomizations": {"infra": {"path": "./infra"}, "apps": {"path": "./a", "dependsOn": ["infra"]}},
            }
        ]
    if chance.random() < 0.4:
        arc["oidcIssuer"] = {"enabled": True}
        arc["workloadIdentity"] = chance.random() < 0.5
    if chance.random() < 0.3:
        workspace = f"{_SCOPE}/Microsoft.OperationalInsights/workspaces/w"
        arc["knownExtensions"] = {"containerInsights": {"logAnalyticsWorkspaceResourceID": workspace}}
    if chance.random() < 0.3:
        arc["extensions"] = [
            {"name": "dapr", "extensionType": "microsoft.dapr", "configurationSettings": {"a.b": "c"}}
        ]
        arc["customLocationsFeature"] = {"enabled": True, "oid": "00000000-0000-0000-0000-000000000002"}
        arc["customLocations"] = [{"name": "cl", "namespace": "apps", "extensions": ["dapr"]}]
    return arc


def _break(chance: random.Random, content: dict[str, dict[str, Any]]) -> None:
    """Make one or two faults, such as people make."""
    netplan, stack, hosts = content["netplan"], content["stack"], content["hosts"]["hosts"]
    aks = netplan["logicalNetworks"][0]
    faults: list[Callable[[], None]] = [
        lambda: netplan["infrastructure"].update(gateway="192.168.2.1"),
        lambda: netplan["infrastructure"].update(pool={"start": "192.168.1.9", "end": "192.168.1.14"}),
        lambda: aks["ipPools"][0].update(end="10.220.32.22"),
        lambda: aks.update(gateway="10.220.32.40"),
        lambda: hosts[0].update(memoryGiB=8),
        lambda: hosts[0].update(connection="qemu+ssh://root@10.220.32.30/system"),
        lambda: stack["clusters"].append(cluster("odd", planes=2, kubernetesVersion="1.30.1")),
        lambda: stack["clusters"].append(cluster("far", logicalNetwork="nowhere", kubernetesVersion=VERSION)),
        lambda: stack.update(deploymentClass="rackAware"),
        lambda: stack["resourceBridge"].update(vmSize="Standard_None"),
        lambda: netplan["reservations"].append({"address": "10.220.32.1", "owner": "a-cp-0"}),
        lambda: hosts.append(dict(hosts[0])),
    ]
    for fault in chance.sample(faults, chance.choice([1, 1, 2])):
        fault()
