"""Cluster extensions: as Azure's API has them, and the usual ones by what they are.

Types, names and namespaces: arc_facts.md §4.2; settings: Microsoft's tutorial of each extension.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from infra.model.azure import CollectedData
from infra.spec.forms import BLOB_CONTAINER, DURATION, EXTENSION_NAME, GUID, STORAGE_ACCOUNT
from infra.spec.types import Boolean, Model, Name

FLUX_TYPE = "microsoft.flux"
LOGS_TYPE = "microsoft.azuremonitor.containers"
METRICS_TYPE = "microsoft.azuremonitor.containers.metrics"
NETWORKING_TYPE = "microsoft.arcnetworking"

EXTENSION_TYPES = frozenset(
    {
        FLUX_TYPE,
        LOGS_TYPE,
        METRICS_TYPE,
        NETWORKING_TYPE,
        "microsoft.azuredefender.kubernetes",
        "microsoft.policyinsights",
        "microsoft.azurekeyvaultsecretsprovider",
        "microsoft.openservicemesh",
        "microsoft.dapr",
        "microsoft.azureml.kubernetes",
        "microsoft.dataprotection.kubernetes",
        "microsoft.entraworkloadiam",
        "microsoft.arc.containerstorage",
        "microsoft.azure.secretstore",
        "microsoft.certmanagement",
        "microsoft.argocd",
        "microsoft.containerregistry.connectedregistry",
        "microsoft.iotoperations.platform",
        "microsoft.iotoperations",
        "microsoft.workloadorchestration",
        "microsoft.foundry",
        "microsoft.arc.rag",
        "microsoft.web.appservice",
        "microsoft.extensiondiagnostics",
        "microsoft.arcdataservices",
        "microsoft.apimanagement.gateway",
    }
)
"""Microsoft's own types, lower case (arc_facts.md §4.2). There are more: marketplace offers have theirs."""

_SCOPE = r"(?i)/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers/"
_LOGS_WORKSPACE = re.compile(_SCOPE + r"Microsoft\.OperationalInsights/workspaces/[^/\s]+")
_METRICS_WORKSPACE = re.compile(_SCOPE + r"Microsoft\.Monitor/accounts/[^/\s]+")

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


@dataclass(frozen=True, slots=True)
class DataCollection:
    """What Azure Monitor has to collect for an extension, which by itself collects nothing.

    Attributes:
        collects: Logs and metrics of containers, or Prometheus metrics.
        workspace_id: Where it goes.
        is_workspace: Whether that is the id of such a workspace at all.
        settings: Container Insights' `dataCollectionSettings`, JSON; None: Azure's own.
    """

    collects: CollectedData
    workspace_id: str
    is_workspace: bool
    settings: str | None = None


class ExtensionSpec(Model):
    """A cluster extension (§4.1)."""

    name: Annotated[Name, EXTENSION_NAME]
    extension_type: Name = Field(description="microsoft.flux and its like; upper and lower case are the same.")
    release_train: Name = Field("Stable")
    version: Name | None = Field(None, description="Pins it, and so switches the upgrades of minor versions off.")
    scope: Scope = Field(Scope.model_construct())
    configuration_settings: dict[str, str] = Field({})
    configuration_protected_settings: SettingsMap = Field(
        {}, description="By setting, the name of the secret `arc:<name>` in the stack's configuration."
    )

    @property
    def is_flux(self) -> bool:
        """Return whether it brings the Flux controllers."""
        return self.extension_type.lower() == FLUX_TYPE

    @property
    def is_load_balancer(self) -> bool:
        """Return whether it brings MetalLB."""
        return self.extension_type.lower() == NETWORKING_TYPE

    @property
    def data_collection(self) -> DataCollection | None:
        """Return what has to be collected for it; None where it needs nothing of the kind, or is to do without.

        As `az k8s-extension create` decides it (partner_extensions/ContainerInsights.py, AzureMonitorMetrics.py).
        """
        settings = {name.lower(): value.strip() for name, value in self.configuration_settings.items()}
        if settings.get("skipprerequisites", "").lower() == "true":
            return None
        if self.extension_type.lower() == LOGS_TYPE:
            by_identity = settings.get("omsagent.useaadauth", settings.get("amalogs.useaadauth", ""))
            workspace = settings.get("loganalyticsworkspaceresourceid", "").rstrip("/")
            if by_identity.lower() != "true" or not workspace:
                return None
            is_one = _LOGS_WORKSPACE.fullmatch(workspace) is not None
            return DataCollection("logs", workspace, is_one, settings.get("datacollectionsettings") or None)
        if self.extension_type.lower() == METRICS_TYPE:
            workspace = settings.get("azure-monitor-workspace-resource-id", "").rstrip("/")
            is_one = _METRICS_WORKSPACE.fullmatch(workspace) is not None
            return DataCollection("metrics", workspace, is_one) if workspace else None
        return None


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
    """Logs and metrics of containers into a Log Analytics workspace, with the cluster's managed identity.

    With the data collection rule and the association that it needs to collect anything.
    """

    log_analytics_workspace_resource_id: str = Field(alias="logAnalyticsWorkspaceResourceID")

    def extension(self) -> ExtensionSpec:
        """Return it as Azure's API has it."""
        own = {
            "logAnalyticsWorkspaceResourceID": self.log_analytics_workspace_resource_id,
            "amalogs.useAADAuth": "true",
        }
        namespace = "azuremonitor-containers"
        return self.made("azuremonitor-containers", LOGS_TYPE, namespace, {**own})


class ManagedPrometheus(_Known):
    """Prometheus metrics into an Azure Monitor workspace.

    With the data collection endpoint, rule and association that it needs to collect anything. Recording rules, and
    the workspace's link to Grafana, aren't made.
    """

    azure_monitor_workspace_resource_id: str
    grafana_resource_id: str | None = Field(
        None, description="Handed to the extension; linking it to the workspace is left to you."
    )

    def extension(self) -> ExtensionSpec:
        """Return it as Azure's API has it."""
        own = {
            "azure-monitor-workspace-resource-id": self.azure_monitor_workspace_resource_id,
            "grafana-resource-id": self.grafana_resource_id,
        }
        return self.made("azuremonitor-metrics", METRICS_TYPE, "kube-system", own)


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
    rotation_poll_interval: Annotated[str, DURATION] | None = Field(None, description="2m and its like.")
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
    """MetalLB, managed by Azure (§4.4); azlocal's own has to be off: addOns.metallb.enabled: false."""

    k8s_runtime_fpa_object_id: Annotated[str, GUID] = Field(
        alias="k8sRuntimeFpaObjectId",
        description="Object id of the service principal of 087fca6e-4606-4d41-b3f6-5ebdf75b8b4c.",
    )

    def extension(self) -> ExtensionSpec:
        """Return it as Azure's API has it."""
        own = {"k8sRuntimeFpaObjectId": self.k8s_runtime_fpa_object_id}
        return self.made("arcnetworking", NETWORKING_TYPE, "kube-system", {**own})


class Backup(_Known):
    """Azure Backup for Kubernetes, into a blob container."""

    storage_account: Annotated[str, STORAGE_ACCOUNT]
    blob_container: Annotated[str, BLOB_CONTAINER]
    storage_account_resource_group: Name
    storage_account_subscription_id: Annotated[str, GUID]
    tenant_id: Annotated[str, GUID]

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

    def chosen(self) -> Iterator[tuple[str, ExtensionSpec]]:
        """Return those that are written, each under its key."""
        for name, field in type(self).model_fields.items():
            known = getattr(self, name)
            if known is not None:
                yield field.alias or name, known.extension()

    @staticmethod
    def default_flux() -> ExtensionSpec:
        """Return the Flux extension as a first Flux configuration brings it."""
        return Flux().extension()


def _text(value: bool) -> Literal["true", "false"]:
    return "true" if value else "false"
