"""Which names agents have to reach (facts §7, network-requirements of June 2026). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from infra.arc.environment import AzureEnvironment

HTTPS: Final = 443
_OBO_PORT: Final = 8084

# What a cloud calls things. US Government and China have no region in some names.
_MANAGER: Final = {
    "AzureCloud": "management.azure.com",
    "AzureUSGovernment": "management.usgovcloudapi.net",
    "AzureChinaCloud": "management.chinacloudapi.cn",
}
_ENTRA: Final = {
    "AzureCloud": ("login.microsoftonline.com", "{location}.login.microsoft.com", "login.windows.net"),
    "AzureUSGovernment": ("login.microsoftonline.us", "{location}.login.microsoftonline.us"),
    "AzureChinaCloud": (
        "login.chinacloudapi.cn",
        "{location}.login.chinacloudapi.cn",
        "login.partner.microsoftonline.cn",
    ),
}
_IDENTITY: Final = {
    "AzureCloud": ("gbl.his.arc.azure.com", "*.his.arc.azure.com"),
    "AzureUSGovernment": ("gbl.his.arc.azure.us", "usgv.his.arc.azure.us"),
    "AzureChinaCloud": ("gbl.his.arc.azure.cn", "*.his.arc.azure.cn"),
}
_IMAGES: Final = {
    "AzureCloud": ("mcr.microsoft.com", "*.data.mcr.microsoft.com"),
    "AzureUSGovernment": ("mcr.microsoft.com", "*.data.mcr.microsoft.com"),
    "AzureChinaCloud": ("mcr.azk8s.cn",),
}
_CONNECT: Final = {
    "AzureCloud": (
        "guestnotificationservice.azure.com",
        "*.guestnotificationservice.azure.com",
        "sts.windows.net",
        "*.servicebus.windows.net",
    ),
    "AzureUSGovernment": (
        "guestnotificationservice.azure.us",
        "*.guestnotificationservice.azure.us",
        "sts.windows.net",
        "*.servicebus.usgovcloudapi.net",
    ),
    "AzureChinaCloud": (
        "guestnotificationservice.azure.cn",
        "*.guestnotificationservice.azure.cn",
        "sts.chinacloudapi.cn",
        "*.servicebus.chinacloudapi.cn",
    ),
}
_GRAPH: Final = {
    "AzureCloud": "graph.microsoft.com",
    "AzureUSGovernment": "graph.microsoft.com",
    "AzureChinaCloud": "graph.chinacloudapi.cn",
}
_OBO: Final = {
    "AzureCloud": "{location}.obo.arc.azure.com",
    "AzureUSGovernment": "usgovvirginia.obo.arc.azure.us",
    "AzureChinaCloud": "{location}.obo.arc.azure.cn",
}
_UPGRADE: Final = "dl.k8s.io"

RESOURCE_BRIDGE: Final = {"AzureCloud": ("graph.microsoft.com", "guestnotificationservice.azure.com")}
"""What hosts need by cloud beside what agents need (azure_local_facts.md §4.4, of the public cloud only)."""
SOFTWARE: Final = ("packages.microsoft.com", "dl.k8s.io")
"""Where software comes from, whichever of Azure's clouds it is."""


def names_for_hosts(cloud: str) -> tuple[str, ...]:
    """Return what hosts need of a cloud beside what agents need."""
    return (*RESOURCE_BRIDGE.get(cloud, ()), *SOFTWARE)


@dataclass(frozen=True)
class Endpoint:
    """A name and a port.

    Attributes:
        purpose: What agents want there.
        is_required: Whether a cluster can't be connected without it.
        is_azures: Whether Microsoft's or DigiCert's signature is expected there.
    """

    name: str
    purpose: str
    port: int = HTTPS
    is_required: bool = True
    is_azures: bool = True

    @property
    def is_pattern(self) -> bool:
        """Return whether it is a rule for a firewall and no name that can be asked."""
        return self.name.startswith("*")

    def __str__(self) -> str:
        return self.name if self.port == HTTPS else f"{self.name}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """What of a connection decides which endpoints it needs.

    Attributes:
        location: The region, as ARM spells it.
        gateway: The Arc gateway's name, `{prefix}.gw.arc.azure.com`, or an empty text where it isn't known; None:
            there is no gateway.
    """

    location: str
    cluster_connect: bool = True
    azure_rbac: bool = False
    auto_upgrade: bool = True
    private_link: bool = False
    gateway: str | None = None


def endpoints_of(environment: AzureEnvironment, settings: Settings) -> list[Endpoint]:
    """Return what nodes have to reach, what is required first."""
    if not environment.is_public:
        return list(_own(environment, settings))
    endpoints = [*_always(environment, settings), *_optional(environment, settings)]
    return [
        Endpoint(
            endpoint.name.format(location=settings.location),
            endpoint.purpose,
            endpoint.port,
            endpoint.is_required,
            endpoint.is_azures,
        )
        for endpoint in endpoints
    ]


def _always(environment: AzureEnvironment, settings: Settings) -> Iterator[Endpoint]:
    cloud = environment.name
    if settings.gateway is not None:
        yield Endpoint(settings.gateway or "*.gw.arc.azure.com", "Arc gateway")
    yield Endpoint(_MANAGER[cloud], "Azure Resource Manager")
    if settings.gateway is None:
        yield Endpoint(f"{{location}}.dp.kubernetesconfiguration.azure.{environment.suffix}", "configuration")
    entra = _ENTRA[cloud] if settings.gateway is None else _ENTRA[cloud][:2]
    for name in entra:
        yield Endpoint(name, "Entra")
    for name in _IDENTITY[cloud]:
        yield Endpoint(name, "identity of agents")
    for name in _IMAGES[cloud]:
        yield Endpoint(name, "images and charts of agents")


def _optional(environment: AzureEnvironment, settings: Settings) -> Iterator[Endpoint]:
    cloud = environment.name
    by_gateway = settings.gateway is not None
    connect = settings.cluster_connect and not settings.private_link
    if connect and not by_gateway:
        for name in _CONNECT[cloud]:
            yield Endpoint(name, "cluster connect, custom locations", is_required=False)
    if settings.azure_rbac and not by_gateway:
        yield Endpoint(_GRAPH[cloud], "Azure RBAC", is_required=False)
    if connect and (settings.azure_rbac or by_gateway):
        yield Endpoint(_OBO[cloud], "cluster connect with Azure RBAC", _OBO_PORT, is_required=False)
    if settings.auto_upgrade and not by_gateway:
        yield Endpoint(_UPGRADE, "upgrades of agents", is_required=False, is_azures=False)


def _own(environment: AzureEnvironment, settings: Settings) -> Iterator[Endpoint]:
    """Yield the endpoints of an Azure that names its own."""
    named = {
        "configuration": environment.config_endpoint,
        "identity of agents": environment.his_endpoint,
        "Azure Resource Manager": None if environment.is_emulator else environment.resource_manager,
        "Entra": None if environment.is_emulator else environment.authority,
    }
    if settings.cluster_connect and not settings.private_link and not environment.is_emulator:
        named["cluster connect, custom locations"] = environment.notification_endpoint
    seen: dict[tuple[str, int], list[str]] = {}
    for purpose, url in named.items():
        parts = urlsplit(url or "")
        if parts.hostname:
            seen.setdefault((parts.hostname, parts.port or HTTPS), []).append(purpose)
    for (name, port), purposes in seen.items():
        yield Endpoint(name, ", ".join(purposes), port, is_azures=False)
