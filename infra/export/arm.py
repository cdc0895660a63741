"""The deployment of the instance itself: parameters of the template create-cluster, which first only validates.

Azure/azure-quickstart-templates, quickstarts/microsoft.azurestackhci/create-cluster/azuredeploy.json;
azure_parity.md §3.4. Passwords aren't in it.
"""

from __future__ import annotations

import json
from typing import Any, Final

from infra.export.facts import ExportFacts
from infra.export.output import Export, command
from infra.spec.target import InstanceTarget, NetworkIntent

FILE: Final = "azuredeploy.parameters.json"
TEMPLATE: Final = "azuredeploy.json"
_URL: Final = (
    "https://raw.githubusercontent.com/Azure/azure-quickstart-templates/master/quickstarts/"
    "microsoft.azurestackhci/create-cluster/azuredeploy.json"
)
_SCHEMA: Final = "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#"
_UNTOUCHED: Final[dict[str, Any]] = {
    "overrideVirtualSwitchConfiguration": False,
    "virtualSwitchConfigurationOverrides": {"enableIov": "", "loadBalancingAlgorithm": ""},
    "overrideQosPolicy": False,
    "qosPolicyOverrides": {
        "priorityValue8021Action_SMB": "",
        "priorityValue8021Action_Cluster": "",
        "bandwidthPercentage_SMB": "",
    },
    "overrideAdapterProperty": False,
    "adapterPropertyOverrides": {"jumboPacket": "", "networkDirect": "", "networkDirectTechnology": ""},
}
"""What the API wants of an intent that changes nothing (deploymentSettings, hostNetwork.intents)."""


def to_arm(facts: ExportFacts, instance: InstanceTarget) -> Export:
    """Return the parameters, and the command that validates with them."""
    values = {key: {"value": value} for key, value in parameters(facts, instance).items() if value is not None}
    content = {"$schema": _SCHEMA, "contentVersion": "1.0.0.0", "parameters": values}
    place = ["--subscription", facts.subscription_id or "", "--resource-group", facts.resource_group or ""]
    create = ["az", "deployment", "group", "create", *place, "--template-uri", _URL, "--parameters", f"@{FILE}"]
    return Export({FILE: json.dumps(content, indent=2, ensure_ascii=False) + "\n"}, (command(create),))


def parameters(facts: ExportFacts, instance: InstanceTarget) -> dict[str, Any]:
    """Return each parameter's value; None where the template's own counts."""
    infrastructure, hosts = facts.spec.netplan.infrastructure, facts.spec.hosts.hosts
    location = facts.target.custom_location_resource_id
    return {
        "deploymentMode": "Validate",
        "clusterName": instance.cluster_name,
        "namingPrefix": instance.naming_prefix,
        "location": facts.spec.stack.location,
        "tenantId": facts.tenant_id,
        "keyVaultName": instance.key_vault_name,
        "diagnosticStorageAccountName": instance.diagnostic_storage_account_name,
        "witnessType": "Cloud" if instance.witness_storage_account_name else "No Witness",
        "clusterWitnessStorageAccountName": instance.witness_storage_account_name,
        "localAdminUserName": instance.local_admin_user_name,
        "AzureStackLCMAdminUsername": instance.deployment_user_name,
        "hciResourceProviderObjectID": instance.resource_provider_object_id,
        "arcNodeResourceIds": [facts.id_of("Microsoft.HybridCompute", "machines", host.name) for host in hosts],
        "domainFqdn": instance.domain_fqdn,
        "adouPath": instance.adou_path,
        "subnetMask": str(infrastructure.address_prefix.netmask),
        "defaultGateway": str(infrastructure.gateway),
        "startingIPAddress": str(infrastructure.pool.start),
        "endingIPAddress": str(infrastructure.pool.end),
        "dnsServers": [str(server) for server in infrastructure.dns_servers],
        "useDhcp": False,
        "physicalNodesSettings": [
            {"name": host.name, "ipv4Address": str(host.management_address)} for host in hosts
        ],
        "networkingType": _networking(len(hosts), is_switchless=instance.storage_connectivity_switchless),
        "networkingPattern": instance.networking_pattern,
        "intentList": [_intent(intent) for intent in instance.network_intents],
        "storageNetworkList": [
            {"name": network.name, "networkAdapterName": network.adapter, "vlanId": str(network.vlan)}
            for network in instance.storage_networks
        ],
        "storageConnectivitySwitchless": instance.storage_connectivity_switchless,
        "customLocation": location.rpartition("/")[2] if location is not None else None,
    }


def _networking(hosts: int, *, is_switchless: bool) -> str:
    if hosts == 1:
        return "singleServerDeployment"
    return "switchlessMultiServerDeployment" if is_switchless else "switchedMultiServerDeployment"


def _intent(intent: NetworkIntent) -> dict[str, Any]:
    own = {"name": intent.name, "trafficType": list(intent.traffic_types), "adapter": list(intent.adapters)}
    return {**own, **_UNTOUCHED}
