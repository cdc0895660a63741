"""What resources are told, from the topology: for the program that declares them, and for a plan's comparison.

Pure. What only `up` knows comes from outside: the program has Pulumi's outputs for it, a plan stands-ins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from infra.model.machine import MachineType
from infra.model.node import PodSecurity
from infra.node_labels import POOL_LABEL
from infra.plan.arc_topology import ConnectedCluster
from infra.plan.host_networks import HostNetwork
from infra.plan.topology import Cluster, Host, Machine, Topology
from infra.resources.arguments import (
    ClusterIdentityArgs,
    ConnectedClusterArgs,
    HostArgs,
    MachineArgs,
    NetworkArgs,
    NodeArgs,
    NodeMarksArgs,
    NodeSecretsArgs,
    NodeSettingsArgs,
    SpareArgs,
)

if TYPE_CHECKING:
    from infra.resources.arguments import Input


class Place(Protocol):
    """What is known of a host once it was looked at, as machines are told."""

    @property
    def connection(self) -> Input[str]:
        """Return its libvirt URI."""

    @property
    def pool(self) -> Input[str]:
        """Return its storage pool."""

    @property
    def machine_type(self) -> Input[MachineType]:
        """Return how machines run there."""

    @property
    def secure_boot(self) -> Input[bool]:
        """Return whether VMs have Secure Boot."""

    @property
    def tpm(self) -> Input[bool]:
        """Return whether VMs have a TPM."""


class Identity(Protocol):
    """What nodes are told of their cluster's identity."""

    @property
    def ca_certificate(self) -> Input[str]:
        """Return the authority's certificate."""

    @property
    def ca_hash(self) -> Input[str]:
        """Return the pin of its key."""

    @property
    def token(self) -> Input[str]:
        """Return the bootstrap token."""

    @property
    def keys(self) -> Input[Mapping[str, Input[str]]]:
        """Return the control plane's keys."""

    @property
    def encryption_keys(self) -> Input[Sequence[Input[str]] | None]:
        """Return the keys of Secrets in etcd; None of a cluster that was founded without."""

    @property
    def pod_security(self) -> Input[PodSecurity | None]:
        """Return the level that the cluster was founded with."""


@dataclass(frozen=True)
class KubernetesNode:
    """What makes a machine a node."""

    node: NodeArgs
    secrets: NodeSecretsArgs
    settings: NodeSettingsArgs | None


def host_inputs(host: Host, topology: Topology, owner: Input[str | None]) -> HostArgs:
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
        # A spare is where the control plane is that it stands in for, or was.
        "machines": [
            *(machine.name for machine in topology.machines if machine.host == host.name),
            *(cluster.spare.name for cluster in topology.clusters if cluster.provisioning == "kubernetes"),
        ],
        "owner": owner,
        "lost": host.is_lost,
    }


def network_inputs(network: HostNetwork, host: Host, instance: str) -> NetworkArgs:
    """Return what a network's resource on a host is told."""
    tunnel = network.tunnel
    return {
        "instance": instance,
        "connection": host.connection,
        "name": network.libvirt_name,
        "bridge": network.bridge,
        "mode": network.mode,
        "address_prefix": str(network.address_prefix) if network.holds_gateway else None,
        "gateway": str(network.gateway) if network.holds_gateway else None,
        "mtu": network.mtu,
        "tunnel": {"vni": tunnel.vni, "local": tunnel.local, "peers": list(tunnel.peers)} if tunnel else None,
    }


def identity_inputs(cluster: Cluster, instance: str) -> ClusterIdentityArgs:
    """Return what a cluster's identity is told."""
    return {
        "instance": instance,
        "cluster": cluster.name,
        "endpoint": str(cluster.endpoint),
        "pod_security": cluster.pod_security,
    }


def connection_inputs(cluster: ConnectedCluster) -> ConnectedClusterArgs:
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
        "custom_locations": {
            "enabled": settings.custom_locations_feature.enabled,
            "oid": settings.custom_locations_feature.oid,
        },
        "azure_rbac": {
            "enabled": settings.azure_rbac.enabled,
            "skipAuthzCheck": list(settings.azure_rbac.skip_authz_check),
        },
        "oidc_issuer": {
            "enabled": cluster.is_issuer,
            "selfHostedIssuerUrl": settings.oidc_issuer.self_hosted_issuer_url,
        },
        "workload_identity": cluster.workload_identity,
    }


def machine_inputs(
    machine: Machine,
    instance: str,
    *,
    place: Place,
    image: Input[str],
    network: Input[str],
    reached_through: Input[str | None],
    authorized_keys: Input[Sequence[Input[str]]],
    identity_files: Iterable[str],
    live_hosts: Iterable[str],
    kubernetes: KubernetesNode | None,
) -> MachineArgs:
    """Return what a machine is told.

    Args:
        machine: The machine.
        instance: Whose it is.
        place: Its host.
        image: The image's volume there.
        network: Its libvirt network there.
        reached_through: The connection of the host from which its network is reached.
        authorized_keys: Who may log in.
        identity_files: Private keys of theirs on this machine.
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
            "address": str(machine.address),
            "gateway": str(machine.gateway),
            "dnsServers": [str(server) for server in machine.dns_servers],
            "mtu": machine.mtu,
            "authorizedKeys": authorized_keys,
            "node": kubernetes.node if kubernetes else None,
        },
        "node_secrets": kubernetes.secrets if kubernetes else None,
        "node_settings": kubernetes.settings if kubernetes else None,
        "reached_through": reached_through,
        "identity_files": list(identity_files),
        "migrates_from": list(live_hosts),
    }


def kubernetes_nodes(
    cluster: Cluster,
    machines: Iterable[Machine],
    instance: str,
    identity: Identity,
    image_tag: Callable[[str], Input[str]],
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
    planes = {machine.name: address_of(machine) for machine in planned if machine.role == "controlPlane"}
    return {machine.name: _node(cluster, machine, instance, identity, image_tag, planes) for machine in planned}


def address_of(machine: Machine) -> str:
    """Return a machine's address without its subnet's length."""
    return str(machine.address.ip)


def spare_inputs(cluster: Cluster) -> SpareArgs:
    """Return what is told of the machine that takes the only control plane's place while that is replaced."""
    spare = cluster.spare
    return {"name": spare.name, "address": str(spare.address), "macAddress": spare.mac_address}


def etcd_keys(keys: Mapping[str, str]) -> dict[str, str]:
    """Return of a cluster's keys those of its etcd's authority."""
    return {path: content for path, content in keys.items() if path.startswith("etcd/")}


def node_marks(machines: Iterable[Machine]) -> dict[str, NodeMarksArgs]:
    """Return labels and taints of a cluster's nodes, by name, of those that have any from azlocal."""
    return {
        machine.name: {"labels": _labels(machine), "taints": list(machine.taints)}
        for machine in machines
        if machine.role == "worker"
    }


def _labels(machine: Machine) -> dict[str, str]:
    """Return a worker's labels; whatever is written of it, its pool's is its pool's name."""
    return dict(machine.labels) | ({POOL_LABEL: machine.pool} if machine.pool else {})


def _node(
    cluster: Cluster,
    machine: Machine,
    instance: str,
    identity: Identity,
    image_tag: Callable[[str], Input[str]],
    planes: Mapping[str, str],
) -> KubernetesNode:
    """Return what makes a machine a node; `planes` are all control planes' addresses by their names."""
    node: NodeArgs = {
        "cluster": f"{instance}-{cluster.name}",
        "role": machine.node_role,
        "version": machine.image,
        "endpoint": str(cluster.endpoint),
        "caCertificate": identity.ca_certificate,
        "caHash": identity.ca_hash,
    }
    secrets: NodeSecretsArgs = {"token": identity.token}
    settings: NodeSettingsArgs | None = None
    if machine.role == "controlPlane":
        node |= {
            "number": machine.number,
            "vrrpId": cluster.vrrp_id,
            "podCidr": str(cluster.pod_cidr),
            "serviceCidr": str(cluster.service_cidr),
            "imageTags": {name: image_tag(name) for name in ("etcd", "coredns")},
        }
        secrets |= {"keys": identity.keys, "encryptionKeys": identity.encryption_keys}
        settings = {
            "podSecurity": identity.pod_security,
            "peers": [address for name, address in planes.items() if name != machine.name],
        }
    else:
        node |= {
            "maxPods": machine.max_pods,
            "labels": _labels(machine),
            "taints": list(machine.taints),
        }
    return KubernetesNode(node, secrets, settings)
