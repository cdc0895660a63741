"""What Azure Local is asked for, with everything decided, whatever it is written down as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.export.above import Above, above
from infra.export.facts import ExportFacts
from infra.spec.netplan import LogicalNetwork
from infra.spec.stack import OS_SKUS, AgentPool, ClusterSpec

_LEAST_NODES: Final = 1
_MOST_NODES: Final = 5  # what AVM's module has where a pool doesn't scale, and the API doesn't look


@dataclass(frozen=True, slots=True)
class WantedNetwork:
    """A logical network.

    Attributes:
        network: As the netplan has it.
        id: Its ARM id.
        switch: Its virtual switch.
        is_made: Whether it is exported; else it stands in Azure already.
        location: The Azure region.
        custom_location: The ARM id of the instance's custom location.
        tags: Tags of the resource.
    """

    network: LogicalNetwork
    id: str
    switch: str
    is_made: bool
    location: str
    custom_location: str
    tags: Mapping[str, str]

    @property
    def name(self) -> str:
        """Return its name."""
        return self.network.name

    @property
    def pools(self) -> list[dict[str, str]]:
        """Return its pools by the API's keys."""
        return [
            {
                **({"name": pool.name} if pool.name is not None else {}),
                "start": str(pool.start),
                "end": str(pool.end),
                "ipPoolType": pool.ip_pool_type,
            }
            for pool in self.network.ip_pools
        ]


@dataclass(frozen=True, slots=True)
class WantedPool:
    """A pool of workers: as the stack has it, with Azure's size, system and bounds."""

    pool: AgentPool
    size: str
    os_sku: str
    least: int
    most: int

    def profile(self, scales: Mapping[str, Any]) -> dict[str, Any]:
        """Return it by the keys that AVM's modules have for a pool, with those that say how it scales."""
        pool = self.pool
        return without_none(
            {
                "name": pool.name,
                "count": pool.count,
                "vmSize": self.size,
                "osType": pool.os_type,
                "osSKU": self.os_sku,
                "maxPods": pool.max_pods,
                **scales,
                "nodeLabels": dict(pool.node_labels) or None,
                "nodeTaints": list(pool.node_taints) or None,
            }
        )


@dataclass(frozen=True, slots=True)
class WantedCluster:
    """An AKS cluster.

    Attributes:
        key: Its name in the stack's file.
        name: Its name in Azure.
        id: The ARM id of its connected cluster.
        spec: As the stack has it.
        network: Its logical network.
        version: Its Kubernetes version.
        plane_size: The VM size of its control plane.
        host_ip: The API server's address, where people chose it.
        pools: Its pools.
        ssh_key: The key that logs in to its nodes; None: the vault's.
        has_nfs: Whether the driver of NFS shares is installed.
        has_smb: Whether the driver of SMB shares is.
        ssh_from: Who may reach the nodes by SSH; empty: everybody.
        tags: Tags of the resources.
        aad: The API's aadProfile; None: without Entra ID.
        above: What is installed on it.
    """

    key: str
    name: str
    id: str
    spec: ClusterSpec
    network: WantedNetwork
    version: str
    plane_size: str
    host_ip: str | None
    pools: tuple[WantedPool, ...]
    ssh_key: str | None
    has_nfs: bool
    has_smb: bool
    ssh_from: tuple[str, ...]
    tags: Mapping[str, str]
    aad: Mapping[str, Any] | None
    above: Above


@dataclass(frozen=True, slots=True)
class Wanted:
    """Networks and clusters, and where they go."""

    subscription_id: str
    resource_group: str
    location: str
    custom_location: str
    networks: tuple[WantedNetwork, ...]
    clusters: tuple[WantedCluster, ...]

    @property
    def group_id(self) -> str:
        """Return the ARM id of the resource group."""
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values without those that stand for "not said": the modules have defaults for them."""
    return {key: value for key, value in values.items() if value is not None}


def wanted(facts: ExportFacts) -> Wanted:
    """Decide everything of a sound export; see `rules.losses`."""
    networks = {network.name: _network(facts, network) for _, network in facts.networks}
    return Wanted(
        facts.subscription_id or "",
        facts.resource_group or "",
        facts.spec.stack.location,
        facts.target.custom_location_resource_id or "",
        tuple(networks.values()),
        tuple(
            _cluster(facts, index, cluster, networks[cluster.logical_network])
            for index, cluster in enumerate(facts.spec.stack.clusters)
        ),
    )


def _network(facts: ExportFacts, network: LogicalNetwork) -> WantedNetwork:
    standing = facts.target.logical_networks.get(network.name)
    return WantedNetwork(
        network,
        standing or facts.id_of("Microsoft.AzureStackHCI", "logicalNetworks", network.name),
        facts.switch_of(network) or "",
        standing is None,
        facts.spec.stack.location,
        facts.target.custom_location_resource_id or "",
        facts.target.tags,
    )


def _cluster(facts: ExportFacts, index: int, cluster: ClusterSpec, network: WantedNetwork) -> WantedCluster:
    own = facts.of(cluster)
    name = facts.names[cluster.name]
    arc = facts.spec.stack.arc
    host_ip, keys = cluster.control_plane.host_ip, facts.keys_of(cluster)
    return WantedCluster(
        key=cluster.name,
        name=name,
        id=facts.id_of("Microsoft.Kubernetes", "connectedClusters", name),
        spec=cluster,
        network=network,
        version=facts.version_of(index)[0],
        plane_size=facts.size_of(cluster.control_plane.vm_size),
        host_ip=str(host_ip) if host_ip is not None else None,
        pools=tuple(_pool(facts, pool) for pool in cluster.agent_pools),
        ssh_key=keys[0] if keys else None,
        has_nfs=own.storage_profile.nfs_csi_driver.enabled and cluster.storage_profile.nfs_csi_driver.enabled,
        has_smb=own.storage_profile.smb_csi_driver.enabled and cluster.storage_profile.smb_csi_driver.enabled,
        ssh_from=tuple(str(prefix.network) for prefix in own.authorized_ip_ranges),
        tags={**(arc.tags if arc else {}), **cluster.arc.tags, **facts.target.tags, **own.tags},
        aad=_aad(facts, cluster),
        above=above(facts, cluster),
    )


def _pool(facts: ExportFacts, pool: AgentPool) -> WantedPool:
    scales = pool.enable_auto_scaling
    return WantedPool(
        pool,
        facts.size_of(pool.vm_size),
        pool.os_sku or OS_SKUS[pool.os_type][0],
        (pool.min_count if scales else None) or _LEAST_NODES,
        (pool.max_count if scales else None) or max(_MOST_NODES, pool.count),
    )


def _aad(facts: ExportFacts, cluster: ClusterSpec) -> dict[str, Any] | None:
    groups, by_role = facts.target.admin_group_object_ids, cluster.arc.azure_rbac.enabled
    if not groups and not by_role:
        return None
    return {"adminGroupObjectIDs": list(groups), "enableAzureRBAC": by_role, "tenantID": facts.tenant_id or ""}
