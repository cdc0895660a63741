"""The Arc data plane as clients ask it: where the agents' chart is, and its values (arc_facts.md §1.6)."""

from __future__ import annotations

from typing import Any, Final

from starlette.routing import Route

from infra.emulator.charts import AGENTS_REPOSITORY, AGENTS_VERSION
from infra.emulator.entra import application_of
from infra.emulator.http import JSON, Answer, Refusal, Request
from infra.emulator.limits import BODY_BYTES
from infra.emulator.routes import route
from infra.emulator.world import World

PREFIX: Final = "/dp"
_BASE: Final = f"{PREFIX}/azure-arc-k8sagents"
_TRAINS: Final = frozenset({"stable", "preview"})


def routes(world: World) -> list[Route]:
    """Return the routes that clients use; the agents' are in `agent_api`."""
    return [
        route(world, f"{_BASE}/healthCheck", _health, ["POST"]),
        route(world, f"{_BASE}/GetLatestHelmPackagePath", _latest, ["POST"]),
        route(world, f"{_BASE}/GetHelmSettings", _settings, ["POST"], body_bytes=BODY_BYTES),
    ]


def _health(world: World, request: Request) -> Answer:
    _require_version(request)
    application_of(world, request)
    return Answer(200, {})


def _latest(_world: World, request: Request) -> Answer:
    # No token: Terraform's and others' clients send none (arc_facts.md §1.6).
    _require_version(request)
    return Answer(200, {"repositoryPath": _repository_path(request)})


def _settings(world: World, request: Request) -> Answer:
    _require_version(request)
    application_of(world, request)
    cluster = request.json()
    return Answer(
        200,
        {"repositoryPath": _repository_path(request), "helmValuesContent": helm_values(cluster, world)},
    )


def helm_values(cluster: JSON, world: World) -> dict[str, str]:
    """Return the agents' chart values for a cluster as ARM shows it: flat dotted keys, all values strings.

    A protected setting comes as `redacted:<feature>:<setting>` and goes back the same way, since the client puts
    the real value in its place; this side never sees it.

    Raises:
        Refusal: the body isn't a connected cluster.
    """
    parts = str(cluster.get("id", "")).split("/")
    if len(parts) != 9:
        raise Refusal(400, "BadRequest", "The body has to be a connected cluster with its `id`.")
    _, _, subscription, _, group, *_, name = parts
    properties = cluster.get("properties") or {}
    profile = properties.get("arcAgentProfile") or {}
    values = {
        "global.subscriptionId": subscription,
        "global.resourceGroupName": group,
        "global.resourceName": name,
        "global.location": str(cluster.get("location", "")),
        "global.tenantId": str((cluster.get("identity") or {}).get("tenantId") or world.settings.tenant_id),
        "systemDefaultValues.azureArcAgents.autoUpdate": str(
            profile.get("agentAutoUpgrade", "Enabled") != "Disabled"
        ).lower(),
    }
    if (properties.get("oidcIssuerProfile") or {}).get("enabled"):
        # The emulator's own. As a change of values it also brings agents that an older emulator installed up to
        # date: those don't send keys.
        values["systemDefaultValues.oidcIssuer.enabled"] = "true"
    for configuration in properties.get("arcAgentryConfigurations") or []:
        values |= _feature_values(configuration)
    return values


_FEATURE_VALUES: Final = {
    ("proxy", "https_proxy"): "global.httpsProxy",
    ("proxy", "http_proxy"): "global.httpProxy",
    ("proxy", "no_proxy"): "global.noProxy",
    ("proxy", "proxy_cert"): "global.proxyCert",
    ("logging", "container_log_path"): "systemDefaultValues.fluent-bit.containerLogPath",
}


def _feature_values(configuration: dict[str, Any]) -> dict[str, str]:
    feature = str(configuration.get("feature", "")).lower()
    settings = {**(configuration.get("settings") or {}), **(configuration.get("protectedSettings") or {})}
    values = {
        _FEATURE_VALUES[feature, name]: str(value)
        for name, value in settings.items()
        if (feature, name) in _FEATURE_VALUES
    }
    if feature == "proxy" and values:
        values["global.isProxyEnabled"] = str(any(name != "proxy_cert" for name in settings)).capitalize()
        if "global.proxyCert" in values:
            values["global.isCustomCert"] = "True"
    return values


def _repository_path(request: Request) -> str:
    train = request.query.get("releasetrain", "stable").lower()
    if train not in _TRAINS:
        raise Refusal(
            400,
            "BadRequest",
            f"The release train '{train}' is unknown; known ones are {', '.join(sorted(_TRAINS))}.",
        )
    host = request.base_url.removeprefix("https://")
    # What clients get lacks the `v2` that they put in before the last part (arc_facts.md §1.8).
    folder, _, chart = AGENTS_REPOSITORY.rpartition("/")
    return f"{host}/{folder.removesuffix('/v2')}/{chart}:{AGENTS_VERSION}"


def _require_version(request: Request) -> None:
    if not request.query.get("api-version"):
        raise Refusal(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
