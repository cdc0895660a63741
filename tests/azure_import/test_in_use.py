"""Addresses that somebody in Azure has are reserved: a plan beside what stands takes others."""

from __future__ import annotations

from typing import Any

from tests.azure_import.importing import Imported, errors, imported, sample, samples


def node(name: str, *addresses: str) -> dict[str, Any]:
    listed = [
        {"type": "Hostname", "address": name},
        *({"type": "InternalIP", "address": one} for one in addresses),
    ]
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": listed}}


def nodes(*items: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def reserved(made: Imported) -> dict[str, str]:
    return {str(one.address): one.owner for one in made.spec.netplan.reservations}


def with_endpoint(address: str | None) -> dict[str, Any]:
    cluster: dict[str, Any] = sample("cluster.json")
    cluster["properties"]["controlPlane"]["controlPlaneEndpoint"]["hostIp"] = address
    return cluster


def test_interfaces_and_nodes_are_reserved_and_no_machine_gets_their_addresses() -> None:
    listed = nodes(node("moc-lx1", "10.220.32.30"), node("moc-lx2", "10.220.32.31"), node("far", "10.1.1.1"))
    made = imported(samples("networks.json", "interfaces.json", "cluster.json", "pools.json", nodes=listed))
    assert errors(made.findings) == []
    assert reserved(made) == {
        "10.220.32.20": "vm-1-nic (in use in Azure)",
        "10.220.32.21": "vm-2-nic (in use in Azure)",
        "10.220.32.30": "node moc-lx1 (in use in Azure)",
        "10.220.32.31": "node moc-lx2 (in use in Azure)",
    }
    machines = {
        allocation.address
        for network in made.plan.addresses.networks
        for allocation in network.allocations
        if allocation.use in {"controlPlaneNode", "workerNode", "upgradeSpare", "controlPlaneVip"}
    }
    assert machines
    assert machines.isdisjoint(reserved(made))
    assert made.said("import-incomplete") == []


def test_more_in_use_than_the_files_name_is_said() -> None:
    made = imported(samples("networks.json", "cluster.json"))
    (finding,) = made.said("import-incomplete")
    assert finding.path.endswith("ipPools[0].info.used")
    assert "3 addresses of 10.220.32.18-10.220.32.60" in finding.message
    assert "nic list" in finding.remedy


def test_an_api_servers_address_that_azure_took_from_a_pool_is_reserved_and_no_host_ip() -> None:
    made = imported(samples("networks.json", cluster=with_endpoint("10.220.32.40")))
    assert errors(made.findings) == []
    assert reserved(made) == {"10.220.32.40": "API server of Shop_1 (in use in Azure)"}
    assert made.spec.stack.clusters[0].control_plane.host_ip is None
    (finding,) = made.said("import-address-in-pool")
    assert finding.path.startswith("cluster.json:")
    assert finding.path.endswith("controlPlaneEndpoint.hostIp")


def test_an_address_that_nobody_chose_is_left_to_the_plan() -> None:
    made = imported(samples("networks.json", cluster=with_endpoint(None)))
    assert made.spec.stack.clusters[0].control_plane.host_ip is None
    assert reserved(made) == {}


def test_an_interface_in_no_imported_network_is_said() -> None:
    interfaces = sample("interfaces.json")
    properties = interfaces[0]["properties"]["ipConfigurations"][0]["properties"]
    properties["subnet"]["id"] = properties["subnet"]["id"].replace("aks-vlan110", "elsewhere")
    properties["privateIpAddress"] = "10.1.1.1"
    made = imported(samples("networks.json", "cluster.json", interfaces=interfaces))
    assert list(reserved(made)) == ["10.220.32.21"]
    assert any("10.1.1.1 of vm-1-nic" in finding.message for finding in made.said("import-left-out"))
