"""Parameters of modules and templates: their names are upstream's, and each leads somewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.azure_import.parameters import AKSARC_TEMPLATES, CLUSTER_MODULE, NETWORK_MODULE, Places
from infra.export.module_names import (
    BICEP_CLUSTER,
    BICEP_NETWORK,
    CLUSTER_VARIABLES,
    NETWORK_VARIABLES,
    TERRAFORM_CLUSTER,
    TERRAFORM_NETWORK,
)
from tests.azure_import.importing import errors, imported, sample, samples
from tests.export.exporting import recorded
from tests.golden.instances import PUBLIC_KEY

# What says nothing of an object: who deploys, with which API version, and what the modules do beside it.
_OF_DEPLOYING = {
    *("enableTelemetry", "roleAssignments", "ipConfigurationReferences", "lock", "managedIdentities"),
    *("keyVaultName", "keyvaultResourceGroup", "keyvaultSubscriptionId", "sshPrivateKeyPemSecretName"),
    *(
        "sshPublicKeySecretName",
        "connectedClustersApiVersion",
        "provisionedClustersApiVersion",
        "parentResourceId",
    ),
    *("k8sRuntimeFpaObjectId", "nodePoolLabel", "nodePoolLabelValue", "connectedClusterName"),
}


@pytest.mark.parametrize(("module", "places"), [(BICEP_NETWORK, NETWORK_MODULE), (BICEP_CLUSTER, CLUSTER_MODULE)])
def test_every_parameter_of_a_bicep_module_leads_somewhere(module: str, places: Places) -> None:
    versions = [one["parameters"] for one in recorded("bicep") if one["module"] == module]
    names = {name for parameters in versions for name in parameters}
    assert names - set(places) <= _OF_DEPLOYING
    assert set(places) - names <= {"startingAddress", "endingAddress"}  # of a version before those


@pytest.mark.parametrize(
    ("module", "variables"), [(TERRAFORM_NETWORK, NETWORK_VARIABLES), (TERRAFORM_CLUSTER, CLUSTER_VARIABLES)]
)
def test_every_variable_is_one_of_the_terraform_module(module: str, variables: dict[str, Any]) -> None:
    (known,) = (one["variables"] for one in recorded("terraform") if one["module"] == module)
    assert set(variables) <= set(known)


def test_every_parameter_of_aksarcs_templates_leads_somewhere() -> None:
    known = {name.lower() for name in {*AKSARC_TEMPLATES, *_OF_DEPLOYING}}
    for template, names in sample("aksarc.json")["parameters"].items():
        assert {name.lower() for name in names} <= known, template
    everywhere = {name.lower() for names in sample("aksarc.json")["parameters"].values() for name in names}
    assert {name.lower() for name in AKSARC_TEMPLATES} <= everywhere


NETWORK = {
    "lnetName": "aks",
    "dnsServers": ["10.220.32.5"],
    "addressPrefix": "10.220.32.0/24",
    "ipAllocationMethod": "Static",
    "vmSwitchName": "ConvergedSwitch(compute)",
    "vippoolstart": "10.220.32.18",
    "vippoolend": "10.220.32.37",
    "nextHopIpAddress": "10.220.32.1",
}
CLUSTER = {
    "location": "eastus",
    "connectedClusterName": "shop",
    "sshRSAPublicKey": PUBLIC_KEY,
    "controlPlaneIp": "10.220.32.70",
    "kubernetesVersion": "1.33.5",
    "controlPlaneVMSize": "Standard_A4_v2",
    "controlPlaneNodeCount": 1,
    "agentName": "nodepool1",
    "agentVMSize": "Standard_A4_v2",
    "agentOsType": "Linux",
    "agentCount": 2,
    "networkPolicy": "calico",
    "loadBalancerCount": 0,
    "connectedClustersApiVersion": "2025-12-01-preview",
    "nodepoolLabel": "tier",
    "nodepoolLabelValue": "web",
    "nodepoolTaints": [],
    "enableAzureHybridBenefit": "False",
    "enableNfsCsiDriver": False,
    "enableWorkloadIdentity": True,
    "enableOidcIssuer": True,
}
POOL = {"connectedClusterName": "shop", "agentName": "more", "agentVMSize": "Standard_A4_v2", "agentCount": 3}
BALANCER = {
    "parentResourceId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/shop",
    "loadBalancerName": "lb",
    "addresses": ["10.220.32.80-10.220.32.85"],
    "advertiseMode": "ARP",
    "k8sRuntimeFpaObjectId": "00000000-0000-0000-0000-000000000001",
}


def arm(**values: Any) -> dict[str, Any]:
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#"
    return {"$schema": schema, "parameters": {name: {"value": value} for name, value in values.items()}}


def test_parameters_of_aksarcs_templates_make_a_cluster_with_its_network_and_addresses() -> None:
    made = imported(samples(cluster=arm(**NETWORK, **CLUSTER), balancer=arm(**BALANCER)), stack="lab")
    assert errors(made.findings) == []
    (cluster,), (network,) = made.spec.stack.clusters, made.spec.netplan.logical_networks
    assert (network.name, network.ip_pools[0].start) == (cluster.logical_network, network.address_prefix.ip + 18)
    assert (str(network.gateway), cluster.agent_pools[0].node_labels) == ("10.220.32.1", {"tier": "web"})
    assert (cluster.is_issuer, cluster.has_workload_identity) == (True, True)
    assert not cluster.storage_profile.nfs_csi_driver.enabled
    assert cluster.load_balancer.addresses == ("10.220.32.80-10.220.32.85",)
    assert [finding.message for finding in made.said("import-left-out")] == []


def test_a_pools_parameters_make_a_pool_of_a_cluster_that_is_known() -> None:
    whole = arm(**NETWORK, **CLUSTER)
    first = arm(**{**POOL, "agentName": "nodepool1"})
    made = imported(samples(cluster=whole, first=first, more=arm(**POOL)), stack="lab")
    assert errors(made.findings) == []
    assert [(pool.name, pool.count) for pool in made.spec.stack.clusters[0].agent_pools] == [
        ("nodepool1", 3),
        ("more", 3),
    ]


def test_a_cluster_whose_version_is_the_modules_own_is_a_cluster() -> None:
    without = {name: value for name, value in CLUSTER.items() if name != "kubernetesVersion"}
    made = imported(samples(cluster=arm(**NETWORK, **without)), stack="lab")
    assert [cluster.name for cluster in made.spec.stack.clusters] == ["shop"]
    assert any("which Kubernetes cluster shop has" in finding.message for finding in made.said("import-guessed"))


def test_an_existing_network_is_only_named() -> None:
    networks = sample("networks.json")
    values = {**CLUSTER, "logicalNetworkName": "aks-vlan110"}
    made = imported(samples(networks=networks, cluster=arm(**values)), stack="lab")
    assert errors(made.findings) == []
    assert made.spec.stack.clusters[0].logical_network == "aks-vlan110"


def test_what_is_still_to_fill_in_is_told_where_it_stands() -> None:
    todo = {**NETWORK, "addressPrefix": "TODO: Fill in parameter value"}
    found = errors(imported(samples(cluster=arm(**todo, **CLUSTER))).findings)
    assert found[0].path.partition(": ")[2] == "parameters.addressPrefix.value"


def test_a_bicep_parameter_file_of_aksarcs_template() -> None:
    text = f"""using 'main.bicep'

param azureLocation = 'eastus' // the region
param logicalNetworkName = 'aks'
param addressPrefix = '10.220.32.0/24'
param dnsServers = ['10.220.32.5']
param vmSwitchName = 'ConvergedSwitch(compute)'
param ipAllocationMethod = 'Static'
param vipPoolStart = '10.220.32.18'
param vipPoolEnd = '10.220.32.37'
param nextHopIpAddress = '10.220.32.1'
param vlan = 0
/* the cluster */
param connectedClusterName = 'shop'
param sshPublicKey = '{PUBLIC_KEY}'
param controlPlaneHostIP = '10.220.32.70'
param kubernetesVersion = '1.33.5'
param nodePoolName = 'nodepool1'
param nodePoolCount = 1
param nodePoolTaints = []
param netWorkProfilNetworkPolicy = 'calico'
"""
    made = imported({"aksarc.bicepparam": text}, stack="lab")
    assert errors(made.findings) == []
    (cluster,) = made.spec.stack.clusters
    assert (cluster.name, cluster.logical_network, str(cluster.control_plane.host_ip)) == (
        "shop",
        "aks",
        "10.220.32.70",
    )


def test_the_published_parameters_of_an_instance() -> None:
    """Its values are those of Azure/azure-quickstart-templates."""
    made = imported(samples("azuredeploy.parameters.json"))
    assert errors(made.findings) == []
    assert made.stack == "s-cluster"
    assert made.spec.stack.location == "westeurope"
    infrastructure = made.spec.netplan.infrastructure
    assert (str(infrastructure.address_prefix), str(infrastructure.pool.start)) == (
        "100.69.32.0/24",
        "100.69.32.6",
    )
    assert [host.name for host in made.spec.hosts.hosts] == ["serbername1", "servername2"]


def test_variables_of_a_terraform_module_alone() -> None:
    group = "/subscriptions/s/resourceGroups/g"
    location = f"{group}/providers/Microsoft.ExtendedLocation/customLocations/lab"
    network = {
        "name": "aks",
        "custom_location_id": location,
        "vm_switch_name": "ConvergedSwitch(compute)",
        "address_prefix": "10.220.32.0/24",
        "default_gateway": "10.220.32.1",
        "dns_servers": ["10.220.32.5"],
        "starting_address": "10.220.32.18",
        "ending_address": "10.220.32.37",
        "vlan_id": "110",
    }
    cluster = {
        "name": "shop",
        "custom_location_id": location,
        "logical_network_id": f"{group}/providers/Microsoft.AzureStackHCI/logicalNetworks/aks",
        "kubernetes_version": "1.33.5",
        "agent_pool_profiles": [{"name": "nodepool1", "count": 1}],
        "additional_nodepools": [{"name": "more", "count": 2}],
        "unheard_of": 1,
    }
    made = imported(samples(network=network, cluster=cluster))
    assert errors(made.findings) == []
    assert made.spec.netplan.logical_networks[0].vlan == 110
    assert [pool.name for pool in made.spec.stack.clusters[0].agent_pools] == ["nodepool1", "more"]
    assert any("unheard_of" in finding.message for finding in made.said("import-left-out"))


ODIN = {
    "version": "1",
    "state": {
        "scenario": "disconnected",
        "region": "azure_government",
        "localInstanceRegion": "us_gov_virginia",
        "scale": "rack_aware",
        "nodes": "2",
        "nodeSettings": [{"name": "N1", "ipCidr": "10.0.0.11/24"}, {"name": "N2", "ipCidr": "10.0.0.12/24"}],
        "infra": {"start": "10.0.0.20", "end": "10.0.0.30"},
        "infraCidr": "10.0.0.0/24",
        "infraGateway": "10.0.0.1",
        "infraVlan": "custom",
        "infraVlanId": "7",
        "dnsServers": ["10.0.0.5"],
        "proxy": "proxy",
        "arc": "arc_gateway",
        "privateEndpoints": "pe_enabled",
    },
}


def test_odins_design_and_what_of_it_a_person_writes() -> None:
    made = imported(samples(odin=ODIN))
    assert errors(made.findings) == []
    assert (made.spec.stack.deployment_class, made.spec.stack.location) == ("rackAware", "usgovvirginia")
    assert made.spec.netplan.infrastructure.vlan == 7
    assert [(host.name, str(host.management_address)) for host in made.spec.hosts.hosts] == [
        ("n1", "10.0.0.11"),
        ("n2", "10.0.0.12"),
    ]
    remedies = " ".join(finding.remedy for finding in made.said("import-left-out"))
    for key in ("proxy", "gateway", "privateEndpoints", "cloud: custom", "cloud: AzureUSGovernment"):
        assert key in remedies


def test_odins_keys_are_those_of_its_schema() -> None:
    known = recorded("odin")["schema"]["properties"]["state"]["properties"]
    assert set(json.loads(json.dumps(ODIN))["state"]) <= set(known)
