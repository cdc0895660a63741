"""Parameter files for Azure Verified Modules in Bicep, and a template for what is installed on each cluster.

Modules and their parameters: azure_parity.md §3.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra.export.above import EXTENSIONS_VERSION, FLUX_VERSION, LOAD_BALANCER, LOAD_BALANCERS_VERSION, Above
from infra.export.bicep_text import Expression, bicep_value
from infra.export.module_names import BICEP_CLUSTER, BICEP_NETWORK
from infra.export.output import MADE_BY, Export, command
from infra.export.wanted import Wanted, WantedCluster, WantedNetwork, WantedPool, without_none
from infra.spec.target import SshKeyVault

NETWORK_VERSION: Final = "0.3.0"
CLUSTER_VERSION: Final = (
    "0.2.1"  # 0.3.0 is in the repository since May 2026, and was never tagged, so not published
)
_CONNECTED_CLUSTERS_VERSION: Final = "2024-01-01"


def to_bicep(wanted: Wanted, vault: SshKeyVault | None) -> Export:
    """Return the files of an export, and the commands that deploy them."""
    files: dict[str, str] = {}
    steps: list[str] = []
    place = ("--subscription", wanted.subscription_id, "--resource-group", wanted.resource_group)
    create = ("az", "deployment", "group", "create", *place)
    for network in wanted.networks:
        if network.is_made:
            name = f"network-{network.name}.bicepparam"
            files[name] = _parameters(BICEP_NETWORK, NETWORK_VERSION, network_parameters(network))
            steps.append(command([*create, "--parameters", name]))
    for cluster in wanted.clusters:
        name = f"cluster-{cluster.key}.bicepparam"
        files[name] = _parameters(BICEP_CLUSTER, CLUSTER_VERSION, cluster_parameters(wanted, cluster, vault))
        steps.append(command([*create, "--parameters", name]))
        if not cluster.above.is_nothing:
            name = f"cluster-{cluster.key}-above.bicep"
            files[name] = _template(cluster)
            steps.append(command([*create, "--template-file", name]))
    return Export(files, tuple(steps))


def network_parameters(network: WantedNetwork) -> dict[str, Any]:
    """Return a logical network's parameters."""
    written = network.network
    return without_none(
        {
            "name": network.name,
            "location": network.location,
            "customLocationResourceId": network.custom_location,
            "vmSwitchName": network.switch,
            "ipAllocationMethod": "Static",
            "addressPrefix": str(written.address_prefix.network),
            "defaultGateway": str(written.gateway),
            "routeName": "default",
            "dnsServers": [str(server) for server in written.dns_servers],
            "ipPools": network.pools,
            "vlanId": written.vlan or None,
            "tags": dict(network.tags) or None,
        }
    )


def cluster_parameters(wanted: Wanted, cluster: WantedCluster, vault: SshKeyVault | None) -> dict[str, Any]:
    """Return a cluster's parameters."""
    arc = cluster.spec.arc
    oidc = without_none(
        {"enabled": cluster.spec.is_issuer, "selfHostedIssuerUrl": arc.oidc_issuer.self_hosted_issuer_url}
    )
    return without_none(
        {
            "name": cluster.name,
            "location": wanted.location,
            "tags": dict(cluster.tags) or None,
            "connectClustersTags": dict(cluster.tags) or None,
            "customLocationResourceId": wanted.custom_location,
            "kubernetesVersion": cluster.version,
            **_ssh(cluster, vault),
            "cloudProviderProfile": {"infraNetworkProfile": {"vnetSubnetIds": [cluster.network.id]}},
            "controlPlane": {
                "count": cluster.spec.control_plane.count,
                "vmSize": cluster.plane_size,
                "controlPlaneEndpoint": without_none({"hostIP": cluster.host_ip}),
            },
            "agentPoolProfiles": [_pool(pool) for pool in cluster.pools],
            "networkProfile": {
                "loadBalancerProfile": {"count": 0},
                "networkPolicy": "calico",
                "podCidr": str(cluster.spec.network_profile.pod_cidr.network),
            },
            "storageProfile": {
                "nfsCsiDriver": {"enabled": cluster.has_nfs},
                "smbCsiDriver": {"enabled": cluster.has_smb},
            },
            "licenseProfile": {"azureHybridBenefit": arc.azure_hybrid_benefit},
            "aadProfile": cluster.aad,
            "arcAgentProfile": {"agentAutoUpgrade": "Enabled" if arc.agent_auto_upgrade else "Disabled"},
            "oidcIssuerProfile": oidc,
            "securityProfile": {"workloadIdentity": {"enabled": cluster.spec.has_workload_identity}},
        }
    )


def _ssh(cluster: WantedCluster, vault: SshKeyVault | None) -> dict[str, Any]:
    if cluster.ssh_key is not None:
        return {"linuxProfile": {"ssh": {"publicKeys": [{"keyData": cluster.ssh_key}]}}}
    if vault is None:
        return {}
    return {
        "keyVaultName": vault.name,
        "keyvaultSubscriptionId": vault.subscription_id,
        "keyvaultResourceGroup": vault.resource_group,
    }


def _pool(wanted: WantedPool) -> dict[str, Any]:
    scales = {
        "enableAutoScaling": wanted.pool.enable_auto_scaling,
        "minCount": wanted.least,
        "maxCount": wanted.most,
    }
    return wanted.profile(scales)


def _parameters(module: str, version: str, values: Mapping[str, Any]) -> str:
    lines = [f"// {MADE_BY}", f"using {bicep_value(f'br/public:{module}:{version}')}", ""]
    return "\n".join([*lines, *(f"param {name} = {bicep_value(value)}" for name, value in values.items()), ""])


def _template(cluster: WantedCluster) -> str:
    """Return the template of what is installed on a cluster."""
    above = cluster.above
    parts = [f"// {MADE_BY}"]
    parts += [f"@secure()\nparam {secret} string" for secret in above.secrets]
    parts.append(
        f"resource cluster 'Microsoft.Kubernetes/connectedClusters@{_CONNECTED_CLUSTERS_VERSION}' existing = "
        + bicep_value({"name": cluster.name})
    )
    parts += [f"resource {name} '{kind}' = {bicep_value(body)}" for name, kind, body in _resources(above)]
    return "\n\n".join(parts) + "\n"


def _resources(above: Above) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each resource on a cluster: its symbol, its type, its body."""
    symbols = {name: f"extension{number}" for number, name in enumerate(above.extensions)}
    scope = {"scope": Expression("cluster")}
    for name, body in above.extensions.items():
        kind = f"Microsoft.KubernetesConfiguration/extensions@{EXTENSIONS_VERSION}"
        yield symbols[name], kind, {**scope, "name": name, **body}
    if above.addresses and above.networking is not None:
        kind = f"Microsoft.KubernetesRuntime/loadBalancers@{LOAD_BALANCERS_VERSION}"
        properties = {"addresses": list(above.addresses), "advertiseMode": "ARP"}
        after = {"dependsOn": [Expression(symbols[above.networking])]}
        yield "loadBalancer", kind, {**scope, "name": LOAD_BALANCER, "properties": properties, **after}
    flux = [Expression(symbols[spec.name]) for spec in above.specs if spec.is_flux]
    for number, (name, body) in enumerate(above.flux.items()):
        kind = f"Microsoft.KubernetesConfiguration/fluxConfigurations@{FLUX_VERSION}"
        yield f"flux{number}", kind, {**scope, "name": name, **body, "dependsOn": flux}
