"""The values of the agents' chart (facts §1.8). Pure. The private key isn't among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra.arc.bodies import protected_settings, revealed
from infra.arc.environment import AzureEnvironment
from infra.arc.model import Onboarding, Proxy
from infra.model.azure_regions import short_location

_DEFAULTS: Final = "systemDefaultValues"
_HIS_VERSION: Final = "1.0-preview"
_CUSTOM_CERTIFICATE: Final = "global.isCustomCert"
_CERTIFICATE: Final = "global.proxyCert"


def agent_values(
    wanted: Onboarding,
    *,
    tenant_id: str,
    principal_id: str,
    registry: str,
    served: Mapping[str, str],
    authorities: str,
) -> dict[str, Any]:
    """Return the values, nested as Helm takes them.

    Later ones win: ours, those that point agents to another back end, the data plane's, those that features force.

    Args:
        wanted: The connection.
        tenant_id, principal_id: Of the cluster's identity.
        registry: Host of the chart's registry.
        served: What the data plane says, flat keys with dots.
        authorities: PEM of certificate authorities that the environment is signed by; none for public clouds.
    """
    protected = protected_settings(wanted)
    flat: dict[str, Any] = {
        **_own(wanted, tenant_id),
        **_proxy(wanted.features.proxy, authorities),
        **_overrides(wanted.environment, short_location(wanted.location), principal_id, registry),
        **{key: _typed(revealed(value, protected)) for key, value in served.items()},
        **_forced(wanted),
    }
    if authorities:
        # The data plane knows of the proxy's certificate alone.
        flat |= {_CERTIFICATE: _certificates(wanted.features.proxy, authorities), _CUSTOM_CERTIFICATE: True}
    return nested(flat)


def _own(wanted: Onboarding, tenant_id: str) -> dict[str, Any]:
    features = wanted.features
    values: dict[str, Any] = {
        "global.subscriptionId": wanted.scope.subscription_id,
        "global.resourceGroupName": wanted.scope.resource_group,
        "global.resourceName": wanted.name,
        "global.location": short_location(wanted.location),
        "global.tenantId": tenant_id,
        "global.kubernetesDistro": wanted.distribution,
        "global.kubernetesInfra": wanted.infrastructure,
        "global.azureEnvironment": wanted.environment.helm_name,
        f"{_DEFAULTS}.spnOnboarding": False,
        f"{_DEFAULTS}.azureArcAgents.autoUpdate": wanted.auto_upgrade,
        f"{_DEFAULTS}.guard.enabled": features.azure_rbac.enabled,
    }
    if features.azure_rbac.enabled:
        values |= {
            f"{_DEFAULTS}.guard.authnMode": "arc",
            f"{_DEFAULTS}.guard.skipAuthzCheck": ",".join(features.azure_rbac.skip),
        }
    return values


def _proxy(proxy: Proxy | None, authorities: str) -> dict[str, Any]:
    """Return the proxy's values; all of them, so that an upgrade takes away what is no longer wanted."""
    settings = proxy or Proxy()
    return {
        "global.isProxyEnabled": bool(settings.https or settings.http),
        "global.httpsProxy": settings.https,
        "global.httpProxy": settings.http,
        "global.noProxy": ",".join(settings.no_proxy),
        _CERTIFICATE: _certificates(proxy, authorities),
        _CUSTOM_CERTIFICATE: bool(settings.certificate or authorities),
    }


def _certificates(proxy: Proxy | None, authorities: str) -> str:
    pems = [pem.strip() for pem in ((proxy.certificate if proxy else ""), authorities) if pem.strip()]
    return "".join(f"{pem}\n" for pem in pems)


def _overrides(environment: AzureEnvironment, location: str, principal_id: str, registry: str) -> dict[str, Any]:
    """Return what points agents to another back end than Microsoft's own clouds."""
    if environment.config_endpoint is None:
        return {}
    values: dict[str, Any] = {
        f"{_DEFAULTS}.azureArcAgents.config_dp_endpoint_override": environment.config_endpoint,
        f"{_DEFAULTS}.azureResourceManagerEndpoint": environment.resource_manager,
        f"{_DEFAULTS}.activeDirectoryEndpoint": environment.authority,
        f"{_DEFAULTS}.image.repository": registry,
        "global.kubeAadEndpoint": f"{principal_id}.k8sproxysvc.connectrp.azs",
    }
    if environment.his_endpoint:
        discovery = f"{environment.his_endpoint}/discovery?location={location}&api-version={_HIS_VERSION}"
        values[f"{_DEFAULTS}.clusteridentityoperator.his_endpoint_override"] = discovery
    connect = f"{_DEFAULTS}.clusterconnect-agent"
    if environment.notification_endpoint:
        values[f"{connect}.notification_dp_endpoint_override"] = environment.notification_endpoint
    if environment.relay_suffix:
        values[f"{connect}.relay_endpoint_suffix_override"] = environment.relay_suffix
    return values


def _forced(wanted: Onboarding) -> dict[str, Any]:
    """Return what features force; a private link excludes cluster connect and custom locations (facts §8.3)."""
    features = wanted.features
    is_private = features.private_link_scope_id is not None
    locations = features.custom_locations.enabled and not is_private
    values: dict[str, Any] = {
        f"{_DEFAULTS}.clusterconnect-agent.enabled": features.connects,
        f"{_DEFAULTS}.customLocations.enabled": locations,
    }
    if locations:
        values[f"{_DEFAULTS}.customLocations.oid"] = features.custom_locations.oid or ""
    return values


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat keys with dots as nested objects."""
    root: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        place = root
        for part in path:
            below = place.setdefault(part, {})
            if not isinstance(below, dict):
                below = place[part] = {}
            place = below
        place[last] = value
    return root


def _typed(value: str) -> Any:
    """Return a value as `helm --set`, by which Azure's own client hands it on, understands it."""
    match value:
        case "true":
            return True
        case "false":
            return False
        case _:
            return value
