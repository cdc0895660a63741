"""What people write that a format has no place for; a key that nobody here knows counts as such."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from infra.export.facts import OF_CLUSTERS, ExportFacts, Format, Place
from infra.model.azure_regions import short_location
from infra.spec.arc import ArcSpec, ClusterArc
from infra.spec.findings import KeyPath
from infra.spec.netplan import Infrastructure, LogicalNetwork, Netplan
from infra.spec.stack import AgentPool, ClusterSpec, ControlPlane, NetworkProfile, StackConfig
from infra.spec.storage import StorageProfile
from infra.spec.types import Model

_HERE: Final = "it is about how azlocal makes machines here"
_AZURES: Final = "Azure Local decides that by itself"
_OTHERS: Final = "it keeps azlocal's own addresses and ids clear of others'"
_REACHED: Final = "it is about how azlocal reaches an Azure"
_UNKNOWN: Final = "no format has a place for it"

CARRIED: Final[dict[type[Model], frozenset[str]]] = {
    StackConfig: frozenset(
        {"site", "deploymentClass", "azureLocalRelease", "location", "sshPublicKeys", "arc", "clusters"}
    ),
    ClusterSpec: frozenset(
        {
            *("name", "kubernetesVersion", "logicalNetwork", "controlPlane", "agentPools", "networkProfile"),
            *("loadBalancer", "provisioning", "addOns", "arc"),
            *("storageProfile", "oidcIssuerProfile", "securityProfile"),
        }
    ),
    ControlPlane: frozenset({"count", "vmSize", "hostIP"}),
    AgentPool: frozenset(
        {
            *("name", "count", "vmSize", "maxPods", "enableAutoScaling", "minCount", "maxCount"),
            *("osType", "osSKU", "nodeLabels", "nodeTaints"),
        }
    ),
    NetworkProfile: frozenset({"podCidr", "serviceCidr", "networkPolicy"}),
    StorageProfile: frozenset({"nfsCsiDriver", "smbCsiDriver"}),
    ClusterArc: frozenset(
        {
            *("enabled", "name", "location", "tags", "azureHybridBenefit", "agentAutoUpgrade", "azureRbac"),
            *("oidcIssuer", "workloadIdentity", "extensions", "knownExtensions", "fluxConfigurations"),
        }
    ),
    ArcSpec: frozenset({"cloud", "subscriptionId", "tenantId", "resourceGroup", "tags"}),
    Netplan: frozenset({"infrastructure", "logicalNetworks", "proxy", "privateEndpoints"}),
    Infrastructure: frozenset({"addressPrefix", "gateway", "dnsServers", "pool", "vlan"}),
    LogicalNetwork: frozenset(
        {
            *("name", "vmSwitchName", "vlan", "ipAllocationMethod", "addressPrefix", "gateway", "dnsServers"),
            "ipPools",
        }
    ),
}
"""The keys that exports have, or that rules of their own speak of."""

_REASONS: Final[dict[str, str]] = {
    **dict.fromkeys(("machineType", "nodeImage", "placement", "probeAddresses", "podSecurity"), _HERE),
    **dict.fromkeys(("storageClasses", "deleteLocalVolumes", "snapshots"), _HERE),
    **dict.fromkeys(("timeoutMinutes", "transport", "underlayMtu", "gatewayHost"), _HERE),
    **dict.fromkeys(("resourceBridge", "autoUpgradeProfile", "upgradeSettings", "distribution"), _AZURES),
    **dict.fromkeys(("infrastructure", "releaseTrain", "clusterConnect", "customLocationsFeature"), _AZURES),
    "customLocations": _AZURES,
    **dict.fromkeys(("dhcpRanges", "takenVrrpIds"), _OTHERS),
    **dict.fromkeys(("resourceManager", "caFile", "emulatorAddress", "registerProviders"), _REACHED),
    **dict.fromkeys(
        ("privateLinkScope", "proxyCaFile", "gateway"),
        "it is the instance's in Azure Local, set when that is deployed",
    ),
    "reservations": "Azure Local has none; keep these addresses outside the pools there, too",
    "autoScalerProfile": "the module has no such parameter; `az aksarc update` sets it",
}


def nowhere(facts: ExportFacts) -> Iterator[tuple[*Place, str]]:
    """Yield what has no place in the format: file, place, reason."""
    netplan, stack = facts.spec.netplan, facts.spec.stack
    yield from (("stack", *lost) for lost in _unknown(stack, ()))
    yield from (("netplan", *lost) for lost in _unknown(netplan, ()))
    if facts.format in OF_CLUSTERS:
        for path, network in facts.networks:
            yield from (("netplan", *lost) for lost in _unknown(network, path))
        yield from _of_clusters(facts)
        return
    yield from (("netplan", *lost) for lost in _unknown(netplan.infrastructure, ("infrastructure",)))
    if facts.format is Format.ARM and netplan.infrastructure.vlan:
        why = "the template has no such parameter; set the VLAN on the hosts' management adapters"
        yield "netplan", ("infrastructure", "vlan"), why


def _of_clusters(facts: ExportFacts) -> Iterator[tuple[*Place, str]]:
    by_az = {"autoScalerProfile", "gateway"} if facts.format is Format.AZ else ()
    for path, cluster in facts.clusters:
        parts: list[tuple[Model, KeyPath]] = [
            (cluster, path),
            (cluster.control_plane, (*path, "controlPlane")),
            *((pool, (*path, "agentPools", number)) for number, pool in enumerate(cluster.agent_pools)),
            (cluster.network_profile, (*path, "networkProfile")),
            (cluster.storage_profile, (*path, "storageProfile")),
            (cluster.arc, (*path, "arc")),
        ]
        for part, place in parts:
            yield from (("stack", *lost) for lost in _unknown(part, place, by_az))
        yield from (("stack", (*path, *below), why) for below, why in _of_cluster(facts, cluster))
        name = facts.key_of(cluster)
        if name is not None and facts.of(cluster).authorized_ip_ranges and facts.format is not Format.AZ:
            why = "the module has no such parameter yet; anybody reaches the nodes by SSH"
            yield "target", ("clusters", name, "authorizedIPRanges"), why
    if facts.spec.stack.arc is not None:
        yield from (("stack", *lost) for lost in _unknown(facts.spec.stack.arc, ("arc",), by_az))


def _of_cluster(facts: ExportFacts, cluster: ClusterSpec) -> Iterator[tuple[KeyPath, str]]:
    """Yield those values of keys that carry which don't."""
    if cluster.provisioning == "machines":
        yield ("provisioning",), "an AKS cluster always has Kubernetes"
    with_values = [name for name, add_on in cluster.add_ons.by_name().items() if add_on.values]
    if with_values:
        yield ("addOns",), f"Azure Local's own {with_values[0]} takes no Helm values"
    arc = cluster.arc
    if not arc.enabled:
        yield ("arc", "enabled"), "an AKS cluster on Azure Local is always connected"
    if arc.azure_rbac.skip_authz_check:
        yield ("arc", "azureRbac", "skipAuthzCheck"), "AKS on Azure Local has no such setting"
    if arc.oidc_issuer.self_hosted_issuer_url is not None and facts.format is not Format.BICEP:
        yield ("arc", "oidcIssuer", "selfHostedIssuerUrl"), "there is no such parameter"
    if arc.location is not None and short_location(arc.location) != short_location(facts.spec.stack.location):
        yield ("arc", "location"), "an AKS cluster is in its custom location's region"
    for number, flux in enumerate(arc.flux_configurations):
        git = flux.git_repository
        for key, written in (("httpsCAFile", git.https_ca_file), ("sshKnownHostsFile", git.ssh_known_hosts_file)):
            if written is not None:
                yield (
                    ("arc", "fluxConfigurations", number, "gitRepository", key),
                    "no file here is read",
                )


def _unknown(model: Model, place: KeyPath, also: Collection[str] = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield those keys that don't carry and that a file has with another value than their default.

    Args:
        model: A part of a file.
        place: Where it stands.
        also: Keys that carry all the same.
    """
    kind = type(model)
    for name, field in kind.model_fields.items():
        key = field.alias or name
        is_written = name in model.model_fields_set and getattr(model, name) != field.get_default()
        if is_written and key not in CARRIED[kind] and key not in also:
            yield (*place, key), _REASONS.get(key, _UNKNOWN)
