"""What becomes of `arc:`: one connected cluster for each AKS cluster, every name and setting decided. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from infra.spec import InstanceSpec
from infra.spec.arc import ArcSpec, ClusterArc
from infra.spec.arc_extensions import ExtensionSpec
from infra.spec.netplan import Proxy
from infra.spec.stack import ClusterSpec

_ALWAYS_DIRECT = ("kubernetes.default.svc", ".svc.cluster.local", ".svc")  # arc_facts.md §8.1


@dataclass(frozen=True, slots=True)
class Arc:
    """Which Azure, with everything decided.

    Attributes:
        spec: What people wrote of it.
        resource_group: Where the Azure resources go.
        emulator_address: Where clusters reach the emulator on this machine; None without the emulator.
    """

    spec: ArcSpec
    resource_group: str
    emulator_address: IPv4Address | None

    @property
    def is_emulated(self) -> bool:
        """Return whether the emulator stands in for Azure."""
        return self.spec.cloud == "emulator"


@dataclass(frozen=True, slots=True)
class ConnectedCluster:
    """One cluster's Azure Arc resource.

    Attributes:
        name: Of the Azure resource.
        location: The Azure region.
        tags: The stack's and the cluster's own.
        cluster_connect: Whether the cluster is reached through Azure; a private link scope excludes it.
        proxy: The site's proxy, with the cluster's own networks among what is reached directly.
        settings: What people wrote of the cluster's connection.
        extensions: Every extension once.
        is_issuer: Whether Azure is asked for an issuer of the cluster.
        issues_tokens: Whether its API server's tokens name the issuer that Azure publishes.
        workload_identity: Whether its pods may be identities of Entra.
    """

    name: str
    location: str
    tags: Mapping[str, str]
    cluster_connect: bool
    proxy: Proxy | None
    settings: ClusterArc
    extensions: tuple[ExtensionSpec, ...]
    is_issuer: bool
    issues_tokens: bool
    workload_identity: bool


def arc_of(spec: InstanceSpec) -> Arc | None:
    """Return which Azure the stack's clusters are connected to, None where they aren't."""
    arc = spec.stack.arc
    if arc is None:
        return None
    return Arc(arc, arc.resource_group or spec.name, _emulator_address(spec, arc))


def connected_cluster_of(spec: InstanceSpec, cluster: ClusterSpec) -> ConnectedCluster | None:
    """Return a cluster's connection, None where it has none."""
    arc = spec.stack.arc
    if arc is None or not cluster.arc.enabled or cluster.provisioning != "kubernetes":
        return None
    return ConnectedCluster(
        name=cluster.arc.name or f"{spec.name}-{cluster.name}",
        location=cluster.arc.location or spec.stack.location,
        tags={**arc.tags, **cluster.arc.tags},
        cluster_connect=cluster.arc.cluster_connect and arc.private_link_scope is None,  # arc_facts.md §8.3
        proxy=_proxy_of(spec.netplan.proxy, cluster),
        settings=cluster.arc,
        extensions=cluster.arc.all_extensions(),
        is_issuer=cluster.is_issuer,
        issues_tokens=cluster.oidc_issuer_profile.enabled,
        workload_identity=cluster.has_workload_identity,
    )


def _emulator_address(spec: InstanceSpec, arc: ArcSpec) -> IPv4Address | None:
    """Return the written address, or the gateway of the first cluster's network, which local hosts hold."""
    if arc.cloud != "emulator":
        return None
    if arc.emulator_address is not None:
        return arc.emulator_address
    networks = {network.name: network for network in spec.netplan.logical_networks}
    first = next((networks[cluster.logical_network] for cluster in spec.stack.clusters), None)
    return first.gateway if first is not None else None


def _proxy_of(proxy: Proxy | None, cluster: ClusterSpec) -> Proxy | None:
    if proxy is None:
        return None
    own = (str(cluster.network_profile.service_cidr.network), str(cluster.network_profile.pod_cidr.network))
    direct = dict.fromkeys((*proxy.no_proxy, *own, *_ALWAYS_DIRECT))
    return proxy.model_copy(update={"no_proxy": tuple(direct)})
