"""The resource providers: which namespaces there are, their types, versions and registration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from infra.emulator.arm import locations
from infra.emulator.clock import Clock, parse, text
from infra.emulator.http import JSON, Refusal
from infra.emulator.store import Store

REGISTERED: Final = "Registered"
NOT_REGISTERED: Final = "NotRegistered"
_REGISTERING: Final = "Registering"
_UNREGISTERED: Final = "Unregistered"
_TAKES: Final = timedelta(seconds=2)

# Versions by type (arc_facts.md §1.10, §4.1, §4.4, §5), the newest first, as ARM lists them.
_CLUSTER: Final = (
    "2026-05-01",
    "2026-02-01-preview",
    "2025-12-01-preview",
    "2025-08-01-preview",
    "2024-12-01-preview",
    "2024-07-15-preview",
    "2024-07-01-preview",
    "2024-06-01-preview",
    "2024-02-01-preview",
    "2024-01-01",
    "2023-11-01-preview",
    "2022-10-01-preview",
    "2022-05-01-preview",
    "2021-10-01",
    "2021-03-01",
)
_EXTENSION: Final = (
    "2025-03-01",
    "2024-11-01",
    "2023-05-01",
    "2022-11-01",
    "2022-07-01",
    "2022-03-01",
    "2021-09-01",
)
_FLUX: Final = ("2025-04-01", "2024-11-01", "2023-05-01", "2022-11-01", "2022-07-01", "2022-03-01")
_SOURCE_CONTROL: Final = ("2023-05-01", "2022-11-01", "2022-07-01", "2022-03-01", "2021-03-01")
_RUNTIME: Final = ("2024-08-01", "2024-03-01")
_HYBRID_COMPUTE: Final = ("2025-02-19-preview", "2025-01-13", "2024-07-10", "2024-05-20-preview", "2022-11-10")
_INSIGHTS: Final = ("2024-03-11", "2023-03-11", "2022-06-01", "2021-09-01-preview", "2021-04-01")
_WORKSPACES: Final = (
    *("2025-02-01", "2023-09-01", "2022-10-01", "2021-12-01-preview", "2021-06-01"),
    *("2020-08-01", "2015-11-01-preview"),
)
_ACCOUNTS: Final = ("2025-05-03-preview", "2023-10-01-preview", "2023-04-03", "2021-06-03-preview")
_IDENTITIES: Final = ("2024-11-30", "2023-07-31-preview", "2023-01-31", "2022-01-31-preview", "2018-11-30")
_RESOURCES: Final = (
    "2025-04-01", "2024-11-01", "2024-07-01", "2024-03-01", "2023-07-01", "2022-12-01", "2022-09-01", "2022-01-01",
    "2021-04-01", "2021-01-01", "2020-10-01", "2020-06-01", "2020-01-01", "2019-11-01", "2019-10-01", "2019-07-01",
    "2019-06-01", "2019-05-10", "2019-05-01", "2018-05-01", "2018-02-01", "2017-05-10", "2016-09-01", "2016-07-01",
    "2016-06-01", "2016-02-01", "2015-11-01", "2015-01-01",
)  # fmt: skip


@dataclass(frozen=True)
class ProviderType:
    """A resource type as ARM lists it.

    Attributes:
        is_regional: it is in some regions only.
        is_tracked: it has a location and tags of its own, and `az resource list` shows it.
    """

    name: str
    versions: tuple[str, ...]
    is_regional: bool = True
    is_tracked: bool = True


@dataclass(frozen=True)
class Provider:
    """A namespace.

    Attributes:
        registered: how a new subscription has it.
    """

    namespace: str
    types: tuple[ProviderType, ...] = ()
    registered: bool = False

    def type(self, name: str) -> ProviderType | None:
        """Return a type by its name within the namespace, in any case."""
        return next(
            (provider_type for provider_type in self.types if provider_type.name.lower() == name.lower()), None
        )


_PROVIDERS: Final = (
    Provider(
        "Microsoft.Kubernetes",
        (
            ProviderType("connectedClusters", _CLUSTER),
            ProviderType("locations", _CLUSTER, is_regional=False, is_tracked=False),
            ProviderType("locations/operationStatuses", _CLUSTER, is_tracked=False),
            ProviderType("operations", _CLUSTER, is_regional=False, is_tracked=False),
        ),
        registered=True,
    ),
    Provider(
        "Microsoft.KubernetesConfiguration",
        (
            ProviderType("extensions", _EXTENSION, is_tracked=False),
            ProviderType("fluxConfigurations", _FLUX, is_tracked=False),
            ProviderType("sourceControlConfigurations", _SOURCE_CONTROL, is_tracked=False),
            ProviderType("operations", _EXTENSION, is_regional=False, is_tracked=False),
        ),
        registered=True,
    ),
    Provider(
        "Microsoft.ExtendedLocation",
        (
            ProviderType("customLocations", ("2021-08-31-preview", "2021-08-15", "2021-03-15-preview")),
            ProviderType("locations", ("2021-08-15",), is_regional=False, is_tracked=False),
            ProviderType("locations/operationsStatus", ("2021-08-15",), is_tracked=False),
        ),
        registered=True,
    ),
    Provider(
        "Microsoft.HybridCompute",
        (
            ProviderType("settings", _HYBRID_COMPUTE, is_regional=False, is_tracked=False),
            ProviderType("gateways", _HYBRID_COMPUTE),
            ProviderType("privateLinkScopes", _HYBRID_COMPUTE),
        ),
        registered=True,
    ),
    Provider(
        "Microsoft.KubernetesRuntime",
        (
            ProviderType("loadBalancers", _RUNTIME, is_regional=False, is_tracked=False),
            ProviderType("bgpPeers", _RUNTIME, is_regional=False, is_tracked=False),
            ProviderType("bfdProfiles", _RUNTIME, is_regional=False, is_tracked=False),
            ProviderType("services", _RUNTIME, is_regional=False, is_tracked=False),
        ),
        registered=True,
    ),
    Provider(
        "Microsoft.Insights",
        (
            ProviderType("dataCollectionRules", _INSIGHTS),
            ProviderType("dataCollectionRules/associations", _INSIGHTS, is_regional=False, is_tracked=False),
            ProviderType("dataCollectionEndpoints", _INSIGHTS),
            ProviderType("dataCollectionRuleAssociations", _INSIGHTS, is_tracked=False),
        ),
        registered=True,
    ),
    Provider(
        "Microsoft.OperationalInsights", (ProviderType("workspaces", _WORKSPACES),), registered=True
    ),
    Provider("Microsoft.Monitor", (ProviderType("accounts", _ACCOUNTS),), registered=True),
    Provider(
        "Microsoft.ManagedIdentity",
        (
            ProviderType("userAssignedIdentities", _IDENTITIES),
            ProviderType(
                "userAssignedIdentities/federatedIdentityCredentials",
                _IDENTITIES[:4],
                is_regional=False,
                is_tracked=False,
            ),
        ),
        registered=True,
    ),
    Provider(
        "Microsoft.Resources",
        (
            ProviderType("subscriptions", _RESOURCES, is_regional=False, is_tracked=False),
            ProviderType("resourceGroups", _RESOURCES, is_regional=False, is_tracked=False),
            ProviderType("tenants", _RESOURCES, is_regional=False, is_tracked=False),
        ),
        registered=True,
    ),
    *(
        Provider(f"Microsoft.{name}")
        for name in (
            "AlertsManagement", "Authorization", "AzureArcData", "AzureStackHCI", "Compute", "ContainerService",
            "Dashboard", "DataProtection", "HybridConnectivity", "HybridContainerService", "KeyVault",
            "Network", "OperationsManagement",
            "PolicyInsights", "ResourceConnector", "Security", "Storage",
        )
    ),
)  # fmt: skip
PROVIDERS: Final[Mapping[str, Provider]] = {provider.namespace.lower(): provider for provider in _PROVIDERS}
RESOURCES_VERSIONS: Final = _RESOURCES


def provider_of(namespace: str) -> Provider:
    """Return a provider by its namespace, in any case.

    Raises:
        Refusal: ARM knows no such namespace.
    """
    provider = PROVIDERS.get(namespace.lower())
    if provider is None:
        raise Refusal(404, "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid.")
    return provider


def state_of(store: Store, clock: Clock, provider: Provider) -> str:
    """Return a provider's `registrationState`."""
    record = store.setting(_key(provider))
    if record is None:
        return REGISTERED if provider.registered else NOT_REGISTERED
    state, _, until = record.partition(" ")
    return REGISTERED if state == _REGISTERING and parse(until) <= clock.now() else state


def register(store: Store, clock: Clock, provider: Provider) -> None:
    """Begin to register a provider; it takes a moment."""
    if state_of(store, clock, provider) != REGISTERED:
        store.set_setting(_key(provider), f"{_REGISTERING} {text(clock.now() + _TAKES)}")


def unregister(store: Store, provider: Provider) -> None:
    """Take a provider away from the subscription; what was made with it stays."""
    store.set_setting(_key(provider), _UNREGISTERED)


def require_registered(store: Store, clock: Clock, provider: Provider) -> None:
    """Raise Refusal unless a provider is registered or about to be (409 MissingSubscriptionRegistration)."""
    if state_of(store, clock, provider) not in (REGISTERED, _REGISTERING):
        raise Refusal(
            409,
            "MissingSubscriptionRegistration",
            f"The subscription is not registered to use namespace '{provider.namespace}'. "
            "See https://aka.ms/rps-not-found for how to register subscriptions.",
        )


def require_version(provider: Provider, type_name: str, version: str, location: str) -> ProviderType:
    """Return a type that a request names, if it has the version that the request asks for.

    Raises:
        Refusal: ARM knows no such type (404), or not in that version (400).
    """
    kind = provider.type(type_name)
    if kind is None:
        raise Refusal(
            404,
            "InvalidResourceType",
            f"The resource type '{type_name}' could not be found in the namespace '{provider.namespace}' for api "
            f"version '{version}'.",
        )
    if version.lower() not in kind.versions:
        raise Refusal(
            400,
            "NoRegisteredProviderFound",
            f"No registered resource provider found for location '{location}' and API version '{version}' for "
            f"type '{kind.name}'. The supported api-versions are '{', '.join(kind.versions)}'. The supported "
            f"locations are '{', '.join(locations.DISPLAY_NAMES) if kind.is_regional else ''}'.",
        )
    return kind


def shown(store: Store, clock: Clock, provider: Provider, subscription: str) -> JSON:
    """Return a provider as ARM shows it."""
    return {
        "id": f"/subscriptions/{subscription}/providers/{provider.namespace}",
        "namespace": provider.namespace,
        "registrationPolicy": "RegistrationRequired",
        "registrationState": state_of(store, clock, provider),
        "resourceTypes": [
            {
                "resourceType": provider_type.name,
                "locations": list(locations.DISPLAY_NAMES.values()) if provider_type.is_regional else [],
                "apiVersions": list(provider_type.versions),
                "defaultApiVersion": next(
                    version for version in provider_type.versions if "preview" not in version
                ),
                "capabilities": "SupportsTags, SupportsLocation" if provider_type.is_tracked else "None",
            }
            for provider_type in provider.types
        ],
    }


def _key(provider: Provider) -> str:
    return f"provider.{provider.namespace.lower()}"
