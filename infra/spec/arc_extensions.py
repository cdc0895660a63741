"""Cluster extensions: as Azure's API has them, and the usual ones by what they are.

Types, names and namespaces: arc_facts.md §4.2; settings: Microsoft's tutorial of each extension.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from infra.spec.types import Boolean, Model, Name

FLUX_TYPE = "microsoft.flux"

SettingsMap = dict[Name, str]


class ClusterScope(Model):
    """The extension serves the whole cluster."""

    release_namespace: Name | None = Field(
        None, description="Where its Helm release goes; absent: the type's own."
    )


class NamespaceScope(Model):
    """The extension serves one namespace."""

    target_namespace: Name


class Scope(Model):
    """One of both."""

    cluster: ClusterScope | None = Field(None)
    namespace: NamespaceScope | None = Field(None)


class ExtensionSpec(Model):
    """A cluster extension (§4.1)."""

    name: Annotated[Name, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9.-]{0,252}$")]
    extension_type: Name = Field(description="microsoft.flux and its like; upper and lower case are the same.")
    release_train: Name = Field("Stable")
    version: Name | None = Field(None, description="Pins it, and so switches the upgrades of minor versions off.")
    scope: Scope = Field(Scope())
    configuration_settings: dict[str, str] = Field({})
    configuration_protected_settings: SettingsMap = Field(
        {}, description="By setting, the name of the secret `arc:<name>` in the stack's configuration."
    )

    @property
    def is_flux(self) -> bool:
        """Return whether it brings the Flux controllers."""
        return self.extension_type.lower() == FLUX_TYPE


class _Known(Model):
    """What people may say of any of the usual extensions."""

    version: Name | None = Field(None, description="Pins it.")
    release_train: Name = Field("Stable")
    settings: dict[str, str] = Field({}, description="Further settings, by Azure's names.")

    def made(self, name: str, extension_type: str, namespace: str, own: dict[str, str | None]) -> ExtensionSpec:
        """Return the extension, with its own settings and then the further ones."""
        return ExtensionSpec(
            name=name,
            extension_type=extension_type,
            release_train=self.release_train,
            version=self.version,
            scope=Scope(cluster=ClusterScope(release_namespace=namespace)),
            configuration_settings={key: value for key, value in own.items() if value is not None} | self.settings,
        )


class ContainerInsights(_Known):
    """Logs and metrics of containers into a Log Analytics workspace, with the cluster's managed identity."""

    log_analytics_workspace_resource_id: str = Field(alias="logAnalyticsWorkspaceResourceID")

    def extension(self) -> ExtensionSpec:
        """Return it as Azure's API has it."""
        own = {
            "logAnalyticsWorkspaceResourceID": self.log_analytics_workspace_resource_id,
            "amalogs.useAADAuth": "true",
        }
        namespace = "azuremonitor-containers"
        return self.made("azuremonitor-containers", "microsoft.azuremonitor.containers", namespace, {**own})


class ManagedPrometheus(_Known):
    """Prometheus metrics into an Azure Monitor workspace."""

    azure_monitor_workspace_resource_id: str
    grafana_resource_id: str | None = Field(None)

    def extension(self) -> ExtensionSpec:
        """Return it as Azure's API has it."""
        own = {
            "azure-monitor-workspace-resource-id": self.azure_monitor_workspace_resource_id,
            "grafana-resource-id": self.grafana_resource_id,
        }
        kind = "microsoft.azuremonitor.containers.metrics"
        return self.made("azuremonitor-metrics", kind, "kube-system", own)


class AzurePolicy(_Known):
    """Azure Policy: Gatekeeper, told what to enforce."""

    def extension(self) -> ExtensionSpec:
        """Return it as Azure's API has it."""
        return self.made("azurepolicy", "microsoft.policyinsights", "kube-system", {})


class Defender(_Known):
    """Microsoft Defender for Containers."""

    log_analytics_workspace_resource_id: str | None = Field(None, alias="logAnalyticsWorkspaceResourceID")
    audit_log_path: str | None = Field(None, description="Of the API server on the control plane.")

    def extension(self) -> ExtensionSpec:
        """Return it as Azure's API has it."""
        own = {
            "logAnalyticsWorkspaceResourceID": self.log_analytics_workspace_resource_id,
            "auditLogPath": self.audit_log_path,
        }
        kind = "microsoft.azuredefender.kubernetes"
        return self.made(kind, kind, "mdc", own)


class KeyVaultSecretsProvider(_Known):
    """Azure Key Vault's provider for the Secrets Store CSI driver."""

    enable_secret_rotation: Boolean = Field(False)
    rotation_poll_interval: str | None = Field(None, description="2m and its like.")
    sync_secret: Boolean = Field(False, description="Also as Kubernetes secrets.")

    def extension(self) -> ExtensionSpec:
        """Return it as Azure's API has it."""
        own = {
            "secrets-store-csi-driver.enableSecretRotation": _text(self.enable_secret_rotation),
            "secrets-store-csi-driver.rotationPollInterval": self.rotation_poll_interval,
            "secrets-store-csi-driver.syncSecret.enabled": _text(self.sync_secret),
        }
        kind = "microsoft.azurekeyvaultsecretsprovider"
        return self.made("akvsecretsprovider", kind, "kube-system", own)


class Flux(_Known):
    """The Flux controllers; they come by themselves with the first Flux configuration."""

    multi_tenancy: Boolean = Field(True, description="Each configuration acts as the service account it names.")

    def extension(self) -> ExtensionSpec:
        """Return it as Azure's API has it."""
        own = None if self.multi_tenancy else "false"
        return self.made("flux", FLUX_TYPE, "flux-system", {"multiTenancy.enforce": own})


class Networking(_Known):
    """MetalLB, managed by Azure (§4.4). Not beside azlocal's own MetalLB in the same namespace."""

    k8s_runtime_fpa_object_id: str = Field(
        alias="k8sRuntimeFpaObjectId",
        description="Object id of the service principal of 087fca6e-4606-4d41-b3f6-5ebdf75b8b4c.",
    )

    def extension(self) -> ExtensionSpec:
        """Return it as Azure's API has it."""
        own = {"k8sRuntimeFpaObjectId": self.k8s_runtime_fpa_object_id}
        return self.made("arcnetworking", "microsoft.arcnetworking", "kube-system", {**own})


class Backup(_Known):
    """Azure Backup for Kubernetes, into a blob container."""

    storage_account: str
    blob_container: str
    storage_account_resource_group: str
    storage_account_subscription_id: str
    tenant_id: str

    def extension(self) -> ExtensionSpec:
        """Return it as Azure's API has it."""
        location = "configuration.backupStorageLocation"
        own: dict[str, str | None] = {
            f"{location}.bucket": self.blob_container,
            f"{location}.config.storageAccount": self.storage_account,
            f"{location}.config.resourceGroup": self.storage_account_resource_group,
            f"{location}.config.subscriptionId": self.storage_account_subscription_id,
            "credentials.tenantId": self.tenant_id,
        }
        kind = "microsoft.dataprotection.kubernetes"
        return self.made("azure-aks-backup", kind, "dataprotection-microsoft", own)


class KnownExtensions(Model):
    """The extensions that the reference architecture names; each is installed where its key is written."""

    container_insights: ContainerInsights | None = Field(None)
    managed_prometheus: ManagedPrometheus | None = Field(None)
    azure_policy: AzurePolicy | None = Field(None)
    defender: Defender | None = Field(None)
    key_vault_secrets_provider: KeyVaultSecretsProvider | None = Field(None)
    flux: Flux | None = Field(None)
    networking: Networking | None = Field(None)
    backup: Backup | None = Field(None)

    def chosen(self) -> Iterator[ExtensionSpec]:
        """Return those that are written."""
        every = (
            *(self.container_insights, self.managed_prometheus, self.azure_policy, self.defender),
            *(self.key_vault_secrets_provider, self.flux, self.networking, self.backup),
        )
        yield from (one.extension() for one in every if one is not None)

    @staticmethod
    def default_flux() -> ExtensionSpec:
        """Return the Flux extension as a first Flux configuration brings it."""
        return Flux().extension()


def _text(value: bool) -> Literal["true", "false"]:
    return "true" if value else "false"
