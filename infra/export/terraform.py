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
from infra.export.bicep import cluster_parameters, network_parameters
from infra.export.module_names import (
    CLUSTER_VARIABLES,
    NETWORK_VARIABLES,
    TERRAFORM_CLUSTER,
    TERRAFORM_NETWORK,
)
from infra.export.output import MADE_BY, Export
from infra.export.wanted import Wanted, WantedCluster, WantedNetwork, without_none
from infra.spec.findings import KeyPath
from infra.spec.target import SshKeyVault

FILE: Final = "azlocal.tf.json"
NETWORK_VERSION: Final = "2.0.0"
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
            source = {"source": TERRAFORM_NETWORK, "version": NETWORK_VERSION}
            modules[_label("network", network.name)] = {**source, **network_variables(wanted, network)}
    for cluster in wanted.clusters:
        source = {"source": TERRAFORM_CLUSTER, "version": CLUSTER_VERSION}
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
    values = _picked(NETWORK_VARIABLES, network_parameters(network))
    vlan = {"vlan_id": str(values["vlan_id"])} if values["vlan_id"] else {}
    return without_none({"name": network.name, "resource_group_id": wanted.group_id, **values, **vlan})


def cluster_variables(wanted: Wanted, cluster: WantedCluster, vault: SshKeyVault | None) -> dict[str, Any]:
    """Return a cluster's variables; pools beside the first are resources of their own, which can come and go."""
    network = cluster.network
    values = _picked(CLUSTER_VARIABLES, cluster_parameters(wanted, cluster, vault))
    first, *others = cluster.pools
    values["agent_pool_profiles"] = [first.profile(_FIXED)]
    values["additional_nodepools"] = [pool.profile(_FIXED) for pool in others] or None
    values["enable_azure_rbac"] = bool(values["enable_azure_rbac"])  # the module's own default is true
    if network.is_made:
        values["logical_network_id"] = Reference(f"${{module.{_label('network', network.name)}.resource_id}}")
    if cluster.ssh_key is None:
        values["ssh_key_vault_id"] = _vault_id(wanted, vault)
    return without_none({"name": cluster.name, "resource_group_id": wanted.group_id, **values})


def _picked(variables: Mapping[str, KeyPath], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return each variable's value, which stands somewhere in the Bicep module's parameters; None: nowhere."""

    def at(path: KeyPath) -> Any:
        value: Any = parameters
        for part in path:
            known = isinstance(value, list) if isinstance(part, int) else isinstance(value, Mapping)
            if not known or (part >= len(value) if isinstance(part, int) else part not in value):
                return None
            value = value[part]
        return value

    return {variable: at(path) for variable, path in variables.items()}


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
