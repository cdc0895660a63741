"""The ConnectedCluster kind: connects a cluster to Azure Arc, sees how the connection is, takes it away."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final

from infra.arc.azure import Azure
from infra.arc.environment import environment_of
from infra.arc.errors import NotInTime
from infra.arc.onboarding import (
    AzureRbac,
    AzureScope,
    Connected,
    CustomLocations,
    Features,
    OidcIssuer,
    Onboarding,
    Proxy,
    connect,
    disconnect,
    observe,
    replaced,
    update,
)
from infra.kubernetes.api import ClusterApi
from infra.plugin.operation import Operation
from infra.provider.kind import Changes, InitFailed, Kind, Made
from infra.provider.kinds.arc_base import AzureSessions
from infra.resources.azure_access import AzureAccess
from infra.resources.connected_cluster import (
    CONNECTED_CLUSTER,
    ConnectedClusterInputs,
    ConnectedClusterState,
)
from infra.resources.contract import OnChange
from infra.unknown import UNKNOWN

_SECONDS: Final = 1200
# What `replaced` calls things, and the properties that they come from.
_REPLACED: Final = {
    "scope": ("subscriptionId", "resourceGroup"),
    "name": ("name",),
    "location": ("location",),
    "infrastructure": ("infrastructure",),
    "features": ("oidcIssuer",),
}


class ConnectedClusterKind(Kind[ConnectedClusterInputs, ConnectedClusterState]):
    """A Kubernetes cluster's connection to Azure Arc."""

    contract = CONNECTED_CLUSTER

    def __init__(self, sessions: AzureSessions) -> None:
        self._sessions = sessions

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """Replace what Azure can't change, and leave what it takes for the same.

        The first cluster named after an import is taken for the one that was imported.
        """
        if not state.get("clusterUid"):
            changes.by_path.pop("clusterUid", None)
        replacing = replaced(_compared(state), _compared(news))
        for name, properties in _REPLACED.items():
            for path in [changed for changed in changes.by_path if changed.split(".")[0] in properties]:
                if name in replacing:
                    changes.by_path[path] = OnChange.REPLACE
                elif changes.by_path[path] is OnChange.REPLACE:
                    del changes.by_path[path]  # only spelled in another way
        if "features" in replacing:
            op.info(
                f"{news.get('name')}: Azure can't switch the OIDC issuer off; the cluster is connected again, "
                "with a new identity, and what is declared on it is made again"
            )

    def preview(self, op: Operation, inputs: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
        """Leave open which issuer Azure publishes where it is to publish one from now on."""
        is_wanted = bool((inputs.get("oidcIssuer") or {}).get("enabled"))
        return {"issuerUrl": UNKNOWN} if is_wanted and old is not None and not old.get("issuerUrl") else {}

    def create(self, op: Operation, inputs: ConnectedClusterInputs) -> Made[ConnectedClusterState]:
        """Connect it, or go on where an interrupted run left off, or adopt a connection of the same cluster."""
        state = self._connected(op, inputs)
        return self.made(state)

    def read(self, op: Operation, id: str, old: ConnectedClusterState | None) -> ConnectedClusterState | None:
        """Return how the connection is: what Azure hears, and whether the agents run."""
        azure, parts = self._sessions.of(old.access if old else AzureAccess(), id)
        api = ClusterApi(old.kubeconfig) if old and old.kubeconfig else None
        connected = observe(azure, azure.scope, parts.name, api)
        if connected is None:
            return None
        for warning in connected.warnings:
            op.warning(f"{parts.name}: {warning}")
        return (
            _observed(old, connected) if old else _imported(parts.subscription_id, parts.resource_group, connected)
        )

    def update(
        self, op: Operation, id: str, old: ConnectedClusterState, inputs: ConnectedClusterInputs
    ) -> ConnectedClusterState:
        """Change what Azure lets be changed, and repair a connection that broke."""
        return self._connected(op, inputs, old)

    def delete(self, op: Operation, id: str, old: ConnectedClusterState) -> None:
        """Take both sides away; what stays on a cluster that doesn't answer is said.

        Raises:
            AzureUnreachable: Azure doesn't answer; forgotten here, the resource would stay there for good.
        """
        azure, parts = self._sessions.of(old.access, id)
        for leftover in disconnect(azure, azure.scope, parts.name, old.kubeconfig or None, work=op.work(_SECONDS)):
            op.warning(f"{parts.name}: {leftover}")

    def _connected(
        self, op: Operation, inputs: ConnectedClusterInputs, old: ConnectedClusterState | None = None
    ) -> ConnectedClusterState:
        """Connect or change, and wait until it is.

        Raises:
            InitFailed: The resource stands in Azure, but the agents don't run or Azure doesn't hear them.
        """
        azure = self._sessions.session(inputs.access, inputs.subscription_id, inputs.resource_group)
        wanted, work = _onboarding(azure, inputs), op.work(_SECONDS)
        try:
            if old is None or not old.connected:
                connected = connect(azure, wanted, work)
            if old is not None:
                connected = update(azure, _onboarding(azure, old), wanted, work)
        except NotInTime as error:
            stands = observe(azure, azure.scope, inputs.name, None)
            if stands is None:
                raise
            state = _observed(_new(inputs), stands).model_copy(update={"connected": False})
            raise InitFailed(self.made(state), str(error)) from error
        for warning in connected.warnings:
            op.warning(f"{inputs.name}: {warning}")
        return _observed(_new(inputs), connected)


def _compared(properties: Mapping[str, Any]) -> Onboarding:
    """Return a connection as far as it is compared: which Azure it is in, nothing of it tells."""
    issuer = properties.get("oidcIssuer") or {}
    return Onboarding(
        environment=environment_of("AzureCloud"),
        scope=AzureScope(str(properties.get("subscriptionId")), str(properties.get("resourceGroup"))),
        name=str(properties.get("name")),
        location=str(properties.get("location")),
        kubeconfig="",
        infrastructure=str(properties.get("infrastructure")),
        features=Features(oidc_issuer=OidcIssuer(bool(issuer.get("enabled")))),
    )


def _onboarding(azure: Azure, inputs: ConnectedClusterInputs) -> Onboarding:
    proxy = inputs.proxy
    return Onboarding(
        environment=azure.environment,
        scope=azure.scope,
        name=inputs.name,
        location=inputs.location,
        kubeconfig=inputs.kubeconfig,
        tags=inputs.tags,
        distribution=inputs.distribution,
        infrastructure=inputs.infrastructure,
        azure_hybrid_benefit=inputs.azure_hybrid_benefit,
        features=Features(
            proxy=Proxy(
                https=(proxy.https_proxy or "") if proxy else "",
                http=(proxy.http_proxy or "") if proxy else "",
                no_proxy=tuple(proxy.no_proxy) if proxy else (),
                certificate=inputs.proxy_ca or "",
            )
            if proxy or inputs.proxy_ca
            else None,
            private_link_scope_id=inputs.private_link_scope_id,
            gateway_id=inputs.gateway_id,
            cluster_connect=inputs.cluster_connect,
            custom_locations=CustomLocations(inputs.custom_locations.enabled, inputs.custom_locations.oid),
            azure_rbac=AzureRbac(inputs.azure_rbac.enabled, tuple(inputs.azure_rbac.skip_authz_check)),
            oidc_issuer=OidcIssuer(inputs.oidc_issuer.enabled, inputs.oidc_issuer.self_hosted_issuer_url),
            workload_identity=inputs.workload_identity,
        ),
        auto_upgrade=inputs.agent_auto_upgrade,
        release_train=inputs.release_train,
        register_providers=inputs.register_providers,
        probe_image=inputs.probe_image,
    )


def _new(inputs: ConnectedClusterInputs) -> ConnectedClusterState:
    return ConnectedClusterState(**inputs.model_dump(), connectivity_status="Connecting", public_key="")


def _observed(state: ConnectedClusterState, connected: Connected) -> ConnectedClusterState:
    """Return the state with what Azure and the cluster say now; the agents' version is Azure's to change."""
    return state.model_copy(
        update={
            "location": connected.location,
            "tags": dict(connected.tags),
            "distribution": connected.distribution,
            "infrastructure": connected.infrastructure,
            "connected": connected.connectivity_status == "Connected" and connected.agents_ready is not False,
            "connectivity_status": connected.connectivity_status,
            "agent_version": connected.agent_version,
            "kubernetes_version": connected.kubernetes_version,
            "total_node_count": connected.node_count,
            "certificate_expires": _text(connected.certificate_expires),
            "last_connectivity_time": _text(connected.last_connectivity),
            "public_key": connected.public_key,
            "principal_id": connected.principal_id,
            "issuer_url": connected.issuer_url or None,
            "warnings": [*connected.warnings, *connected.agent_errors],
        }
    )


def _imported(subscription_id: str, resource_group: str, connected: Connected) -> ConnectedClusterState:
    """Return the state of an import: the cluster itself, and its keys, come with the next `up`."""
    name = connected.id.rpartition("/")[2]
    state = ConnectedClusterState(
        access=AzureAccess(),
        subscription_id=subscription_id,
        resource_group=resource_group,
        name=name,
        location=connected.location,
        cluster_uid="",
        kubeconfig="",
        connectivity_status=connected.connectivity_status,
        public_key=connected.public_key,
    )
    return _observed(state, connected)


def _text(time: datetime.datetime | None) -> str | None:
    return time.isoformat() if time is not None else None
