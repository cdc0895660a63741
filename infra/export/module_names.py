"""Azure Verified Modules: their names, and where what Terraform's have as variables stands in Bicep's parameters.

Modules and their parameters: azure_parity.md §3.1, §3.2. Both directions read these tables, export and import.
"""

from __future__ import annotations

from typing import Final

from infra.spec.findings import KeyPath

BICEP_NETWORK: Final = "avm/res/azure-stack-hci/logical-network"
BICEP_CLUSTER: Final = "avm/res/hybrid-container-service/provisioned-cluster-instance"
TERRAFORM_NETWORK: Final = "Azure/avm-res-azurestackhci-logicalnetwork/azurerm"
TERRAFORM_CLUSTER: Final = "Azure/avm-res-hybridcontainerservice-provisionedclusterinstance/azurerm"

NETWORK_VARIABLES: Final[dict[str, KeyPath]] = {
    "name": ("name",),
    "location": ("location",),
    "custom_location_id": ("customLocationResourceId",),
    "vm_switch_name": ("vmSwitchName",),
    "ip_allocation_method": ("ipAllocationMethod",),
    "address_prefix": ("addressPrefix",),
    "default_gateway": ("defaultGateway",),
    "route_name": ("routeName",),
    "dns_servers": ("dnsServers",),
    "starting_address": ("ipPools", 0, "start"),
    "ending_address": ("ipPools", 0, "end"),
    "vlan_id": ("vlanId",),
    "logical_network_tags": ("tags",),
}

CLUSTER_VARIABLES: Final[dict[str, KeyPath]] = {
    "name": ("name",),
    "location": ("location",),
    "custom_location_id": ("customLocationResourceId",),
    "logical_network_id": ("cloudProviderProfile", "infraNetworkProfile", "vnetSubnetIds", 0),
    "kubernetes_version": ("kubernetesVersion",),
    "control_plane_count": ("controlPlane", "count"),
    "control_plane_vm_size": ("controlPlane", "vmSize"),
    "control_plane_ip": ("controlPlane", "controlPlaneEndpoint", "hostIP"),
    "agent_pool_profiles": ("agentPoolProfiles",),
    "pod_cidr": ("networkProfile", "podCidr"),
    "nfs_csi_driver_enabled": ("storageProfile", "nfsCsiDriver", "enabled"),
    "smb_csi_driver_enabled": ("storageProfile", "smbCsiDriver", "enabled"),
    "azure_hybrid_benefit": ("licenseProfile", "azureHybridBenefit"),
    "enable_azure_rbac": ("aadProfile", "enableAzureRBAC"),
    "rbac_admin_group_object_ids": ("aadProfile", "adminGroupObjectIDs"),
    "tenant_id": ("aadProfile", "tenantID"),
    "enable_oidc_issuer": ("oidcIssuerProfile", "enabled"),
    "enable_workload_identity": ("securityProfile", "workloadIdentity", "enabled"),
    "ssh_public_key": ("linuxProfile", "ssh", "publicKeys", 0, "keyData"),
    "tags": ("tags",),
}
"""`additional_nodepools` follow the pool of `agent_pool_profiles`; `ssh_key_vault_id` is the vault's ARM id."""
