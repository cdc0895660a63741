"""The provider's configuration: what is documented, read and checked. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from infra.errors import UserError
from infra.kubernetes_plugin.errors import NotCovered

_TIMEOUT_SECONDS: Final = 30.0


@dataclass(frozen=True)
class HelmSettings:
    """`helmReleaseSettings`: where helm keeps releases and looks for repositories."""

    driver: str = "secret"
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """One provider's configuration.

    Attributes:
        kubeconfig: content or path; empty for the one that kubectl would take.
        context: the kubeconfig's context; empty for its current one.
        cluster: overrides the context's cluster.
        namespace: for namespaced objects that name none; empty for the context's.
        delete_unreachable: forget resources of a cluster that doesn't answer.
        skip_update_unreachable: leave resources of a cluster that doesn't answer as they are.
        patch_force: take fields over from other managers.
        secret_mutable: change a Secret's data in place.
        config_map_mutable: change a ConfigMap's data in place.
        upsert: let a create take over an object that stands.
        timeout: seconds for an answer of the API server.
        helm: for Helm releases.
    """

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    namespace: str = ""
    delete_unreachable: bool = False
    skip_update_unreachable: bool = False
    patch_force: bool = False
    secret_mutable: bool = False
    config_map_mutable: bool = False
    upsert: bool = False
    timeout: float = _TIMEOUT_SECONDS
    helm: HelmSettings = HelmSettings()


# Each flag may also come from the environment, as documented.
_FLAGS: Final = {
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
    "skipUpdateUnreachable": "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
}
_HELM_VARIABLES: Final = {
    "pluginsPath": ("HELM_PLUGINS", "PULUMI_K8S_HELM_PLUGINS_PATH"),
    "registryConfigPath": ("HELM_REGISTRY_CONFIG", "PULUMI_K8S_HELM_REGISTRY_CONFIG_PATH"),
    "repositoryConfigPath": ("HELM_REPOSITORY_CONFIG", "PULUMI_K8S_HELM_REPOSITORY_CONFIG_PATH"),
    "repositoryCache": ("HELM_REPOSITORY_CACHE", "PULUMI_K8S_HELM_REPOSITORY_CACHE"),
}
_CLIENT_SETTINGS: Final = frozenset({"burst", "qps", "timeout"})


def faults(values: Mapping[str, Any], environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return each setting that can't be served, with the reason."""
    unserved = []
    if values.get("renderYamlToDirectory"):
        unserved.append(("renderYamlToDirectory", str(NotCovered("renderYamlToDirectory"))))
    if _is_true(values.get("alwaysRender")):
        unserved.append(("alwaysRender", str(NotCovered("alwaysRender"))))
    server_side = values.get(
        "enableServerSideApply", environment.get("PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY", "true")
    )
    if not _is_true(server_side):
        unserved.append(
            ("enableServerSideApply", str(NotCovered("client-side apply (enableServerSideApply: false)")))
        )
    if _is_true(values.get("strictMode")):
        unserved += [
            (name, f"strictMode is set, so the provider has to name its {name}")
            for name in ("kubeconfig", "context")
            if not values.get(name)
        ]
    return unserved


def parse(values: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Read the configuration as the engine sends it: every value may be a string, or JSON in one.

    Raises:
        UserError: a value doesn't have its documented form.
    """
    flags = {
        name: _is_true(values[name] if values.get(name) is not None else environment.get(variable, "false"))
        for name, variable in _FLAGS.items()
    }
    client = _object(values, "kubeClientSettings", _CLIENT_SETTINGS)
    timeout = client.get("timeout") or environment.get("PULUMI_K8S_CLIENT_TIMEOUT")
    return Settings(
        kubeconfig=str(values.get("kubeconfig") or ""),
        context=str(values.get("context") or ""),
        cluster=str(values.get("cluster") or ""),
        namespace=str(values.get("namespace") or ""),
        delete_unreachable=flags["deleteUnreachable"],
        skip_update_unreachable=flags["skipUpdateUnreachable"],
        patch_force=flags["enablePatchForce"],
        secret_mutable=flags["enableSecretMutable"],
        config_map_mutable=flags["enableConfigMapMutable"],
        upsert=flags["upsertExistingObjects"],
        timeout=_seconds(timeout) if timeout else _TIMEOUT_SECONDS,
        helm=_helm(values, environment),
    )


def _helm(values: Mapping[str, Any], environment: Mapping[str, str]) -> HelmSettings:
    settings = _object(values, "helmReleaseSettings", frozenset({"driver", *_HELM_VARIABLES}))
    variables = {}
    for name, (variable, fallback) in _HELM_VARIABLES.items():
        value = settings.get(name) or environment.get(fallback)
        if value:
            variables[variable] = str(value)
    return HelmSettings(
        str(settings.get("driver") or environment.get("PULUMI_K8S_HELM_DRIVER") or "secret"), variables
    )


def _object(values: Mapping[str, Any], name: str, known: frozenset[str]) -> Mapping[str, Any]:
    value = values.get(name) or {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise UserError(f"{name} is not JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise UserError(f"{name} has to be an object with {', '.join(sorted(known))}")
    unknown = value.keys() - known
    if unknown:
        raise UserError(f"{name} has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
    return value


def _seconds(value: object) -> float:
    try:
        return float(str(value))
    except ValueError as error:
        raise UserError(f"kubeClientSettings.timeout has to be seconds, got {value!r}") from error


def _is_true(value: object) -> bool:
    return value is True or value == "true"
