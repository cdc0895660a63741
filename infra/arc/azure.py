"""Azure as this project uses it: one typed door to ARM, its own JSON in and out; `arm.py` has what is behind.

Every method raises ArmError where Azure refuses, AzureUnreachable where it doesn't answer, CredentialError where
nobody vouches for us. Those that wait take a `Work`, and raise NotInTime and Interrupted, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from infra.arc.arm import Arm, Body, encoded, parsed
from infra.arc.model import AzureScope
from infra.model.azure_regions import short_location
from infra.model.work import Work

KUBERNETES: Final = "Microsoft.Kubernetes"
KUBERNETES_CONFIGURATION: Final = "Microsoft.KubernetesConfiguration"
EXTENDED_LOCATION: Final = "Microsoft.ExtendedLocation"
HYBRID_COMPUTE: Final = "Microsoft.HybridCompute"

_CLUSTERS: Final = "connectedClusters"
# Of lists, which are read page by page, and of what no client package covers.
_SUBSCRIPTIONS_VERSION: Final = "2022-12-01"
_EXTENSIONS_VERSION: Final = "2025-03-01"
_FLUX_VERSION: Final = "2025-04-01"
_CUSTOM_LOCATIONS_VERSION: Final = "2021-08-15"
GATEWAY_VERSION: Final = "2025-02-19-preview"
_SOURCE_CONTROL_VERSION: Final = "2023-05-01"
_REGISTRATION_SECONDS: Final = 600.0  # as the documentation says it may take


class Azure(Arm):
    """One resource group of one subscription, as one identity sees it. Thread-safe; close it or use `with`."""

    # What stands around: subscription, providers, the resource group.

    def subscription(self) -> Body:
        """Return the subscription.

        Raises:
            ArmError: It isn't there, or this identity may not see it.
        """
        path = f"/subscriptions/{self.scope.subscription_id}"
        return self._get(path, _SUBSCRIPTIONS_VERSION, f"reading subscription {self.scope.subscription_id}")

    def tenant_id(self) -> str:
        """Return the tenant: the scope's, else the subscription's."""
        return self.scope.tenant_id or str(self.subscription().get("tenantId") or "")

    def provider_state(self, namespace: str) -> str:
        """Return a resource provider's registrationState: Registered, Registering, NotRegistered, …"""
        return str(self._provider(namespace).get("registrationState") or "")

    def register(self, namespace: str, work: Work) -> None:
        """Register a resource provider and wait until it is.

        Raises:
            ArmError: The identity may not.
            NotInTime: It takes longer than ten minutes.
        """
        work = work.within(_REGISTRATION_SECONDS)
        doing = f"registering {namespace} in subscription {self.scope.subscription_id}"
        self._call(doing, lambda: self._resources.providers.register(namespace, cls=parsed), work)
        while (state := self.provider_state(namespace)) != "Registered":
            work.status(f"{doing}: {state}")
            work.wait(self.pause, doing)

    def locations(self, namespace: str, resource_type: str) -> list[str]:
        """Return the regions, in ARM's short spelling, that a provider offers a resource type in."""
        wanted = resource_type.lower()
        for kind in self._provider(namespace).get("resourceTypes") or []:
            if str(kind.get("resourceType")).lower() == wanted:
                return [short_location(name) for name in kind.get("locations") or []]
        return []

    def _provider(self, namespace: str) -> Body:
        doing = f"reading the resource provider {namespace}"
        return self._call(doing, lambda: self._resources.providers.get(namespace, cls=parsed)) or {}

    def resource_group(self) -> Body | None:
        """Return the resource group, None where there is none."""
        name = self.scope.resource_group
        return self._maybe(
            f"reading resource group {name}", lambda: self._resources.resource_groups.get(name, cls=parsed)
        )

    def ensure_resource_group(self, location: str, tags: Mapping[str, str]) -> bool:
        """Make the resource group where there is none; return whether it was made.

        One that stands is left as it is: its location and tags are its owner's.
        """
        if self.resource_group() is not None:
            return False
        name, body = self.scope.resource_group, {"location": location, "tags": dict(tags)}
        operations = self._resources.resource_groups
        self._call(f"making resource group {name}", lambda: operations.create_or_update(name, body, cls=parsed))
        return True

    # Connected clusters.

    def get_cluster(self, name: str, *, scope: AzureScope | None = None) -> Body | None:
        """Return a connected cluster, None where there is none; of another resource group if `scope` says so.

        Raises:
            ArmError: Azure refuses: a missing subscription or right is no missing cluster.
        """
        if scope is not None and scope.subscription_id.lower() != self.scope.subscription_id.lower():
            with Azure(self.environment, scope, self.credential) as other:
                return other.get_cluster(name)
        group = (scope or self.scope).resource_group
        return self._maybe(
            f"reading connected cluster {group}/{name}",
            lambda: self._clusters.connected_cluster.get(group, name, cls=parsed),
        )

    def put_cluster(self, name: str, body: Body, work: Work) -> Body:
        """Create or replace a connected cluster; return it as it stands when Azure is done."""
        return self._put(
            f"making connected cluster {name}",
            self._clusters.connected_cluster.begin_create_or_replace,
            (self.scope.resource_group, name, encoded(body)),
            work,
        )

    def patch_cluster(self, name: str, body: Body, work: Work) -> Body:
        """Change a connected cluster's tags, distribution or azureHybridBenefit."""
        return self._put(
            f"updating connected cluster {name}",
            self._clusters.connected_cluster.begin_update_async,
            (self.scope.resource_group, name, encoded(body)),
            work,
        )

    def delete_cluster(self, name: str, *, work: Work, force: bool = False) -> None:
        """Delete a connected cluster, and with it its extensions and Flux configurations; none there is fine."""
        self._delete(
            f"deleting connected cluster {name}",
            self._clusters.connected_cluster.begin_delete,
            (self.scope.resource_group, name),
            work,
            {"force": "true"} if force else {},
        )

    # Extensions.

    def get_extension(self, cluster: str, name: str) -> Body | None:
        """Return a cluster's extension, None where there is none."""
        where = self._below(cluster, name)
        return self._maybe(
            f"reading extension {name} of {cluster}",
            lambda: self._extensions.extensions.get(*where, cls=parsed),
        )

    def put_extension(self, cluster: str, name: str, body: Body, work: Work) -> Body:
        """Create or replace an extension; protected settings have to be complete each time.

        Raises:
            ArmError: Azure refuses, or the agents couldn't install it: says what they said.
        """
        where = self._below(cluster, name)
        return self._put(
            f"installing extension {name} on {cluster}",
            self._extensions.extensions.begin_create,
            (*where, encoded(body)),
            work,
            again=lambda: self.get_extension(cluster, name),
        )

    def delete_extension(self, cluster: str, name: str, *, work: Work, force: bool = False) -> None:
        """Delete an extension; its agents uninstall it. With `force` only Azure forgets it."""
        self._delete(
            f"deleting extension {name} of {cluster}",
            self._extensions.extensions.begin_delete,
            self._below(cluster, name),
            work,
            {"forceDelete": "true"} if force else {},
        )

    def list_extensions(self, cluster: str) -> list[Body]:
        """Return a cluster's extensions."""
        return self._list(self._children(cluster, "extensions"), _EXTENSIONS_VERSION)

    # Flux configurations.

    def get_flux_configuration(self, cluster: str, name: str) -> Body | None:
        """Return a cluster's Flux configuration, None where there is none."""
        where = self._below(cluster, name)
        return self._maybe(
            f"reading Flux configuration {name} of {cluster}",
            lambda: self._flux.flux_configurations.get(*where, cls=parsed),
        )

    def put_flux_configuration(self, cluster: str, name: str, body: Body, work: Work) -> Body:
        """Create or replace a Flux configuration; protected settings have to be complete each time."""
        where = self._below(cluster, name)
        return self._put(
            f"making Flux configuration {name} on {cluster}",
            self._flux.flux_configurations.begin_create_or_update,
            (*where, encoded(body)),
            work,
            again=lambda: self.get_flux_configuration(cluster, name),
        )

    def delete_flux_configuration(self, cluster: str, name: str, *, work: Work, force: bool = False) -> None:
        """Delete a Flux configuration and what it reconciles with `prune`. With `force` only Azure forgets it."""
        self._delete(
            f"deleting Flux configuration {name} of {cluster}",
            self._flux.flux_configurations.begin_delete,
            self._below(cluster, name),
            work,
            {"forceDelete": "true"} if force else {},
        )

    def list_flux_configurations(self, cluster: str) -> list[Body]:
        """Return a cluster's Flux configurations."""
        return self._list(self._children(cluster, "fluxConfigurations"), _FLUX_VERSION)

    def list_source_control_configurations(self, cluster: str) -> list[Body]:
        """Return a cluster's Flux v1 configurations; retired, and still in the way of Flux v2."""
        return self._list(self._children(cluster, "sourceControlConfigurations"), _SOURCE_CONTROL_VERSION)

    # Custom locations, and what no client package covers.

    def get_custom_location(self, name: str) -> Body | None:
        """Return a custom location, None where there is none."""
        group = self.scope.resource_group
        return self._maybe(
            f"reading custom location {name}",
            lambda: self._locations.custom_locations.get(group, name, cls=parsed),
        )

    def put_custom_location(self, name: str, body: Body, work: Work) -> Body:
        """Create or replace a custom location."""
        return self._put(
            f"making custom location {name}",
            self._locations.custom_locations.begin_create_or_update,
            (self.scope.resource_group, name, encoded(body)),
            work,
        )

    def delete_custom_location(self, name: str, work: Work) -> None:
        """Delete a custom location; none there is fine."""
        self._delete(
            f"deleting custom location {name}",
            self._locations.custom_locations.begin_delete,
            (self.scope.resource_group, name),
            work,
        )

    def list_custom_locations(self, cluster: str) -> list[Body]:
        """Return the custom locations of the resource group that stand on a cluster."""
        path = f"{self.scope.group_id}/providers/{EXTENDED_LOCATION}/customLocations"
        locations = self._list(path, _CUSTOM_LOCATIONS_VERSION)
        host = self.scope.cluster_id(cluster).lower()
        return [
            location for location in locations if str(location["properties"].get("hostResourceId")).lower() == host
        ]

    def link_gateway(self, cluster: str, gateway_id: str | None, work: Work) -> None:
        """Let a cluster use an Arc gateway, or none (facts §1.14)."""
        id = f"{self.scope.cluster_id(cluster)}/providers/{HYBRID_COMPUTE}/settings/Default"
        body = {"properties": {"gatewayProperties": {"gatewayResourceId": gateway_id}}}
        self.put_resource(id, GATEWAY_VERSION, body, work=work)

    def get_resource(self, id: str, api_version: str) -> Body | None:
        """Return any resource by its ARM id, None where there is none."""
        return self._maybe(
            f"reading {id}",
            lambda: self._resources.resources.get_by_id(id.lstrip("/"), api_version=api_version, cls=parsed),
        )

    def list_resources(self, path: str, api_version: str) -> list[Body]:
        """Return what a path of ARM's lists, such as `{rule}/associations`."""
        return self._list(path, api_version)

    def put_resource(self, id: str, api_version: str, body: Body, work: Work) -> Body:
        """Create or replace any resource by its ARM id."""
        return self._put(
            f"making {id}",
            self._resources.resources.begin_create_or_update_by_id,
            (id.lstrip("/"), encoded(body)),
            work,
            api_version=api_version,
        )

    def delete_resource(self, id: str, api_version: str, work: Work) -> None:
        """Delete any resource by its ARM id; none there is fine."""
        self._delete(
            f"deleting {id}",
            self._resources.resources.begin_delete_by_id,
            (id.lstrip("/"),),
            work,
            api_version=api_version,
        )

    def _below(self, cluster: str, name: str) -> tuple[str, str, str, str, str]:
        """Return what the clients of cluster children ask for, in their order."""
        return (self.scope.resource_group, KUBERNETES, _CLUSTERS, cluster, name)

    def _children(self, cluster: str, kind: str) -> str:
        return f"{self.scope.cluster_id(cluster)}/providers/{KUBERNETES_CONFIGURATION}/{kind}"
