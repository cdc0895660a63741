"""Azure Verified Modules in Terraform, one `module` a network and cluster, in Terraform's JSON syntax.

Modules and their variables: azure_parity.md §3.2. What is installed on a cluster has no module: azapi makes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from infra.export.above import (
    EXTENSIONS_VERSION,
    FLUX_VERSION,
    LOAD_BALANCER,
    LOAD_BALANCERS_VERSION,
    Secret,
)
from infra.export.output import MADE_BY, Export
from infra.export.wanted import Wanted, WantedCluster, WantedNetwork, without_none
from infra.spec.target import SshKeyVault

FILE: Final = "azlocal.tf.json"
NETWORK_MODULE: Final = "Azure/avm-res-azurestackhci-logicalnetwork/azurerm"
NETWORK_VERSION: Final = "2.0.0"
CLUSTER_MODULE: Final = "Azure/avm-res-hybridcontainerservice-provisionedclusterinstance/azurerm"
CLUSTER_VERSION: Final = "2.0.4"
_FIXED: Final = {"enableAutoScaling": False}


class Reference(str):
    """What Terraform reads as an expression."""


def to_terraform(wanted: Wanted, vault: SshKeyVault | None) -> Export:
    """Return the configuration, and the commands that apply it."""
    modules: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    secrets: set[Secret] = set()
    for network in wanted.networks:
        if network.is_made:
            source = {"source": NETWORK_MODULE, "version": NETWORK_VERSION}
            modules[_label("network", network.name)] = {**source, **network_variables(wanted, network)}
    for cluster in wanted.clusters:
        source = {"source": CLUSTER_MODULE, "version": CLUSTER_VERSION}
        modules[_label("cluster", cluster.key)] = {**source, **cluster_variables(wanted, cluster, vault)}
        resources |= _above(cluster)
        secrets |= set(cluster.above.secrets)
    variables = {secret: {"type": "string", "sensitive": True} for secret in sorted(secrets)}
    content = {
        "//": MADE_BY,
        "terraform": {
            "required_version": ">= 1.9, < 2.0",
            "required_providers": {
                "azapi": {"source": "Azure/azapi", "version": "~> 2.4"},
                "azurerm": {"source": "hashicorp/azurerm", "version": "~> 4.0"},
            },
        },
        "provider": {"azurerm": {"features": {}, "subscription_id": wanted.subscription_id}, "azapi": {}},
        **({"variable": variables} if variables else {}),
        **({"module": modules} if modules else {}),
        **({"resource": {"azapi_resource": resources}} if resources else {}),
    }
    text = json.dumps(_escaped(content), indent=2, ensure_ascii=False) + "\n"
    return Export({FILE: text}, ("terraform init", "terraform plan", "terraform apply"))


def network_variables(wanted: Wanted, network: WantedNetwork) -> dict[str, Any]:
    """Return a logical network's variables; the module takes one pool, and the VLAN as a text."""
    written = network.network
    pool = network.pools[0] if network.pools else {"start": None, "end": None}
    return without_none(
        {
            "name": network.name,
            "resource_group_id": wanted.group_id,
            "location": network.location,
            "custom_location_id": network.custom_location,
            "vm_switch_name": network.switch,
            "ip_allocation_method": "Static",
            "address_prefix": str(written.address_prefix.network),
            "default_gateway": str(written.gateway),
            "route_name": "default",
            "dns_servers": [str(server) for server in written.dns_servers],
            "starting_address": pool["start"],
            "ending_address": pool["end"],
            "vlan_id": str(written.vlan) if written.vlan else None,
            "logical_network_tags": dict(network.tags) or None,
        }
    )


def cluster_variables(wanted: Wanted, cluster: WantedCluster, vault: SshKeyVault | None) -> dict[str, Any]:
    """Return a cluster's variables; pools beside the first are resources of their own, which can come and go."""
    arc, aad, network = cluster.spec.arc, cluster.aad, cluster.network
    first, *others = cluster.pools
    return without_none(
        {
            "name": cluster.name,
            "resource_group_id": wanted.group_id,
            "location": wanted.location,
            "custom_location_id": wanted.custom_location,
            "logical_network_id": Reference(f"${{module.{_label('network', network.name)}.resource_id}}")
            if network.is_made
            else network.id,
            "kubernetes_version": cluster.version,
            "control_plane_count": cluster.spec.control_plane.count,
            "control_plane_vm_size": cluster.plane_size,
            "control_plane_ip": cluster.host_ip,
            "agent_pool_profiles": [first.profile(_FIXED)],
            "additional_nodepools": [pool.profile(_FIXED) for pool in others] or None,
            "pod_cidr": str(cluster.spec.network_profile.pod_cidr.network),
            "nfs_csi_driver_enabled": cluster.storage.nfs_csi_driver.enabled,
            "smb_csi_driver_enabled": cluster.storage.smb_csi_driver.enabled,
            "azure_hybrid_benefit": arc.azure_hybrid_benefit,
            "enable_azure_rbac": bool(aad and aad["enableAzureRBAC"]),
            "rbac_admin_group_object_ids": aad["adminGroupObjectIDs"] if aad else None,
            "tenant_id": aad["tenantID"] if aad else None,
            "enable_oidc_issuer": arc.oidc_issuer.enabled,
            "enable_workload_identity": arc.workload_identity,
            "ssh_public_key": cluster.ssh_key,
            "ssh_key_vault_id": _vault_id(wanted, vault) if cluster.ssh_key is None else None,
            "tags": dict(cluster.tags) or None,
        }
    )


def _vault_id(wanted: Wanted, vault: SshKeyVault | None) -> str | None:
    if vault is None:
        return None
    subscription, group = (
        vault.subscription_id or wanted.subscription_id,
        vault.resource_group or wanted.resource_group,
    )
    scope = f"/subscriptions/{subscription}/resourceGroups/{group}"
    return f"{scope}/providers/Microsoft.KeyVault/vaults/{vault.name}"


def _above(cluster: WantedCluster) -> dict[str, Any]:
    """Return what is installed on a cluster, by label."""
    above, module = cluster.above, f"module.{_label('cluster', cluster.key)}"
    labels = {name: f"{_label('cluster', cluster.key)}_extension_{n}" for n, name in enumerate(above.extensions)}
    parent = {"parent_id": Reference(f"${{{module}.aks_cluster.id}}")}
    made: dict[str, Any] = {}
    for name, body in above.extensions.items():
        kind = f"Microsoft.KubernetesConfiguration/extensions@{EXTENSIONS_VERSION}"
        identity = {"identity": [body["identity"]]} if "identity" in body else {}
        own = {"body": {"properties": body["properties"]}, "depends_on": [module]}
        made[labels[name]] = {"type": kind, "name": name, **parent, **identity, **own}
    if above.addresses and above.networking is not None:
        properties = {"addresses": list(above.addresses), "advertiseMode": "ARP"}
        made[f"{_label('cluster', cluster.key)}_load_balancer"] = {
            "type": f"Microsoft.KubernetesRuntime/loadBalancers@{LOAD_BALANCERS_VERSION}",
            "name": LOAD_BALANCER,
            **parent,
            "body": {"properties": properties},
            "depends_on": [f"azapi_resource.{labels[above.networking]}"],
        }
    for number, (name, body) in enumerate(above.flux.items()):
        made[f"{_label('cluster', cluster.key)}_flux_{number}"] = {
            "type": f"Microsoft.KubernetesConfiguration/fluxConfigurations@{FLUX_VERSION}",
            "name": name,
            **parent,
            "body": body,
            "depends_on": [f"azapi_resource.{labels[spec.name]}" for spec in above.specs if spec.is_flux],
        }
    return made


def _label(kind: str, name: str) -> str:
    """Return a name that Terraform takes, of one that may have dots; no two names have the same."""
    return f"{kind}_" + re.sub("[^A-Za-z0-9-]", lambda match: f"_{ord(match[0]):x}_", name)


def _escaped(value: Any) -> Any:
    """Return a value whose texts Terraform takes as they are: it reads each as a template."""
    match value:
        case Secret():
            name = f"var.{value}"
            return f"${{base64encode({name})}}" if value.encoded else f"${{{name}}}"
        case Reference():
            return str(value)
        case str():
            return value.replace("${", "$${").replace("%{", "%%{")
        case Mapping():
            return {_escaped(str(key)): _escaped(item) for key, item in value.items()}
        case list() | tuple():
            return [_escaped(item) for item in value]
    return value
