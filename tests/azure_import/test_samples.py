"""What az, kubectl and ARM print is read in either case of its keys; what of it is lost is said."""

from __future__ import annotations

from typing import Any

import pytest

from infra.azure_import.things import read_json
from tests.azure_import.importing import DATA, SOURCES, errors, imported, sample, samples

ALL = (
    *("networks.json", "interfaces.json", "cluster.json", "pools.json", "balancers.json", "connected.json"),
    *("extensions.json", "flux.json", "deployment.json"),
)


def test_every_sample_says_where_its_shape_is_published() -> None:
    assert {path.name for path in DATA.glob("*.json")} == {*SOURCES, "aksarc.json"}


def test_all_that_az_prints_of_one_instance() -> None:
    made = imported(samples(*ALL))
    assert errors(made.findings) == []
    assert made.plan.ok
    assert made.stack == "site-1"
    (cluster,) = made.spec.stack.clusters
    assert (cluster.name, cluster.arc.name, cluster.kubernetes_version) == ("shop-1", "Shop_1", "1.33.5")
    assert (cluster.control_plane.count, str(cluster.control_plane.host_ip)) == (3, "10.220.32.70")
    assert cluster.logical_network == "aks-vlan110"  # whatever the case of the id that names it
    assert [(pool.name, pool.count) for pool in cluster.agent_pools] == [("nodepool1", 2), ("scaled", 1)]
    scaled = cluster.agent_pools[1]
    assert (scaled.enable_auto_scaling, scaled.min_count, scaled.max_count, scaled.max_pods) == (True, 1, 4, 60)
    assert (scaled.node_labels, scaled.node_taints) == (
        {"example.com/tier": "web"},
        ("dedicated=web:NoSchedule",),
    )
    assert cluster.load_balancer.addresses == ("10.220.32.80/32", "10.220.32.82-10.220.32.85")
    assert not cluster.storage_profile.smb_csi_driver.enabled
    assert cluster.auto_scaler_profile.scale_down_unneeded_time == "15m"
    assert len(made.spec.stack.ssh_public_keys) == 1


def test_what_az_prints_of_a_connection() -> None:
    (cluster,) = imported(samples(*ALL)).spec.stack.clusters
    arc = cluster.arc
    assert (arc.tags, arc.azure_hybrid_benefit, arc.agent_auto_upgrade) == ({"team": "shop"}, "True", False)
    assert (arc.azure_rbac.enabled, arc.oidc_issuer.enabled, arc.workload_identity) == (True, True, True)
    (registry,) = arc.extensions  # neither Azure's own, nor MetalLB's, which azlocal's add-on stands for
    assert (registry.name, registry.version, registry.release_train) == ("registry", "0.11.0", "preview")
    assert registry.scope.cluster is not None
    assert registry.scope.cluster.release_namespace == "connected-registry"
    assert registry.configuration_protected_settings == {"connectionString": "Shop_1-registry-connectionString"}
    (flux,) = arc.flux_configurations
    assert (flux.namespace, flux.git_repository.url) == ("apps", "https://git.example/r.git")
    assert (flux.git_repository.repository_ref.tag, flux.git_repository.repository_ref.branch) == ("v1", None)
    assert flux.kustomizations["apps"].depends_on == ("infra",)
    assert flux.kustomizations["apps"].retry_interval_in_seconds == 60


def test_networks_and_the_instance() -> None:
    made = imported(samples(*ALL))
    (network,) = made.spec.netplan.logical_networks
    assert (network.vlan, str(network.gateway), str(network.address_prefix)) == (
        110,
        "10.220.32.1",
        "10.220.32.0/24",
    )
    assert [str(server) for server in network.dns_servers] == ["10.220.32.5", "10.220.32.6"]
    infrastructure = made.spec.netplan.infrastructure
    assert (str(infrastructure.address_prefix), str(infrastructure.pool.end)) == ("10.57.48.0/21", "10.57.48.66")
    assert [(host.name, str(host.management_address), host.connection) for host in made.spec.hosts.hosts] == [
        ("node-1", "10.57.51.224", "qemu+ssh://root@10.57.51.224/system"),
        ("node-2", "10.57.53.236", "qemu+ssh://root@10.57.53.236/system"),
    ]


def test_the_loss_report_has_what_is_lost_and_no_more() -> None:
    lost = {
        finding.message.partition(" isn't imported")[0]
        for finding in imported(samples(*ALL)).said("import-left-out")
    }
    assert lost == {
        "securitySettings, observability, cluster, storage and 5 more of the deployment",
        "network vms-dhcp has DHCP, which AKS doesn't take, and no cluster uses it",
        "the route to 10.99.0.0/16 of network aks-vlan110",
        "`networkSecurityGroup` of network aks-vlan110",
        "`serviceSelector` of load balancer web of cluster Shop_1",
        "`adminGroupObjectIDs` of cluster Shop_1",
        "`tenantID` of cluster Shop_1",
    }


def test_arms_own_case_and_lists_are_read_as_well() -> None:
    made = imported(samples("networks.json", "cluster-rest.json", "pools-rest.json"))
    assert errors(made.findings) == []
    (cluster,) = made.spec.stack.clusters
    (pool,) = cluster.agent_pools
    assert (pool.count, pool.os_sku, pool.node_labels) == (5, "CBLMariner", {"env": "dev", "goal": "test"})
    lost = [finding.message.split("`")[1] for finding in made.said("import-left-out") if "`" in finding.message]
    assert {"securityProfile", "clusterVMAccessProfile"} <= set(lost)
    assert [finding.message for finding in made.said("import-guessed")][-1].startswith(
        "no file says which Kubernetes"
    )
    assert made.spec.stack.ssh_public_keys == ()  # the published one is cut off


def in_case(value: Any, change: Any) -> Any:
    match value:
        case dict():
            return {change(key): in_case(inner, change) for key, inner in value.items()}
        case list():
            return [in_case(inner, change) for inner in value]
    return value


@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_keys_are_read_in_any_case(change: Any) -> None:
    names = (
        "networks.json",
        "interfaces.json",
        "cluster.json",
        "connected.json",
        "balancers.json",
        "deployment.json",
    )
    sources = {name.removesuffix(".json"): sample(name) for name in names}
    was = imported(samples(**sources)).content
    sources["connected"]["tags"] = {"TEAM" if change is str.upper else "team": "shop"}
    changed = imported(samples(**{name: in_case(content, change) for name, content in sources.items()})).content
    was["stack"]["clusters"][0]["arc"]["tags"] = changed["stack"]["clusters"][0]["arc"]["tags"]
    assert changed == was


def test_pools_are_the_clusters_own_where_no_list_has_them() -> None:
    (cluster,) = imported(samples("networks.json", "cluster.json")).spec.stack.clusters
    assert [pool.name for pool in cluster.agent_pools] == ["nodepool1"]


def test_places_are_those_of_azures_files() -> None:
    thing = read_json('[\n {"properties":\n  {"Count": 3}}]', "x.json").get(0, "properties", "count")
    assert thing is not None
    assert thing.where == "x.json:3: [0].properties.Count"


def test_what_a_rule_of_the_plan_refuses_is_told_where_azure_says_it() -> None:
    cluster = sample("cluster.json")
    cluster["properties"]["controlPlane"]["count"] = 2
    cluster["properties"]["agentPoolProfiles"][0] |= {"osType": "Windows", "osSku": "Windows2022"}
    found = errors(imported(samples("networks.json", cluster=cluster)).findings)
    places = {finding.rule: finding.path for finding in found}
    assert places["windows-pool"].startswith("cluster.json:")
    assert places["windows-pool"].endswith("agentPoolProfiles[0].osType")
    assert any(path.endswith("controlPlane.count") for path in places.values())


def test_a_value_of_the_wrong_type_is_told_where_azure_says_it() -> None:
    networks = sample("networks.json")
    networks[0]["properties"]["subnets"][0]["properties"]["vlan"] = "110"
    (finding,) = errors(imported(samples(networks=networks)).findings)
    assert (finding.rule, finding.path.partition(": ")[2]) == (
        "wrong-type",
        "[0].properties.subnets[0].properties.vlan",
    )


def test_a_network_of_the_instances_own_is_its_infrastructure() -> None:
    networks = sample("networks.json")
    networks[1] = {
        **networks[0],
        "name": "site-1-InfraLNET",
        "id": networks[0]["id"].replace("aks-vlan110", "infra"),
    }
    made = imported(samples(networks=networks))
    assert str(made.spec.netplan.infrastructure.pool.start) == "10.220.32.18"
    assert [network.name for network in made.spec.netplan.logical_networks] == ["aks-vlan110"]


def test_a_pool_of_the_kind_vippool_is_a_pool_where_there_is_no_other() -> None:
    """Microsoft's own template makes its only pool so."""
    networks = sample("networks.json")
    networks[0]["properties"]["subnets"][0]["properties"]["ipPools"][0]["ipPoolType"] = "vippool"
    made = imported(samples("cluster.json", networks=networks))
    assert errors(made.findings) == []
    assert made.spec.netplan.logical_networks[0].ip_pools[0].ip_pool_type == "vippool"
