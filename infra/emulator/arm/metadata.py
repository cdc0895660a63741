"""ARM's own description of a cloud, which clients read before they have a token (arc_facts.md §10.2)."""

from __future__ import annotations

from typing import Final

from infra.emulator.entra import ARM_AUDIENCES
from infra.emulator.http import JSON, Answer, Refusal, Request
from infra.emulator.world import World

_FIRST: Final = "2015-01-01"
_AS_LIST: Final = ("2018-05-01", "2019-05-01", "2019-10-01", "2020-06-01")  # an array of clouds
_SUFFIX: Final = "azlocal.invalid"


def metadata(world: World, request: Request) -> Answer:
    """Answer `/metadata/endpoints`: older versions have fewer names, or a list with one cloud."""
    version = request.query.get("api-version")
    if not version:
        raise Refusal(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if version == _FIRST:
        return Answer(200, _first(request))
    cloud = _cloud(world, request)
    return Answer(200, [cloud] if version in _AS_LIST else cloud)


def _first(request: Request) -> JSON:
    return {
        "galleryEndpoint": request.base_url,
        "graphEndpoint": request.base_url,
        "portalEndpoint": request.base_url,
        "authentication": {"loginEndpoint": request.base_url, "audiences": list(ARM_AUDIENCES)},
    }


def _cloud(world: World, request: Request) -> JSON:
    base, agents = request.base_url, world.settings.agent_url
    return {
        "name": "azlocal-emulator",
        "portal": base,
        "resourceManager": f"{base}/",
        "authentication": {
            "loginEndpoint": base,
            "audiences": list(ARM_AUDIENCES),
            "tenant": world.settings.tenant_id,
            "identityProvider": "AAD",
        },
        "graph": f"{base}/",
        "graphAudience": f"{base}/",
        "microsoftGraphResourceId": f"{base}/",
        "gallery": base,
        "batch": base,
        "media": base,
        "sqlManagement": base,
        "activeDirectoryDataLake": base,
        "vmImageAliasDoc": "",
        "suffixes": {
            "acrLoginServer": _SUFFIX,
            "keyVaultDns": f"vault.{_SUFFIX}",
            "sqlServerHostname": f"database.{_SUFFIX}",
            "storage": f"core.{_SUFFIX}",
            "azureDataLakeStoreFileSystem": f"datalake.{_SUFFIX}",
            "azureDataLakeAnalyticsCatalogAndJob": f"analytics.{_SUFFIX}",
            "relayEndpointSuffix": f"relay.{_SUFFIX}",
        },
        # Clients hand these to the agents, so they name the address that agents reach.
        "dataplaneEndpoints": {
            "arcConfigEndpoint": f"{agents}/dp",
            "arcHybridIdentityServiceEndpoint": f"{agents}/his",
            "arcGlobalNotificationServiceEndpoint": f"{agents}/notification",
        },
    }
