"""What each format writes of one thing or another."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.export.above import Secret
from infra.export.bicep_text import bicep_value
from infra.export.export import export
from infra.export.facts import Format
from tests.export.exporting import TARGET, facts_of
from tests.export.reading import bicep, bicep_parameters, bicep_resources
from tests.instances import cluster, host, make_spec, network

STANDING = TARGET["customLocationResourceId"].partition("/providers/")[0] + (
    "/providers/Microsoft.AzureStackHCI/logicalNetworks/made-before"
)


def files_of(
    to: str, *clusters: dict[str, Any], parts: dict[str, Any] | None = None, **target: Any
) -> dict[str, str]:
    made, report = export(facts_of(make_spec(*(clusters or (cluster(),)), **(parts or {})), to, **target))
    assert made.files, report
    return dict(made.files)


def module(files: dict[str, str], name: str) -> dict[str, Any]:
    block: dict[str, Any] = json.loads(files["azlocal.tf.json"])["module"][name]
    return block


def words(files: dict[str, str], start: str) -> list[list[str]]:
    """Return the script's commands that begin so; each is its own, options on lines of their own."""
    lines = files["azlocal.sh"].replace(" \\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip().startswith(start)]


def value(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


TEXTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(TEXTS)
def test_bicep_reads_every_value_as_it_was(content: Any) -> None:
    assert bicep(bicep_value(content)) == content


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_secrets_have_two_variables(one: str, other: str) -> None:
    assert (Secret(f"arc:{one}") == Secret(f"arc:{other}")) == (one == other)
    assert Secret(one).isidentifier()


def test_a_pinned_address_of_the_api_server_is_exported() -> None:
    pinned = cluster(controlPlane={"count": 3, "hostIP": "10.220.32.60"})
    _, values = bicep_parameters(files_of("bicep", pinned)["cluster-a.bicepparam"])
    assert values["controlPlane"]["controlPlaneEndpoint"] == {"hostIP": "10.220.32.60"}
    assert module(files_of("terraform", pinned), "cluster_a")["control_plane_ip"] == "10.220.32.60"
    (create,) = words(files_of("az", pinned), "az aksarc create")
    assert value(create, "--control-plane-ip") == "10.220.32.60"


@pytest.mark.parametrize("to", [Format.BICEP, Format.TERRAFORM, Format.AZ])
def test_a_network_that_stands_in_azure_is_named_and_not_made(to: str) -> None:
    files = files_of(to, logicalNetworks={"aks": STANDING}, without=("vmSwitchName",))
    assert "network-aks.bicepparam" not in files
    text = "\n".join(files.values())
    assert STANDING in text
    assert "lnet create" not in text
    assert "logicalnetwork/azurerm" not in text


def test_several_pools_of_a_network_are_all_there() -> None:
    pools = [{"start": "10.220.32.20", "end": "10.220.32.39"}, {"start": "10.220.32.60", "end": "10.220.32.69"}]
    parts = {"networks": [network(ipPools=pools)]}
    written = [{**pool, "ipPoolType": "vm"} for pool in pools]
    assert bicep_parameters(files_of("bicep", parts=parts)["network-aks.bicepparam"])[1]["ipPools"] == written
    (create,) = words(files_of("az", parts=parts), "az stack-hci-vm")
    assert [pool["end"] for pool in json.loads(value(create, "--ip-pools"))] == ["10.220.32.39", "10.220.32.69"]
    assert "--ip-pool-start" not in create


def test_a_network_without_a_vlan_or_name_servers_has_neither() -> None:
    parts = {"networks": [network(vlan=0)]}
    assert "vlanId" not in bicep_parameters(files_of("bicep", parts=parts)["network-aks.bicepparam"])[1]
    assert "--vlan" not in words(files_of("az", parts=parts), "az stack-hci-vm")[0]


def test_a_key_vault_stands_for_a_key() -> None:
    vault: dict[str, Any] = {
        "sshKeyVault": {"name": "kv-1", "resourceGroup": "keys"},
        "without": ("sshPublicKey",),
    }
    _, values = bicep_parameters(files_of("bicep", **vault)["cluster-a.bicepparam"])
    assert (values["keyVaultName"], values["keyvaultResourceGroup"]) == ("kv-1", "keys")
    assert "linuxProfile" not in values
    assert module(files_of("terraform", **vault), "cluster_a")["ssh_key_vault_id"].endswith(
        "/keys/providers/Microsoft.KeyVault/vaults/kv-1"
    )
    files = files_of("az", **vault)
    assert list(files) == ["azlocal.sh"]
    assert "--generate-ssh-keys" in words(files, "az aksarc create")[0]


def test_a_pool_that_scales_does_in_bicep_and_az_and_not_in_terraform() -> None:
    pool = {"name": "nodepool1", "count": 2, "enableAutoScaling": True, "minCount": 2, "maxCount": 4}
    own = cluster(agentPools=[pool], autoScalerProfile={"scan-interval": "20s"})
    (profile,) = bicep_parameters(files_of("bicep", own)["cluster-a.bicepparam"])[1]["agentPoolProfiles"]
    assert [profile[key] for key in ("count", "enableAutoScaling", "minCount", "maxCount")] == [2, True, 2, 4]
    (create,) = words(files_of("az", own), "az aksarc create")
    assert (value(create, "--min-count"), value(create, "--max-count")) == ("2", "4")
    assert value(create, "--cluster-autoscaler-profile") == "scan-interval=20s"
    (first,) = module(files_of("terraform", own), "cluster_a")["agent_pool_profiles"]
    assert (first["count"], first["enableAutoScaling"]) == (2, False)


def test_az_makes_the_pool_of_its_own_name_first() -> None:
    pools = [{"name": "web", "count": 1}, {"name": "nodepool1", "count": 2, "nodeTaints": ["k=v:NoSchedule"]}]
    files = files_of("az", cluster(agentPools=pools))
    (create,) = words(files, "az aksarc create")
    assert (value(create, "--node-count"), value(create, "--nodepool-taints")) == ("2", "k=v:NoSchedule")
    (add,) = words(files, "az aksarc nodepool add")
    assert (value(add, "--name"), value(add, "--os-sku")) == ("web", "CBLMariner")


def test_services_get_their_ranges_by_azures_own_extension() -> None:
    own = cluster(loadBalancer={"addresses": ["10.220.32.47-10.220.32.48", "10.220.32.60"]})
    _, resources = bicep_resources(files_of("bicep", own)["cluster-a-above.bicep"])
    kind, balancer = resources["loadBalancer"]
    assert kind.startswith("Microsoft.KubernetesRuntime/loadBalancers@")
    assert balancer["properties"]["addresses"] == ["10.220.32.47-10.220.32.48", "10.220.32.60"]
    assert resources[balancer["dependsOn"][0]][1]["properties"]["extensionType"] == "microsoft.arcnetworking"
    files = files_of("az", own)
    assert len(words(files, "az k8s-runtime load-balancer enable")) == 1
    (create,) = words(files, "az k8s-runtime load-balancer create")
    assert json.loads(value(create, "--addresses")) == ["10.220.32.47-10.220.32.48", "10.220.32.60"]


def test_no_secret_is_written_and_each_has_its_place() -> None:
    arc = {
        "extensions": [
            {
                "name": "backup",
                "extensionType": "microsoft.dataprotection.kubernetes",
                "configurationProtectedSettings": {"key": "arc:account-key"},
            }
        ],
        "fluxConfigurations": [
            {
                "name": "apps",
                "gitRepository": {"url": "https://git.example/r.git", "httpsUser": "me"},
                "configurationProtectedSettings": {"httpsKey": "arc:gitKey"},
            }
        ],
    }
    secrets, resources = bicep_resources(files_of("bicep", cluster(arc=arc))["cluster-a-above.bicep"])
    assert secrets == ["secret_account_2d_key", "secret_gitKey"]
    bodies = [body.get("properties", {}) for _, body in resources.values()]
    settings = [body.get("configurationProtectedSettings") for body in bodies]
    assert [one for one in settings if one] == [
        {"key": "secret_account_2d_key"},
        {"httpsKey": "base64(secret_gitKey)"},
    ]
    content = json.loads(files_of("terraform", cluster(arc=arc))["azlocal.tf.json"])
    assert all(one == {"type": "string", "sensitive": True} for one in content["variable"].values())
    flux = content["resource"]["azapi_resource"]["cluster_a_flux_0"]
    assert flux["body"]["properties"]["configurationProtectedSettings"] == {
        "httpsKey": "${base64encode(var.secret_gitKey)}"
    }
    script = files_of("az", cluster(arc=arc))["azlocal.sh"]
    assert 'key="${secret_account_2d_key:?' in script.replace("key='", "key=")
    assert '--https-key "${secret_gitKey:?' in script


def test_who_administers_the_cluster_is_said_once_for_all() -> None:
    own = cluster(arc={"azureRbac": {"enabled": True}, "oidcIssuer": {"enabled": True}, "workloadIdentity": True})
    _, values = bicep_parameters(files_of("bicep", own)["cluster-a.bicepparam"])
    groups = TARGET["adminGroupObjectIDs"]
    assert values["aadProfile"] == {
        "adminGroupObjectIDs": groups,
        "enableAzureRBAC": True,
        "tenantID": TARGET["tenantId"],
    }
    block = module(files_of("terraform", own), "cluster_a")
    assert (block["enable_azure_rbac"], block["rbac_admin_group_object_ids"]) == (True, groups)
    (create,) = words(files_of("az", own), "az aksarc create")
    assert {"--enable-azure-rbac", "--enable-oidc-issuer", "--enable-workload-identity"} <= {*create}


def test_terraforms_module_has_no_roles_unless_they_are_wanted() -> None:
    """Its own default is to have them."""
    assert module(files_of("terraform"), "cluster_a")["enable_azure_rbac"] is False


@pytest.mark.parametrize(
    ("count", "networking"), [(1, "singleServerDeployment"), (3, "switchedMultiServerDeployment")]
)
def test_hosts_are_the_instances_nodes(count: int, networking: str) -> None:
    hosts = [host(number) for number in range(1, count + 1)]
    files = files_of("arm", parts={"hosts": hosts})
    values = json.loads(files["azuredeploy.parameters.json"])["parameters"]
    assert values["networkingType"]["value"] == networking
    assert values["physicalNodesSettings"]["value"][0] == {"name": "node1", "ipv4Address": "192.168.1.11"}
    assert len(values["arcNodeResourceIds"]["value"]) == count
    assert values["customLocation"]["value"] == "cl"
    state = json.loads(files_of("odin", parts={"hosts": hosts})["odin.json"])["state"]
    assert (state["nodes"], state["nodeSettings"][0]["ipCidr"]) == (str(count), "192.168.1.11/24")


PROFILES: dict[str, Any] = {
    "oidcIssuerProfile": {"enabled": True},
    "securityProfile": {"workloadIdentity": {"enabled": True}},
    "storageProfile": {"nfsCsiDriver": {"enabled": False}},
}
CONNECTED: dict[str, Any] = {"stack": {"arc": {"subscriptionId": TARGET["subscriptionId"]}}}


def test_a_clusters_own_profiles_are_exported_as_arcs_keys_are() -> None:
    _, bicep = bicep_parameters(files_of("bicep", cluster(**PROFILES), parts=CONNECTED)["cluster-a.bicepparam"])
    assert (bicep["oidcIssuerProfile"], bicep["securityProfile"]) == (
        PROFILES["oidcIssuerProfile"],
        PROFILES["securityProfile"],
    )
    assert bicep["storageProfile"] == {"nfsCsiDriver": {"enabled": False}, "smbCsiDriver": {"enabled": True}}
    terraform = module(files_of("terraform", cluster(**PROFILES), parts=CONNECTED), "cluster_a")
    switches = ("enable_oidc_issuer", "enable_workload_identity", "nfs_csi_driver_enabled")
    assert [terraform[name] for name in switches] == [True, True, False]
    (create,) = words(files_of("az", cluster(**PROFILES), parts=CONNECTED), "az aksarc create")
    assert {"--enable-oidc-issuer", "--enable-workload-identity", "--disable-nfs-driver"} <= set(create)


def test_what_of_a_storage_profile_is_about_machines_here_is_said() -> None:
    profile = {"deleteLocalVolumes": True, "nfsCsiDriver": {"enabled": False}}
    _, report = export(facts_of(make_spec(cluster(storageProfile=profile)), "bicep"))
    said = [finding.message for finding in report if finding.rule == "export-left-out"]
    assert [message.partition(":")[0] for message in said] == ["`deleteLocalVolumes` isn't exported"]
