"""Which Azure: its endpoints, whom it trusts, and how its agents find it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from infra.arc.errors import TRUST_REMEDY, UNTRUSTED, ArcError, AzureUnreachable
from infra.model.azure import CloudName

_METADATA: Final = "/metadata/endpoints?api-version=2022-09-01"
_DEFAULT: Final = "/.default"


class AzureEnvironment(BaseModel):
    """One Azure.

    Attributes:
        resource_manager: ARM's URL.
        authority: Entra's URL.
        audience: Whom tokens for ARM are made out to.
        data_plane_audience: Whom tokens for the configuration data plane are made out to.
        suffix: What its names end with: com, us, cn.
        config_endpoint: The configuration data plane; None: each region has its own.
        his_endpoint: The identity service of agents; None: the cloud's own.
        notification_endpoint, relay_suffix: For cluster connect; None: the cloud's own.
        ca_file: Who signs for it, PEM; None: the public authorities.
        emulator_folder: Where the stand-in keeps what its clients need.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: CloudName
    resource_manager: str
    authority: str
    audience: str
    data_plane_audience: str
    suffix: str
    config_endpoint: str | None = None
    his_endpoint: str | None = None
    notification_endpoint: str | None = None
    relay_suffix: str | None = None
    ca_file: Path | None = None
    emulator_folder: Path | None = None

    @property
    def is_emulator(self) -> bool:
        """Return whether a stand-in plays Azure."""
        return self.name == "emulator"

    @property
    def is_public(self) -> bool:
        """Return whether it is one of Microsoft's own clouds, whose endpoints are known."""
        return self.name in _CLOUDS

    @property
    def token_scope(self) -> str:
        """Return what is asked of Entra for ARM."""
        return f"{self.audience.rstrip('/')}{_DEFAULT}"

    @property
    def data_plane_token_scope(self) -> str:
        """Return what is asked of Entra for the configuration data plane."""
        return f"{self.data_plane_audience.rstrip('/')}{_DEFAULT}"

    @property
    def helm_name(self) -> str:
        """Return what the agents' chart calls it."""
        return {"AzureUSGovernment": "AZUREUSGOVERNMENTCLOUD", "AzureChinaCloud": "AZURECHINACLOUD"}.get(
            self.name, "AZUREPUBLICCLOUD"
        )

    def config_url(self, location: str) -> str:
        """Return the configuration data plane of a region."""
        return self.config_endpoint or f"https://{location}.dp.kubernetesconfiguration.azure.{self.suffix}"


def _cloud(name: CloudName, manager: str, authority: str, classic: str, suffix: str) -> AzureEnvironment:
    return AzureEnvironment(
        name=name,
        resource_manager=f"https://{manager}",
        authority=f"https://{authority}",
        audience=f"https://{manager}/",
        data_plane_audience=f"https://{classic}/",
        suffix=suffix,
    )


_CLOUDS: Final[Mapping[str, AzureEnvironment]] = {
    cloud.name: cloud
    for cloud in (
        _cloud(
            "AzureCloud", "management.azure.com", "login.microsoftonline.com", "management.core.windows.net", "com"
        ),
        _cloud(
            "AzureUSGovernment",
            "management.usgovcloudapi.net",
            "login.microsoftonline.us",
            "management.core.usgovcloudapi.net",
            "us",
        ),
        _cloud(
            "AzureChinaCloud",
            "management.chinacloudapi.cn",
            "login.chinacloudapi.cn",
            "management.core.chinacloudapi.cn",
            "cn",
        ),
    )
}


def environment_of(
    cloud: str,
    *,
    resource_manager: str | None = None,
    ca_file: Path | None = None,
) -> AzureEnvironment:
    """Return a cloud's endpoints.

    The three public clouds are known; of any other, ARM itself is asked. The emulator has a door of its own.

    Args:
        cloud: AzureCloud, AzureUSGovernment, AzureChinaCloud or custom.
        resource_manager: ARM's URL, of a custom one.
        ca_file: Who signs for it, PEM.

    Raises:
        ArcError: There is no such cloud, or a setting is missing, or the answer isn't metadata.
        AzureUnreachable: ARM doesn't answer.
    """
    if cloud in _CLOUDS:
        return _CLOUDS[cloud].model_copy(update={"ca_file": ca_file})
    if cloud == "custom":
        if not resource_manager:
            raise ArcError(
                "cloud-custom", "a custom cloud needs the URL of its resource manager", "name resourceManager"
            )
        return read_environment("custom", resource_manager, ca_file)
    known = ", ".join((*_CLOUDS, "emulator", "custom"))
    raise ArcError("cloud", f"there is no cloud {cloud!r}", f"write one of {known}")


def read_environment(
    name: Literal["emulator", "custom"], manager: str, ca_file: Path | None, folder: Path | None = None
) -> AzureEnvironment:
    """Ask a resource manager for its endpoints.

    Raises:
        ArcError: As `environment_of`.
    """
    manager = manager.rstrip("/")
    if not manager.startswith("https://"):
        raise ArcError("cloud-custom", f"{manager!r} isn't an https:// URL", "name the resource manager's URL")
    metadata = _metadata(manager, ca_file)
    authentication, planes = _mapping(metadata, "authentication"), _mapping(metadata, "dataplaneEndpoints")
    audiences = authentication.get("audiences") or [f"{manager}/"]
    authority = str(authentication.get("loginEndpoint") or "").rstrip("/")
    if not authority:
        raise ArcError("cloud-metadata", f"{manager}{_METADATA} names no authentication.loginEndpoint")
    return AzureEnvironment(
        name=name,
        resource_manager=manager,
        authority=authority,
        audience=str(audiences[0]),
        data_plane_audience=str(audiences[0]),
        suffix=cloud_suffix(authority),
        config_endpoint=_url(planes.get("arcConfigEndpoint")),
        his_endpoint=_url(planes.get("arcHybridIdentityServiceEndpoint")),
        notification_endpoint=_url(planes.get("arcGlobalNotificationServiceEndpoint")),
        relay_suffix=_mapping(metadata, "suffixes").get("relayEndpointSuffix"),
        ca_file=ca_file,
        emulator_folder=folder,
    )


def cloud_suffix(authority: str) -> str:
    """Return what names of a cloud end with: what follows the second dot of Entra's name there (facts §1.6)."""
    host = urlsplit(authority).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return ".".join(host.split(".")[2:]) or "com"
    return "com"


def _metadata(manager: str, ca_file: Path | None) -> Mapping[str, Any]:
    from azure.core import PipelineClient
    from azure.core.exceptions import AzureError
    from azure.core.rest import HttpRequest

    from infra.arc.transport import pipeline, transport

    url = f"{manager}{_METADATA}"
    way = transport(ca_file)
    client: PipelineClient[Any, Any] = PipelineClient(manager, policies=pipeline(None), transport=way)
    try:
        with client:
            answer = client.send_request(HttpRequest("GET", url))
            answer.raise_for_status()
            content = answer.json()
    except AzureError as error:
        raise AzureUnreachable(
            "azure-unreachable",
            f"{url} gives no endpoints: {error}",
            TRUST_REMEDY if UNTRUSTED in str(error) else "check the URL and the way there (DNS, proxy)",
        ) from error
    except ValueError as error:
        raise ArcError("cloud-metadata", f"{url} answers something else than JSON") from error
    metadata = content[0] if isinstance(content, list) and content else content
    if not isinstance(metadata, dict):
        raise ArcError("cloud-metadata", f"{url} answers something else than a cloud's endpoints")
    return metadata


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = content.get(key)
    return inner if isinstance(inner, Mapping) else {}


def _url(value: Any) -> str | None:
    return str(value).rstrip("/") if value else None
