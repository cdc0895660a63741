"""Azure Arc: a cluster's connection and what is declared on it; `arc:` of the stack's file fills it in."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

from infra.declarations import connection_inputs
from infra.plan.arc_topology import Arc
from infra.plan.arc_topology import ConnectedCluster as ConnectedClusterTopology
from infra.resources.arguments import AzureAccessArgs, KustomizationArgs, ProxySettingsArgs, TokenIssuerArgs
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
    TokenIssuer,
)
from infra.spec.arc import FluxConfiguration as FluxSpec
from infra.spec.arc import Kustomization
from infra.spec.arc_extensions import LOGS_TYPE, ExtensionSpec
from infra.spec.netplan import Proxy
from infra.spec.reading import local_file

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

    access: AzureAccessArgs
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
            return local_file(self.directory, path).read_text(encoding="utf-8")
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no such home
            raise pulumi.RunError(f"azlocal:arc: {path} can't be read: {error}") from error

    def base64_of(self, path: str | None) -> str | None:
        """Return a file's text in base64, as `file` reads it."""
        text = self.file(path)
        return None if text is None else _base64(text)


def declare_azure(arc: Arc, instance: str, directory: Path, parent: pulumi.Resource) -> AzureSite:
    """Declare which Azure the clusters are connected to; the emulator, where it stands in, is a resource."""
    spec = arc.spec
    if arc.emulator_address is not None:
        emulator = ArcEmulator(
            f"{instance}-azure",
            {"instance": instance, "agent_address": str(arc.emulator_address)},
            pulumi.ResourceOptions(parent=parent),
        )
        access: AzureAccessArgs = {
            "cloud": spec.cloud,
            "tenantId": emulator.tenant_id,
            "emulatorFolder": emulator.folder,
        }
        return AzureSite(access, emulator.subscription_id, arc.resource_group, arc, directory)
    access = {
        "cloud": spec.cloud,
        "tenantId": spec.tenant_id,
        "resourceManager": spec.resource_manager,
        "caFile": str(local_file(directory, spec.ca_file).resolve()) if spec.ca_file else None,
    }
    return AzureSite(access, spec.subscription_id or "", arc.resource_group, arc, directory)


@dataclass(frozen=True)
class KubernetesCluster:
    """The cluster that is connected.

    Attributes:
        control_plane: Its API server; what is in the cluster goes with it.
        ca_hash: Which cluster it is, known before it stands.
        probe_image: On each of its nodes: what tries Azure's endpoints from a pod.
        tokens: Which API servers make tokens, but for the issuer that they are to name.
    """

    control_plane: ControlPlane
    ca_hash: pulumi.Input[str]
    probe_image: pulumi.Input[str]
    tokens: TokenIssuerArgs


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
        self._issuer = [self._issue_tokens()] if cluster.issues_tokens else []
        extensions = {
            extension.name: self._extension(extension, self._collection(extension))
            for extension in cluster.extensions
        }
        flux = [extensions[extension.name] for extension in cluster.extensions if extension.is_flux]
        for configuration in cluster.settings.flux_configurations:
            self._flux_configuration(configuration, flux)
        for location in cluster.settings.custom_locations:
            CustomLocation(
                f"{name}-{location.name}",
                {
                    "access": self._azure.access,
                    "cluster_id": self.connected_cluster.id,
                    "connection": self.connected_cluster.public_key,
                    "name": location.name,
                    "location": cluster.location,
                    "namespace": location.namespace,
                    "extension_ids": [extensions[extension].id for extension in location.extensions],
                    "display_name": location.display_name or location.name,
                    "tags": dict(cluster.tags),
                    "subscription_id": azure.subscription_id,
                    "resource_group": azure.resource_group,
                },
                pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})

    def _register(self) -> ArcRegistration:
        return ArcRegistration(
            f"{self._name}-arc-registration",
            {
                "access": self._azure.access,
                "subscription_id": self._azure.subscription_id,
                "resource_group": self._azure.resource_group,
                "name": self._cluster.name,
                "ca_hash": self._kubernetes.ca_hash,
            },
            pulumi.ResourceOptions(parent=self),
        )

    def _connect(self, registration: ArcRegistration) -> ConnectedCluster:
        cluster, azure = self._cluster, self._azure
        settings, proxy, arc = cluster.settings, cluster.proxy, azure.settings.spec
        limit = f"{settings.timeout_minutes}m"
        return ConnectedCluster(
            f"{self._name}-connected-cluster",
            {
                "access": azure.access,
                "subscription_id": azure.subscription_id,
                "resource_group": azure.resource_group,
                "cluster_uid": self._kubernetes.control_plane.cluster_uid,
                "kubeconfig": self._kubernetes.control_plane.kubeconfig,
                **connection_inputs(cluster),
                "proxy": pulumi.Output.secret(_proxy(proxy)) if proxy else None,
                "proxy_ca": azure.file(arc.proxy_ca_file),
                "private_link_scope_id": arc.private_link_scope,
                "gateway_id": arc.gateway,
                "register_providers": arc.register_providers,
                "probe_image": self._kubernetes.probe_image,
            },
            pulumi.ResourceOptions.merge(
                self._inside,
                pulumi.ResourceOptions(
                    depends_on=[registration],  # which takes away in Azure what agents no longer do
                    custom_timeouts=pulumi.CustomTimeouts(create=limit, update=limit),
                ),
            ),
        )

    def _issue_tokens(self) -> TokenIssuer:
        return TokenIssuer(
            f"{self._name}-token-issuer",
            {**self._kubernetes.tokens, "issuer_url": self.connected_cluster.issuer_url},
            self._inside,
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
            {
                "access": self._azure.access,
                "cluster_id": self.connected_cluster.id,
                "connection": self.connected_cluster.public_key,
                "name": ASSOCIATION_NAMES[wanted.collects],
                "collects": wanted.collects,
                "workspace_id": wanted.workspace_id,
                "settings": wanted.settings,
                "tags": dict(self._cluster.tags),
                "register_providers": self._azure.settings.spec.register_providers,
            },
            pulumi.ResourceOptions(parent=self),
        )

    def _extension(self, extension: ExtensionSpec, collection: DataCollection | None) -> Extension:
        scope = extension.scope
        settings, protected = self._monitored(extension, collection)
        return Extension(
            f"{self._name}-{extension.name}",
            {
                "access": self._azure.access,
                "cluster_id": self.connected_cluster.id,
                "connection": self.connected_cluster.public_key,
                "name": extension.name,
                "extension_type": extension.extension_type,
                "release_train": extension.release_train,
                "release_namespace": scope.cluster.release_namespace if scope.cluster else None,
                "target_namespace": scope.namespace.target_namespace if scope.namespace else None,
                "version": extension.version,
                "configuration_settings": settings | extension.configuration_settings,
                "configuration_protected_settings": protected
                | _secrets(extension.configuration_protected_settings),
            },
            # Not while API servers restart to name another issuer.
            pulumi.ResourceOptions.merge(
                self._inside,
                pulumi.ResourceOptions(depends_on=[*self._issuer, *([collection] if collection else [])]),
            ),
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
        FluxConfiguration(
            f"{self._name}-{flux.name}",
            {
                "access": self._azure.access,
                "cluster_id": self.connected_cluster.id,
                "connection": self.connected_cluster.public_key,
                "name": flux.name,
                "namespace": flux.namespace,
                "scope": flux.scope,
                "suspend": flux.suspend,
                "git_repository": {
                    "url": git.url,
                    "repositoryRef": {
                        "branch": git.repository_ref.branch,
                        "tag": git.repository_ref.tag,
                        "semver": git.repository_ref.semver,
                        "commit": git.repository_ref.commit,
                    },
                    "syncIntervalInSeconds": git.sync_interval_in_seconds,
                    "timeoutInSeconds": git.timeout_in_seconds,
                    "httpsUser": git.https_user,
                    "localAuthRef": git.local_auth_ref,
                    "httpsCACert": self._azure.base64_of(git.https_ca_file),
                    "sshKnownHosts": self._azure.base64_of(git.ssh_known_hosts_file),
                },
                "kustomizations": {
                    name: _kustomization(kustomization) for name, kustomization in flux.kustomizations.items()
                },
                "configuration_protected_settings": {
                    key: value.apply(_base64)
                    for key, value in _secrets(flux.configuration_protected_settings).items()
                },
            },
            pulumi.ResourceOptions.merge(self._inside, pulumi.ResourceOptions(depends_on=extension)),
        )


def _secrets(names: Mapping[str, str]) -> dict[str, pulumi.Output[str]]:
    """Return settings with the secrets of the stack's configuration that they name.

    Raises:
        pulumi.RunError: There is no such secret.
    """
    config, secrets = pulumi.Config(_SECRETS), {}
    for setting, name in names.items():
        secret = config.get_secret(name.removeprefix(f"{_SECRETS}:"))
        if secret is None:
            raise pulumi.RunError(
                f"the protected setting {setting} names the secret {name}, which the stack doesn't have; "
                f"set it with `pulumi config set --secret {_SECRETS}:{name.removeprefix(f'{_SECRETS}:')}`"
            )
        secrets[setting] = secret
    return secrets


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _proxy(proxy: Proxy) -> ProxySettingsArgs:
    return {
        "httpProxy": proxy.http_proxy,
        "httpsProxy": proxy.https_proxy,
        "noProxy": list(proxy.no_proxy),
    }


def _kustomization(kustomization: Kustomization) -> KustomizationArgs:
    return {
        "path": kustomization.path,
        "dependsOn": list(kustomization.depends_on),
        "syncIntervalInSeconds": kustomization.sync_interval_in_seconds,
        "timeoutInSeconds": kustomization.timeout_in_seconds,
        "retryIntervalInSeconds": kustomization.retry_interval_in_seconds,
        "prune": kustomization.prune,
        "force": kustomization.force,
        "wait": kustomization.wait,
    }
