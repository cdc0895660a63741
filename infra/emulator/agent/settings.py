"""What an agent is told by its environment: ConfigMap azure-clusterconfig, Secret proxy-config, and Kubernetes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import FatalError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Settings:
    """An agent's settings.

    Attributes:
        data_plane: the configuration service's address, without a slash at its end.
        identity_discovery: the identity service's discovery address, with its query.
        extra_ca: a file with certificate authorities beside the system's, which needn't exist.
        api_server: the Kubernetes API's address.
        service_account: the folder with token, ca.crt and namespace.
        clusterconfig_group: the API group of ExtensionConfig and its like.
        arc_group: the API group of ConnectedCluster.
    """

    subscription_id: str
    resource_group: str
    cluster: str
    agent_version: str
    data_plane: str
    identity_discovery: str
    extra_ca: Path | None
    api_server: str
    service_account: Path
    clusterconfig_group: str
    arc_group: str

    @property
    def namespace(self) -> str:
        """The namespace that the agent runs in."""
        return (self.service_account / "namespace").read_text().strip()

    @property
    def cluster_id(self) -> str:
        """The connected cluster's ARM id."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.Kubernetes/connectedClusters/{self.cluster}"
        )


def read_settings(environment: Mapping[str, str] = os.environ, folder: Path = SERVICE_ACCOUNT) -> Settings:
    """Read an agent's settings.

    Raises:
        FatalError: one is missing.
    """

    def needed(name: str) -> str:
        value = environment.get(name, "")
        if not value:
            raise FatalError(f"{name} isn't set: the agent takes it from ConfigMap azure-arc/azure-clusterconfig")
        return value

    host, port = needed("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    extra = environment.get("EXTRA_CA_FILE", "")
    return Settings(
        subscription_id=needed("AZURE_SUBSCRIPTION_ID"),
        resource_group=needed("AZURE_RESOURCE_GROUP"),
        cluster=needed("AZURE_RESOURCE_NAME"),
        agent_version=needed("AZURE_ARC_AGENT_VERSION"),
        data_plane=needed("CONFIG_DP_ENDPOINT").rstrip("/"),
        identity_discovery=needed("HIS_ENDPOINT"),
        extra_ca=Path(extra) if extra else None,
        api_server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        service_account=folder,
        clusterconfig_group=environment.get("CLUSTERCONFIG_GROUP", "clusterconfig.azure.com"),
        arc_group=environment.get("ARC_GROUP", "arc.azure.com"),
    )
