"""Azure Arc: a cluster's connection and what is declared on it; `arc:` of the stack's file fills it in."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from infra.arc_topology import Arc
from infra.arc_topology import ConnectedCluster as ConnectedClusterTopology
from infra.declarations import connection_inputs
from infra.resources.data_collection import ASSOCIATION_NAMES
from infra.resources.declared import (
    ArcEmulator,
    ArcRegistration,
    ConnectedCluster,
    ControlPlane,
    CustomLocation,
    DataCollection,
    Extension,
    FluxConfiguration,
)
from infra.spec.arc import FluxConfiguration as FluxSpec
from infra.spec.arc_extensions import LOGS_TYPE, ExtensionSpec

# Where logs go outside of Azure's public cloud.
_LOGS_DOMAINS = {"AzureChinaCloud": "opinsights.azure.cn", "AzureUSGovernment": "opinsights.azure.us"}
_SECRETS = "arc"  # namespace of the stack's secrets: `pulumi config set --secret arc:NAME`


@dataclass(frozen=True)
class AzureSite:
    """Which Azure an instance's clusters are connected to, as resources take it.

    Attributes:
        access: How it is reached.
        subscription_id: Where resources go.
        resource_group: In which group.
        settings: What else was written of it.
        directory: What paths in the stack's file are relative to.
    """

    access: Mapping[str, pulumi.Input[Any]]
    subscription_id: pulumi.Input[str]
    resource_group: str
    settings: Arc
    directory: Path

    def file(self, path: str | None) -> str | None:
        """Return a file's text.

        Raises:
            pulumi.RunError: It can't be read.
        """
        if path is None:
            return None
        try:
            return (self.directory / Path(path).expanduser()).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise pulumi.RunError(f"azlocal:arc: {path} can't be read: {error}") from error


def declare_azure(arc: Arc, instance: str, directory: Path, parent: pulumi.Resource) -> AzureSite:
    """Declare which Azure the clusters are connected to; the emulator, where it stands in, is a resource."""
    spec = arc.spec
    if arc.emulator_address is not None:
        emulator = ArcEmulator(
            f"{instance}-azure",
            pulumi.ResourceOptions(parent=parent),
            instance=instance,
            agent_address=arc.emulator_address,
        )
        access: dict[str, pulumi.Input[Any]] = {
            "cloud": spec.cloud,
            "tenantId": emulator.tenant_id,
            "emulatorFolder": emulator.folder,
        }
        return AzureSite(access, emulator.subscription_id, arc.resource_group, arc, directory)
    access = {
        "cloud": spec.cloud,
        "tenantId": spec.tenant_id,
        "resourceManager": spec.resource_manager,
        "caFile": str((directory / spec.ca_file).resolve()) if spec.ca_file else None,
    }
    return AzureSite(access, spec.subscription_id or "", arc.resource_group, arc, directory)


@dataclass(frozen=True)
class KubernetesCluster:
    """The cluster that is connected.

    Attributes:
        control_plane: Its API server; what is in the cluster goes with it.
        ca_hash: Which cluster it is, known before it stands.
        probe_image: On each of its nodes: what tries Azure's endpoints from a pod.
    """

    control_plane: ControlPlane
    ca_hash: pulumi.Input[str]
    probe_image: pulumi.Input[str]


class ArcOnboarding(pulumi.ComponentResource):
    """One cluster in Azure Arc: connected, with its extensions, its GitOps, its custom locations."""

    connected_cluster: ConnectedCluster

    def __init__(
        self,
        name: str,
        cluster: ConnectedClusterTopology,
        azure: AzureSite,
        kubernetes: KubernetesCluster,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Declare the connection.

        Args:
            name: What the names of all resources start with.
            cluster: What was decided for the connection.
            azure: Which Azure.
            kubernetes: The cluster.
            opts: Of this component.
        """
        super().__init__("azlocal:infra:ArcOnboarding", f"{name}-arc", None, opts)
        self._name, self._cluster, self._azure, self._kubernetes = name, cluster, azure, kubernetes
        self.connected_cluster = self._connect(self._register())
        extensions = {one.name: self._extension(one, self._collection(one)) for one in cluster.extensions}
        flux = [extensions[one.name] for one in cluster.extensions if one.is_flux]
        for configuration in cluster.settings.flux_configurations:
            self._flux_configuration(configuration, flux)
        for location in cluster.settings.custom_locations:
            CustomLocation(
                f"{name}-{location.name}",
                pulumi.ResourceOptions(parent=self),
                **self._place,
                name=location.name,
                location=cluster.location,
                namespace=location.namespace,
                extension_ids=[extensions[one].id for one in location.extensions],
                display_name=location.display_name or location.name,
                tags=dict(cluster.tags),
                subscription_id=azure.subscription_id,
                resource_group=azure.resource_group,
            )
        self.register_outputs({})

    @property
    def _place(self) -> dict[str, pulumi.Input[Any]]:
        """Return what everything on the connected cluster needs."""
        connected = self.connected_cluster
        return {"access": self._azure.access, "cluster_id": connected.id, "connection": connected.public_key}

    def _register(self) -> ArcRegistration:
        return ArcRegistration(
            f"{self._name}-arc-registration",
            pulumi.ResourceOptions(parent=self),
            access=self._azure.access,
            subscription_id=self._azure.subscription_id,
            resource_group=self._azure.resource_group,
            name=self._cluster.name,
            ca_hash=self._kubernetes.ca_hash,
        )

    def _connect(self, registration: ArcRegistration) -> ConnectedCluster:
        cluster, azure = self._cluster, self._azure
        settings, proxy, arc = cluster.settings, cluster.proxy, azure.settings.spec
        limit = f"{settings.timeout_minutes}m"
        return ConnectedCluster(
            f"{self._name}-connected-cluster",
            pulumi.ResourceOptions.merge(
                self._inside,
                pulumi.ResourceOptions(
                    depends_on=[registration],  # which takes away in Azure what agents no longer do
                    custom_timeouts=pulumi.CustomTimeouts(create=limit, update=limit),
                ),
            ),
            access=azure.access,
            subscription_id=azure.subscription_id,
            resource_group=azure.resource_group,
            cluster_uid=self._kubernetes.control_plane.cluster_uid,
            kubeconfig=self._kubernetes.control_plane.kubeconfig,
            **connection_inputs(cluster),
            proxy=pulumi.Output.secret(proxy.model_dump(by_alias=True, mode="json")) if proxy else None,
            proxy_ca=azure.file(arc.proxy_ca_file),
            private_link_scope_id=arc.private_link_scope,
            gateway_id=arc.gateway,
            register_providers=arc.register_providers,
            probe_image=self._kubernetes.probe_image,
        )

    @property
    def _inside(self) -> pulumi.ResourceOptions:
        # Agents needn't remove what goes with its cluster; Azure's side is the registration's to delete then.
        return pulumi.ResourceOptions(parent=self, deleted_with=self._kubernetes.control_plane)

    def _collection(self, extension: ExtensionSpec) -> DataCollection | None:
        """Declare what Azure Monitor needs to collect what an extension sends; None where it sends it nothing."""
        wanted = extension.data_collection
        if wanted is None or not wanted.is_workspace:
            return None
        return DataCollection(
            f"{self._name}-{extension.name}-collection",
            pulumi.ResourceOptions(parent=self),
            **self._place,
            name=ASSOCIATION_NAMES[wanted.collects],
            collects=wanted.collects,
            workspace_id=wanted.workspace_id,
            settings=wanted.settings,
            tags=dict(self._cluster.tags),
            register_providers=self._azure.settings.spec.register_providers,
        )

    def _extension(self, extension: ExtensionSpec, collection: DataCollection | None) -> Extension:
        scope = extension.scope
        settings, protected = self._monitored(extension, collection)
        return Extension(
            f"{self._name}-{extension.name}",
            pulumi.ResourceOptions.merge(
                self._inside, pulumi.ResourceOptions(depends_on=[collection] if collection else [])
            ),
            **self._place,
            name=extension.name,
            extension_type=extension.extension_type,
            release_train=extension.release_train,
            release_namespace=scope.cluster.release_namespace if scope.cluster else None,
            target_namespace=scope.namespace.target_namespace if scope.namespace else None,
            version=extension.version,
            configuration_settings=settings | extension.configuration_settings,
            configuration_protected_settings=protected | _secrets(extension.configuration_protected_settings),
        )

    def _monitored(
        self, extension: ExtensionSpec, collection: DataCollection | None
    ) -> tuple[dict[str, str], dict[str, pulumi.Input[str]]]:
        """Return what Container Insights has to be told of its workspace, or its chart installs no agents.

        With the cluster's identity there is no key, and the chart wants to see one all the same
        (microsoft/Docker-Provider, charts/azuremonitor-containers; az fills it in like this).
        """
        if collection is None or extension.extension_type.lower() != LOGS_TYPE:
            return {}, {}
        domain = _LOGS_DOMAINS.get(self._azure.settings.spec.cloud)
        settings, protected = dict[str, str](), dict[str, pulumi.Input[str]]()
        for agents in ("amalogs", "omsagent"):  # the same ones, by their new name and by their old
            if domain:
                settings[f"{agents}.domain"] = domain
            protected[f"{agents}.secret.wsid"] = collection.workspace_key.apply(lambda key: key or "")
            protected[f"{agents}.secret.key"] = "<not_used>"
        return settings, protected

    def _flux_configuration(self, flux: FluxSpec, extension: list[Extension]) -> None:
        git = flux.git_repository
        source = git.model_dump(by_alias=True, exclude={"https_ca_file", "ssh_known_hosts_file"})
        FluxConfiguration(
            f"{self._name}-{flux.name}",
            pulumi.ResourceOptions.merge(self._inside, pulumi.ResourceOptions(depends_on=extension)),
            **self._place,
            name=flux.name,
            namespace=flux.namespace,
            scope=flux.scope,
            suspend=flux.suspend,
            git_repository={
                **source,
                "httpsCACert": _base64(self._azure.file(git.https_ca_file)),
                "sshKnownHosts": _base64(self._azure.file(git.ssh_known_hosts_file)),
            },
            kustomizations={
                name: one.model_dump(by_alias=True, mode="json") for name, one in flux.kustomizations.items()
            },
            configuration_protected_settings={
                key: value.apply(_base64) for key, value in _secrets(flux.configuration_protected_settings).items()
            },
        )


def _secrets(names: Mapping[str, str]) -> dict[str, pulumi.Output[str]]:
    """Return settings with the secrets of the stack's configuration that they name.

    Raises:
        pulumi.RunError: There is no such secret.
    """
    config, found = pulumi.Config(_SECRETS), {}
    for setting, name in names.items():
        secret = config.get_secret(name.removeprefix(f"{_SECRETS}:"))
        if secret is None:
            raise pulumi.RunError(
                f"the protected setting {setting} names the secret {name}, which the stack doesn't have; "
                f"set it with `pulumi config set --secret {_SECRETS}:{name.removeprefix(f'{_SECRETS}:')}`"
            )
        found[setting] = secret
    return found


def _base64(text: str | None) -> str | None:
    return None if text is None else base64.b64encode(text.encode()).decode()
