"""What an export is made of: a plan, and the Azure Local instance that it is carried over to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final, Literal

from infra.plan.addresses import Lock
from infra.plan.addresses.numbers import as_ranges
from infra.plan.instance import Plan
from infra.spec import InstanceSpec
from infra.spec.arc import ArcSpec
from infra.spec.findings import KeyPath
from infra.spec.kubernetes_versions import offered
from infra.spec.loader import FileKind
from infra.spec.netplan import LogicalNetwork
from infra.spec.stack import ClusterSpec
from infra.spec.target import ClusterTarget, Target
from infra.spec.tree import Document
from infra.spec.types import AddressRange


class Format(StrEnum):
    """What a plan is exported to."""

    BICEP = "bicep"
    TERRAFORM = "terraform"
    AZ = "az"
    ARM = "arm"
    ODIN = "odin"


OF_CLUSTERS: Final = frozenset({Format.BICEP, Format.TERRAFORM, Format.AZ})
"""Formats that have logical networks and clusters."""

OF_INSTANCES: Final = frozenset({Format.ARM, Format.ODIN})
"""Formats that have the instance itself: hosts and infrastructure network."""

ExportFile = FileKind | Literal["target"]
Place = tuple[ExportFile, KeyPath]


@dataclass(frozen=True)
class ExportFacts:
    """All that decides an export.

    Attributes:
        spec: What people wrote of the stack.
        plan: Its plan, with what the site's locks hold.
        lock: Who has which address, as the lock file says.
        target: targets/<site>.yaml.
        document: Where everything stands in it.
        keys: The texts of the stack's SSH keys.
        target_keys: The texts of the keys that the target names, by what it calls them.
        format: What it is exported to.
    """

    spec: InstanceSpec
    plan: Plan
    lock: Lock
    target: Target
    document: Document
    format: Format
    keys: tuple[str, ...] = ()
    target_keys: Mapping[str, tuple[str, ...]] | None = None

    def where(self, file: ExportFile, path: KeyPath) -> str:
        """Name a place in one of the files."""
        return self.document.where(path) if file == "target" else self.spec.sources.where(file, path)

    @property
    def _arc(self) -> ArcSpec | None:
        """Return `arc:` of the stack; the emulator's Azure is nobody's."""
        arc = self.spec.stack.arc
        return None if arc is None or arc.cloud == "emulator" else arc

    @property
    def subscription_id(self) -> str | None:
        """Return the subscription."""
        return self.target.subscription_id or (self._arc.subscription_id if self._arc else None)

    @property
    def tenant_id(self) -> str | None:
        """Return the tenant."""
        return self.target.tenant_id or (self._arc.tenant_id if self._arc else None)

    @property
    def resource_group(self) -> str | None:
        """Return the resource group of everything that is exported."""
        return self.target.resource_group or (self._arc.resource_group if self._arc else None)

    @property
    def release(self) -> str:
        """Return the release of Azure Local whose Kubernetes versions count."""
        release = self.spec.stack.azure_local_release
        return release if release in offered() else max(offered())

    @cached_property
    def clusters(self) -> list[tuple[KeyPath, ClusterSpec]]:
        """Return the clusters with the place where each stands."""
        return [(("clusters", index), cluster) for index, cluster in enumerate(self.spec.stack.clusters)]

    @cached_property
    def networks(self) -> list[tuple[KeyPath, LogicalNetwork]]:
        """Return the logical networks that clusters use, with the place where each stands."""
        used = {cluster.logical_network for cluster in self.spec.stack.clusters}
        listed = enumerate(self.spec.netplan.logical_networks)
        return [(("logicalNetworks", index), network) for index, network in listed if network.name in used]

    def key_of(self, cluster: ClusterSpec) -> str | None:
        """Return under which key the target speaks of a cluster; None where it doesn't."""
        names = (f"{self.spec.name}/{cluster.name}", cluster.name)
        return next((name for name in names if name in self.target.clusters), None)

    def of(self, cluster: ClusterSpec) -> ClusterTarget:
        """Return what the target says of a cluster."""
        key = self.key_of(cluster)
        return self.target.clusters[key] if key is not None else ClusterTarget.model_construct()

    def version_of(self, index: int) -> tuple[str, Place]:
        """Return the Kubernetes version that a cluster gets in Azure, and where that stands."""
        cluster = self.spec.stack.clusters[index]
        key, own = self.key_of(cluster), self.of(cluster).kubernetes_version
        if key is not None and own is not None:
            return own, ("target", ("clusters", key, "kubernetesVersion"))
        if self.target.kubernetes_version is not None:
            return self.target.kubernetes_version, ("target", ("kubernetesVersion",))
        return cluster.kubernetes_version, ("stack", ("clusters", index, "kubernetesVersion"))

    def size_of(self, name: str) -> str:
        """Return the VM size that Azure has for one of the plan's."""
        return self.target.vm_sizes.get(name, name)

    def keys_of(self, cluster: ClusterSpec) -> tuple[str, ...]:
        """Return the SSH keys for a cluster's nodes: the target's own for it, the target's, or the stack's."""
        named = self.of(cluster).ssh_public_key or self.target.ssh_public_key
        if named is not None:
            return (self.target_keys or {}).get(named, (named,))
        return () if self.target.ssh_key_vault is not None else self.keys

    def switch_of(self, network: LogicalNetwork) -> str | None:
        """Return a network's virtual switch."""
        return network.vm_switch_name or self.target.vm_switch_name

    def services_of(self, cluster: ClusterSpec) -> list[AddressRange]:
        """Return the addresses of a cluster's services, as the plan holds them."""
        allocations = (
            allocation
            for network in self.plan.addresses.networks
            for allocation in network.allocations
            if allocation.use == "loadBalancer" and allocation.cluster == cluster.name
        )
        return as_ranges(allocation.value for allocation in allocations)

    def unlocked_services_of(self, cluster: ClusterSpec) -> list[AddressRange]:
        """Return those of them that azlocal chose and that the lock file doesn't hold."""
        start = f"{self.spec.name}/"
        held = {address for address, holder in self.lock.given.items() if holder.owner.startswith(start)}
        chosen = (
            allocation.value
            for network in self.plan.addresses.networks
            for allocation in network.allocations
            if allocation.use == "loadBalancer"
            and allocation.cluster == cluster.name
            and allocation.value not in held
        )
        written = cluster.load_balancer.ranges
        return as_ranges(value for value in chosen if not any(value in span for span in written))

    @property
    def names(self) -> Mapping[str, str]:
        """Return the clusters' names in Azure, by their own."""
        return {
            cluster.name: self.of(cluster).name or cluster.arc.name or f"{self.spec.name}-{cluster.name}"
            for cluster in self.spec.stack.clusters
        }

    def id_of(self, provider: str, kind: str, name: str) -> str:
        """Return the ARM id of something in the resource group."""
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
        return f"{group}/providers/{provider}/{kind}/{name}"
