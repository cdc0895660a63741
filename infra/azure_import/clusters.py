"""AKS clusters, by our keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from infra.azure_import.collect import Azure, AzureCluster
from infra.azure_import.in_use import pool_with
from infra.azure_import.report import NO_PLACE, NOT_MISSED, Report
from infra.azure_import.services import write_services
from infra.azure_import.things import Thing, unread
from infra.azure_import.written import Written
from infra.export.nowhere import CARRIED
from infra.spec.auto_scaler import AutoScalerProfile
from infra.spec.forms import CLUSTER_NAME
from infra.spec.kubernetes_versions import DEFAULT_KUBERNETES_VERSION
from infra.spec.ssh_keys import is_public_key
from infra.spec.stack import AgentPool

_ARM: Final[dict[str, Any]] = dict.fromkeys(
    (
        *("id", "name", "type", "kind", "location", "extendedLocation", "systemData", "resourceGroup", "identity"),
        *("provisioningState", "status", "currentState", "tags", "etag"),
    )
)
_KEYS: Final = [
    key
    for name, field in AgentPool.model_fields.items()
    if (key := field.alias or name) in CARRIED[AgentPool] and key != "name"
]
"""What a pool has beside its name: what an export writes, in the order of the stack's files."""

_SCALES: Final = ("minCount", "maxCount")
_POOL: Final[dict[str, Any]] = {
    **_ARM,
    **dict.fromkeys(CARRIED[AgentPool]),
    **dict.fromkeys(("gpuCountPerNode", "availabilityZones", "nodeImageVersion", "kubernetesVersion", "mode")),
}
_INSTANCE: Final[dict[str, Any]] = {
    **_ARM,
    "kubernetesVersion": None,
    "linuxProfile": {"ssh": {"publicKeys": None}},
    "controlPlane": {
        "count": None,
        "vmSize": None,
        "osType": None,
        "linuxProfile": None,
        "controlPlaneEndpoint": {"hostIP": None, "port": None},
    },
    "networkProfile": {"podCidr": None, "networkPolicy": None, "loadBalancerProfile": None},
    "storageProfile": {"nfsCsiDriver": {"enabled": None}, "smbCsiDriver": {"enabled": None}},
    "cloudProviderProfile": {"infraNetworkProfile": {"vnetSubnetIds": None}},
    "licenseProfile": {"azureHybridBenefit": None},
    "autoScalerProfile": None,
    "agentPoolProfiles": _POOL,
}
_CONNECTED: Final[dict[str, Any]] = {
    **_ARM,
    **dict.fromkeys(
        (
            *("agentPublicKeyCertificate", "agentVersion", "connectivityStatus", "distribution", "offering"),
            *(
                "distributionVersion",
                "infrastructure",
                "kubernetesVersion",
                "lastConnectivityTime",
                "totalCoreCount",
            ),
            *(
                "managedIdentityCertificateExpirationTime",
                "totalNodeCount",
                "privateLinkState",
                "miscellaneousProperties",
            ),
            *("arcAgentryConfigurations", "azureHybridBenefit"),
        )
    ),
    "arcAgentProfile": None,
    "oidcIssuerProfile": None,
    "securityProfile": {"workloadIdentity": None},
    "aadProfile": {"enableAzureRBAC": None},
}
"""What is read of resources, or says nothing that files could (things.unread)."""

_ABOUT_AZURE: Final = "it is about Azure"
_REASONS: Final = {
    "admingroupobjectids": (_ABOUT_AZURE, "for an export, write adminGroupObjectIDs in targets/<site>.yaml"),
    "tenantid": (_ABOUT_AZURE, "for an export, write tenantId in targets/<site>.yaml"),
    "clustervmaccessprofile": (
        "whoever has a key reaches the nodes here",
        "for an export, write clusters.NAME.authorizedIPRanges in targets/<site>.yaml",
    ),
    "securityprofile": ("no node here trusts other authorities, or has FIPS", NOT_MISSED),
    "gateway": ("a gateway is all clusters'", "write its id at azlocal:arc's gateway"),
    "privatelinkscoperesourceid": ("a scope is all clusters'", "write its id at azlocal:arc's privateLinkScope"),
}
_ENABLED: Final = "enabled"
_UNFIT: Final = re.compile("[^a-z0-9]+")


def cluster_names(azure: Azure, stack: str, report: Report) -> dict[str, str]:
    """Return each cluster's name here by its name in Azure, which may have what machines' names can't."""
    names: dict[str, str] = {}
    for cluster in azure.clusters:
        short = _UNFIT.sub("-", cluster.name.lower()).strip("-")
        own = short.removeprefix(f"{stack.lower()}-") or short
        thing = cluster.instance.thing
        if not CLUSTER_NAME.fits(own):
            message = f"nothing that a cluster may be called here comes of {cluster.name}"
            report.say("import-name", thing, message, f"import it by itself, renamed: {CLUSTER_NAME.words}")
        elif own in names.values():
            other = next(azures for azures, ours in names.items() if ours == own)
            message = f"clusters {other} and {cluster.name} would both be called {own} here"
            report.say("import-name", thing, message, "import one of them by itself")
        elif cluster.name not in (own, f"{stack}-{own}"):
            message = f"cluster {cluster.name} is called {own} here; arc.name keeps its name in Azure"
            report.say(
                "import-renamed", thing, message, "nothing to do; or rename it in the stack's file, not later"
            )
        names[cluster.name] = own
    return names


def clusters(azure: Azure, stack: str, report: Report) -> list[Written]:
    """Return the clusters."""
    names = cluster_names(azure, stack, report)
    return [_cluster(cluster, azure, names[cluster.name], stack, report) for cluster in azure.clusters]


def _cluster(cluster: AzureCluster, azure: Azure, name: str, stack: str, report: Report) -> Written:
    made, own = Written(), cluster.instance.properties
    made.put("name", name, cluster.instance.thing)
    version = own.get("kubernetesVersion")
    if version is not None:
        made.put("kubernetesVersion", str(version.value).removeprefix("v"), version)
    else:
        message = f"no file says which Kubernetes cluster {cluster.name} has: it gets {DEFAULT_KUBERNETES_VERSION}"
        report.say("import-guessed", cluster.instance.thing, message, "write its kubernetesVersion")
    network = azure.network_of(cluster)
    made.put("logicalNetwork", network.name if network is not None else None, cluster.network)
    made.add("controlPlane", _plane(cluster, azure))
    pools = [entry.thing for entry in cluster.pools] or own.items("agentPoolProfiles")
    made.add_list("agentPools", [_pool(pool) for pool in pools])
    profile = Written()
    profile.take_each(own.get("networkProfile") or Thing({}, ""), ("podCidr", "networkPolicy"))
    made.add("networkProfile", profile)
    made.add("storageProfile", _storage(own))
    made.add("autoScalerProfile", _scaler(own, report))
    write_services(cluster, made, _arc(cluster, name, stack), report)
    _say_lost(cluster, report)
    return made


def _plane(cluster: AzureCluster, azure: Azure) -> Written:
    made, own = Written(), cluster.instance.properties
    made.take_each(own.get("controlPlane") or Thing({}, ""), ("count", "vmSize"))
    endpoint = own.get("controlPlane", "controlPlaneEndpoint", "hostIP")
    if endpoint is not None and pool_with(endpoint, azure.network_of(cluster)) is None:
        made.take("hostIP", endpoint)
    return made


def _pool(pool: Thing) -> Written:
    made, own = Written(), pool.get("properties") or pool
    made.take("name", pool.get("name"))
    scales = own.get("enableAutoScaling")
    bounded = scales is not None and scales.value is True
    made.take_each(own, [key for key in _KEYS if bounded or key not in _SCALES])
    return made


def _storage(own: Thing) -> Written:
    made = Written()
    for driver in ("nfsCsiDriver", "smbCsiDriver"):
        enabled = own.get("storageProfile", driver, _ENABLED)
        if enabled is not None and enabled.value is not True:
            part = Written()
            part.take(_ENABLED, enabled)
            made.add(driver, part)
    return made


def _scaler(own: Thing, report: Report) -> Written:
    """Return how eagerly pools scale: the API writes `scan-interval`, az prints `scanInterval`."""
    made = Written()
    keys = {str(field.alias).replace("-", ""): field.alias for field in AutoScalerProfile.model_fields.values()}
    for written, value in own.entries("autoScalerProfile"):
        alias = keys.get(written.lower().replace("-", ""))
        if alias is None:
            report.lose(value, written, "an autoScalerProfile", NO_PLACE, NOT_MISSED)
        elif not value.is_empty:
            made.take(alias, value)
    return made


def _arc(cluster: AzureCluster, name: str, stack: str) -> Written:
    """Return `arc:` of a cluster, but for what is installed on it."""
    made, instance = Written(), cluster.instance
    if cluster.name != f"{stack}-{name}":
        made.put("name", cluster.name, instance.thing)
    connected = cluster.connected
    properties = connected.properties if connected is not None else Thing({}, "")
    tags: dict[str, Thing] = {}
    for entry in (instance.thing, *([connected.thing] if connected is not None else [])):
        tags |= dict(entry.entries("tags"))
    made.take("tags", Thing(tags, instance.thing.file) if tags else None)
    benefit = instance.properties.get("licenseProfile", "azureHybridBenefit")
    if benefit is not None and benefit.value != "NotApplicable":
        made.take("azureHybridBenefit", benefit)
    upgrade = properties.get("arcAgentProfile", "agentAutoUpgrade")
    if upgrade is not None and str(upgrade.value).lower() == "disabled":
        made.put("agentAutoUpgrade", False, upgrade)
    for key, place in {
        "azureRbac": ("aadProfile", "enableAzureRBAC"),
        "oidcIssuer": ("oidcIssuerProfile", _ENABLED),
    }.items():
        switch, part = properties.get(*place), Written()
        if switch is not None and switch.value is not False:
            part.take(_ENABLED, switch)
            own_url = properties.get("oidcIssuerProfile", "selfHostedIssuerUrl") if key == "oidcIssuer" else None
            part.take("selfHostedIssuerUrl", own_url)
            made.add(key, part)
    identity = properties.get("securityProfile", "workloadIdentity", _ENABLED)
    if identity is not None and identity.value is not False:
        made.take("workloadIdentity", identity)
    return made


def ssh_keys(azure: Azure, report: Report) -> list[tuple[str, Thing]]:
    """Return the keys that log in to clusters' nodes, each once."""
    keys: dict[str, Thing] = {}
    by_cluster: list[set[str]] = []
    for cluster in azure.clusters:
        own: set[str] = set()
        for entry in cluster.instance.properties.items("linuxProfile", "ssh", "publicKeys"):
            text, place = entry.text("keyData"), entry.get("keyData") or entry
            if text is not None and is_public_key(text):
                keys.setdefault(text, place)
                own.add(text)
            else:
                message = f"the SSH key of cluster {cluster.name} is cut off, or none, and isn't imported"
                report.say("import-left-out", place, message, "write yours in the stack's file at sshPublicKeys")
        by_cluster.append(own)
    if len(keys) > 1 and any(own != set(keys) for own in by_cluster):
        message = f"the clusters have {len(keys)} SSH keys, and each of them will log in to all machines"
        report.say("import-left-out", next(iter(keys.values())), message, "keep those that you want")
    return list(keys.items())


def _say_lost(cluster: AzureCluster, report: Report) -> None:
    instance, connected = cluster.instance, cluster.connected
    parts: list[tuple[Thing, Mapping[str, Any]]] = [(instance.thing, {**_INSTANCE, "properties": _INSTANCE})]
    parts += [(pool.thing, {**_POOL, "properties": _POOL}) for pool in cluster.pools]
    if connected is not None:
        parts.append((connected.thing, {**_CONNECTED, "properties": _CONNECTED}))
    for thing, known in parts:
        for path, lost in unread(thing, known):
            key = str(path[-1])
            report.lose(lost, key, f"cluster {cluster.name}", *_REASONS.get(key.lower(), (NO_PLACE, NOT_MISSED)))
    balancer = instance.properties.get("networkProfile", "loadBalancerProfile", "count")
    if balancer is not None and balancer.value != 0:
        why = "no machines for it are made here"
        remedy = "write loadBalancer in the stack's file for services' addresses"
        report.lose(balancer, "loadBalancerProfile.count", f"cluster {cluster.name}", why, remedy)
