"""What resources are told, from the topology: for the program that declares them, and for a plan's comparison.

Pure. What only `up` knows comes from outside: the program has Pulumi's outputs for it, a plan stands-ins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from infra.arc_topology import ConnectedCluster
from infra.host_networks import HostNetwork
from infra.node_labels import POOL_LABEL
from infra.topology import Cluster, Host, Machine, Topology


class Place(Protocol):
    """What is known of a host once it was looked at, as machines are told."""

    @property
    def connection(self) -> Any:
        """Return its libvirt URI."""

    @property
    def pool(self) -> Any:
        """Return its storage pool."""

    @property
    def machine_type(self) -> Any:
        """Return how machines run there."""

    @property
    def secure_boot(self) -> Any:
        """Return whether VMs have Secure Boot."""

    @property
    def tpm(self) -> Any:
        """Return whether VMs have a TPM."""


class Identity(Protocol):
    """What nodes are told of their cluster's identity."""

    @property
    def ca_certificate(self) -> Any:
        """Return the authority's certificate."""

    @property
    def ca_hash(self) -> Any:
        """Return the pin of its key."""

    @property
    def token(self) -> Any:
        """Return the bootstrap token."""

    @property
    def keys(self) -> Any:
        """Return the control plane's keys."""

    @property
    def pod_security(self) -> Any:
        """Return the level that the cluster was founded with."""

    @property
    def unicast_vrrp(self) -> Any:
        """Return whether control planes hold the address by unicast."""


@dataclass(frozen=True)
class KubernetesNode:
    """What makes a machine a node: NodeInputs, NodeSecrets, NodeSettings by their wire names, outputs inside."""

    node: Mapping[str, Any]
    secrets: Mapping[str, Any]
    settings: Mapping[str, Any] | None


def host_inputs(host: Host, topology: Topology, owner: Any) -> dict[str, Any]:
    """Return what a host's resource is told.

    Args:
        host: The host.
        topology: Everything decided.
        owner: The id of the state that makes the instance.
    """
    return {
        "instance": topology.instance,
        "name": host.name,
        "connection": host.connection,
        "storage_directory": host.storage_directory,
        "requested_machine_type": topology.machine_type,
        "prepare": host.prepare,
        "uplink": host.uplink,
        "bridges": [
            {"name": network.bridge, "vlan": network.vlan}
            for network in topology.networks
            if network.host == host.name and network.mode == "bridge"
        ],
        "machines": [machine.name for machine in topology.machines if machine.host == host.name],
        "owner": owner,
        "lost": host.is_lost,
    }


def network_inputs(network: HostNetwork, host: Host, instance: str) -> dict[str, Any]:
    """Return what a network's resource on a host is told."""
    tunnel = network.tunnel
    return {
        "instance": instance,
        "connection": host.connection,
        "name": network.libvirt_name,
        "bridge": network.bridge,
        "mode": network.mode,
        "address_prefix": network.address_prefix if network.holds_gateway else None,
        "gateway": network.gateway if network.holds_gateway else None,
        "mtu": network.mtu,
        "tunnel": {"vni": tunnel.vni, "local": tunnel.local, "peers": list(tunnel.peers)} if tunnel else None,
    }


def identity_inputs(cluster: Cluster, instance: str) -> dict[str, Any]:
    """Return what a cluster's identity is told."""
    return {
        "instance": instance,
        "cluster": cluster.name,
        "endpoint": cluster.endpoint,
        "pod_security": cluster.pod_security,
    }


def connection_inputs(cluster: ConnectedCluster) -> dict[str, Any]:
    """Return what a cluster's connection to Azure Arc is told of the cluster."""
    settings = cluster.settings
    return {
        "name": cluster.name,
        "location": cluster.location,
        "tags": dict(cluster.tags),
        "distribution": settings.distribution,
        "infrastructure": settings.infrastructure,
        "azure_hybrid_benefit": settings.azure_hybrid_benefit,
        "agent_auto_upgrade": settings.agent_auto_upgrade,
        "release_train": settings.release_train,
        "cluster_connect": cluster.cluster_connect,
        "custom_locations": settings.custom_locations_feature.model_dump(by_alias=True),
        "azure_rbac": settings.azure_rbac.model_dump(by_alias=True, mode="json"),
        "oidc_issuer": settings.oidc_issuer.model_dump(by_alias=True),
        "workload_identity": settings.workload_identity,
    }


def machine_inputs(
    machine: Machine,
    instance: str,
    *,
    place: Place,
    image: Any,
    network: Any,
    reached_through: Any,
    authorized_keys: Iterable[str],
    live_hosts: Iterable[str],
    kubernetes: KubernetesNode | None,
) -> dict[str, Any]:
    """Return what a machine is told.

    Args:
        machine: The machine.
        instance: Whose it is.
        place: Its host.
        image: The image's volume there.
        network: Its libvirt network there.
        reached_through: The connection of the host from which its network is reached.
        authorized_keys: Who may log in.
        live_hosts: Connections of the hosts that drain live.
        kubernetes: The node that it becomes, if any.
    """
    return {
        "instance": instance,
        "connection": place.connection,
        "pool": place.pool,
        "name": machine.name,
        "machine_type": place.machine_type,
        "image": image,
        "network": network,
        "mac_address": machine.mac_address,
        "vcpus": machine.vcpus,
        "memory_mib": machine.memory_mib,
        "disk_gib": machine.disk_gib,
        "secure_boot": place.secure_boot,
        "tpm": place.tpm,
        "first_boot": {
            "hostname": machine.name,
            "address": machine.address,
            "gateway": machine.gateway,
            "dnsServers": list(machine.dns_servers),
            "mtu": machine.mtu,
            "authorizedKeys": list(authorized_keys),
            "node": kubernetes.node if kubernetes else None,
        },
        "node_secrets": kubernetes.secrets if kubernetes else None,
        "node_settings": kubernetes.settings if kubernetes else None,
        "reached_through": reached_through,
        "migrates_from": list(live_hosts),
    }


def kubernetes_nodes(
    cluster: Cluster,
    machines: Iterable[Machine],
    instance: str,
    identity: Identity,
    image_tag: Callable[[str], Any],
) -> dict[str, KubernetesNode]:
    """Return what makes each machine of a cluster a node, by the machine's name.

    Args:
        cluster: The cluster.
        machines: All its machines.
        instance: Whose it is.
        identity: What nodes are told of its identity.
        image_tag: Returns the tag of an image that is in every node's store.
    """
    planned = list(machines)
    planes = {one.name: address_of(one) for one in planned if one.role == "controlPlane"}
    return {one.name: _node(cluster, one, instance, identity, image_tag, planes) for one in planned}


def address_of(machine: Machine) -> str:
    """Return a machine's address without its subnet's length."""
    return machine.address.partition("/")[0]


def _node(
    cluster: Cluster,
    machine: Machine,
    instance: str,
    identity: Identity,
    image_tag: Callable[[str], Any],
    planes: Mapping[str, str],
) -> KubernetesNode:
    """Return what makes a machine a node; `planes` are all control planes' addresses by their names."""
    node: dict[str, Any] = {
        "cluster": f"{instance}-{cluster.name}",
        "role": machine.role,
        "version": cluster.kubernetes_version,
        "endpoint": cluster.endpoint,
        "caCertificate": identity.ca_certificate,
        "caHash": identity.ca_hash,
    }
    secrets: dict[str, Any] = {"token": identity.token}
    settings: dict[str, Any] | None = None
    if machine.role == "controlPlane":
        node |= {
            "number": machine.number,
            "vrrpId": cluster.vrrp_id,
            "podCidr": cluster.pod_cidr,
            "serviceCidr": cluster.service_cidr,
            "imageTags": {name: image_tag(name) for name in ("etcd", "coredns")},
        }
        secrets["keys"] = identity.keys
        settings = {
            "podSecurity": identity.pod_security,
            "peers": [address for name, address in planes.items() if name != machine.name],
            "unicastVrrp": identity.unicast_vrrp,
        }
    else:
        node |= {
            "maxPods": machine.max_pods,
            "labels": {POOL_LABEL: machine.pool} | dict(machine.labels),
            "taints": list(machine.taints),
        }
    return KubernetesNode(node, secrets, settings)
