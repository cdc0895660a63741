"""What Azure is asked for: ARM's body of a connected cluster, and the data plane's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra.arc.model import Onboarding, Proxy

_PLACEHOLDER: Final = "redacted"


def cluster_body(wanted: Onboarding, public_key: str) -> dict[str, Any]:
    """Return what ARM is asked for. It has no secret: what is protected never leaves for Azure."""
    features = wanted.features
    properties: dict[str, Any] = {
        "agentPublicKeyCertificate": public_key,
        "distribution": wanted.distribution,
        "infrastructure": wanted.infrastructure,
        "azureHybridBenefit": wanted.azure_hybrid_benefit,
        "privateLinkState": "Enabled" if features.private_link_scope_id else "Disabled",
        "arcAgentProfile": {"agentAutoUpgrade": "Enabled" if wanted.auto_upgrade else "Disabled"},
        "oidcIssuerProfile": {"enabled": features.oidc_issuer.enabled},
        "gateway": {"enabled": features.gateway_id is not None},
        "securityProfile": {"workloadIdentity": {"enabled": features.workload_identity}},
        "arcAgentryConfigurations": [],
    }
    if features.private_link_scope_id:
        properties["privateLinkScopeResourceId"] = features.private_link_scope_id
    if wanted.agent_version and not wanted.auto_upgrade:
        properties["arcAgentProfile"]["desiredAgentVersion"] = wanted.agent_version
    if features.oidc_issuer.enabled and features.oidc_issuer.self_hosted_url:
        properties["oidcIssuerProfile"]["selfHostedIssuerUrl"] = features.oidc_issuer.self_hosted_url
    if features.azure_rbac.enabled:
        properties["aadProfile"] = {"enableAzureRBAC": True}
    return {
        "location": wanted.location,
        "tags": dict(wanted.tags),
        "identity": {"type": "SystemAssigned"},
        "properties": properties,
    }


def patch_body(wanted: Onboarding) -> dict[str, Any]:
    """Return what can be changed by PATCH (facts §1.11)."""
    return {
        "tags": dict(wanted.tags),
        "properties": {
            "distribution": wanted.distribution,
            "azureHybridBenefit": wanted.azure_hybrid_benefit,
        },
    }


def settings_body(wanted: Onboarding, cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the data plane is asked for values with: the cluster, and placeholders for what is protected."""
    proxy = [
        {
            "feature": "proxy",
            "settings": {},
            "protectedSettings": {name: f"{_PLACEHOLDER}:proxy:{name}" for name in protected_settings(wanted)},
        }
    ]
    properties = {
        **cluster.get("properties", {}),
        "arcAgentryConfigurations": proxy if protected_settings(wanted) else [],
    }
    return {**cluster, "properties": properties}


def protected_settings(wanted: Onboarding) -> dict[str, str]:
    """Return the proxy's settings by the names that the data plane has for them; secrets."""
    proxy = wanted.features.proxy or Proxy()
    settings = {
        "https_proxy": proxy.https,
        "http_proxy": proxy.http,
        "no_proxy": ",".join(proxy.no_proxy),
        "proxy_cert": proxy.certificate,
    }
    return {name: value for name, value in settings.items() if value}


def revealed(value: str, protected: Mapping[str, str]) -> str:
    """Return a value of the data plane's with the secret in its placeholder's place."""
    if not value.startswith(f"{_PLACEHOLDER}:"):
        return value
    return protected.get(value.rpartition(":")[2], "")


def is_within(wanted: Any, found: Any) -> bool:
    """Return whether all that is wanted is in what was found; Azure adds to it, and spells regions its own way."""
    if isinstance(wanted, Mapping):
        below = found if isinstance(found, Mapping) else {}
        return all(is_within(value, below.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(is_within, wanted, found))
    if isinstance(wanted, str) and isinstance(found, str):
        return wanted.replace(" ", "").lower() == found.replace(" ", "").lower()
    if found is None:
        return wanted in (False, [], "")  # what is off, Azure needn't mention
    return bool(wanted == found)
