"""One configured provider: its settings, its cluster, and what unreachable means to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from infra.errors import UserError
from infra.kubernetes.api import ClusterUnreachable
from infra.kubernetes.cluster import Cluster
from infra.kubernetes.kinds import KindId, Ref
from infra.kubernetes_plugin import kubeconfig
from infra.kubernetes_plugin.config import Settings
from infra.kubernetes_plugin.retrying import RetryingApi
from infra.kubernetes_plugin.run_memory import RunMemory
from infra.plugin.operation import Operation

_FORGET = (
    "If the cluster is gone for good, run again with PULUMI_K8S_DELETE_UNREACHABLE=true, "
    "or set the provider's deleteUnreachable: its resources are then dropped from state"
)


@dataclass(frozen=True)
class Session:
    """A provider instance. Making one touches neither files nor the network."""

    settings: Settings
    environment: Mapping[str, str]
    run: RunMemory = field(default_factory=RunMemory)

    @cached_property
    def kubeconfig(self) -> dict[str, Any]:
        """Return the kubeconfig of the chosen context.

        Raises:
            ClusterUnreachable: there is none that can be used, so nothing can be asked.
        """
        try:
            return kubeconfig.load(self.settings, self.environment)
        except UserError as error:
            raise ClusterUnreachable(str(error)) from error

    @cached_property
    def cluster(self) -> Cluster:
        """Return the cluster; it is connected to when it is first asked something."""
        return Cluster(RetryingApi(self.kubeconfig, self.settings.timeout))

    @property
    def namespace(self) -> str:
        """Return the namespace of objects that name none."""
        if self.settings.namespace:
            return self.settings.namespace
        try:
            return kubeconfig.namespace(self.kubeconfig)
        except ClusterUnreachable:
            return "default"

    def is_namespaced(self, id: KindId) -> bool:
        """Return whether objects of the kind live in namespaces, as far as can be told right now."""
        try:
            return self.cluster.is_namespaced(id)
        except ClusterUnreachable:
            return True

    def cluster_uid(self) -> str:
        """Return what tells this cluster from one re-created behind the same address."""
        system = self.cluster.get(Ref(KindId("v1", "Namespace"), None, "kube-system"))
        return str(system["metadata"]["uid"])

    def unreachable(self) -> str | None:
        """Return why the API server can't be asked, None when it answers."""
        try:
            self.cluster.api.text("/version")
        except ClusterUnreachable as error:
            return str(error)
        return None

    def forgets(self, op: Operation) -> bool:
        """Return whether a resource is to be dropped from state because its cluster doesn't answer.

        Raises:
            ClusterUnreachable: it doesn't answer, and nothing says that it is gone.
        """
        reason = self.unreachable()
        if reason is None:
            return False
        if not self.settings.delete_unreachable:
            raise ClusterUnreachable(f"{reason}. {_FORGET}")
        op.warning(f"{reason}; deleteUnreachable is set, so the resource is dropped from state")
        return True
