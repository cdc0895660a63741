"""ARM's bodies of what stands on a connected cluster: written from plain values, read back into them. Pure.

Shapes: arc_facts.md §4.1 (extensions), §5 (Flux configurations), §8.6 (custom locations).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Body = dict[str, Any]

# Types that work without an identity of their own (§4.2).
_WITHOUT_IDENTITY: Final = frozenset({"microsoft.dapr"})
_KUSTOMIZATION_OWN: Final = ("name",)  # what ARM adds to each


@dataclass(frozen=True)
class ArmId:
    """An ARM id, taken apart.

    Attributes:
        parent: The id of the resource above it; that of a resource group's resource is the group's.
    """

    subscription_id: str
    resource_group: str
    parent: str
    name: str


def parse_arm_id(id: str) -> ArmId | None:
    """Take an ARM id apart; None where it isn't one of a resource in a resource group."""
    parts = id.split("/")
    if len(parts) < 9 or parts[0] or parts[1].lower() != "subscriptions" or parts[3].lower() != "resourcegroups":
        return None
    above = id.lower().rpartition("/providers/")[0]
    return ArmId(parts[2], parts[4], id[: len(above)], parts[-1])


@dataclass(frozen=True)
class ExtensionWanted:
    """A cluster extension as it is wanted; see `infra/resources/extension.py` for what each means."""

    extension_type: str
    release_train: str
    version: str | None
    release_namespace: str | None
    target_namespace: str | None
    settings: Mapping[str, str]
    protected_settings: Mapping[str, str]


def extension_body(wanted: ExtensionWanted) -> Body:
    """Return what PUT takes; a version pins it, none lets Azure upgrade it (ARM takes one of both)."""
    properties: Body = {
        "extensionType": wanted.extension_type,
        "releaseTrain": wanted.release_train,
        "autoUpgradeMinorVersion": wanted.version is None,
        "configurationSettings": dict(wanted.settings),
        "configurationProtectedSettings": dict(wanted.protected_settings),
    }
    if wanted.version is not None:
        properties["version"] = wanted.version
    if wanted.target_namespace is not None:
        properties["scope"] = {"namespace": {"targetNamespace": wanted.target_namespace}}
    elif wanted.release_namespace is not None:
        properties["scope"] = {"cluster": {"releaseNamespace": wanted.release_namespace}}
    body: Body = {"properties": properties}
    if wanted.extension_type.lower() not in _WITHOUT_IDENTITY:
        body["identity"] = {"type": "SystemAssigned"}
    return body


def problems_of(body: Mapping[str, Any]) -> list[str]:
    """Return what ARM says that is wrong with an extension or a Flux configuration."""
    properties = _mapping(body, "properties")
    problems = [
        text
        for status in properties.get("statuses") or ()
        if isinstance(status, Mapping) and _is_bad(status) and (text := _status_text(status))
    ]
    error = properties.get("errorInfo")
    if isinstance(error, Mapping) and error.get("message"):
        problems.append(f"{error.get('code') or 'error'}: {error['message']}")
    if properties.get("errorMessage"):
        problems.append(str(properties["errorMessage"]))
    return list(dict.fromkeys(problems))


def _is_bad(status: Mapping[str, Any]) -> bool:
    """Return whether an extension's status is an error, or a Flux object isn't as it should be."""
    if "complianceState" in status:
        return bool(status["complianceState"] == "Non-Compliant")
    return bool(status.get("level") == "Error")


def _status_text(status: Mapping[str, Any]) -> str:
    conditions = [
        condition for condition in status.get("statusConditions") or () if isinstance(condition, Mapping)
    ]
    reason = next(
        (str(condition.get("message")) for condition in conditions if condition.get("status") == "False"), ""
    )
    message = str(status.get("message") or status.get("displayStatus") or reason)
    what = status.get("name") or status.get("code")
    return f"{what}: {message}" if what and message else message


@dataclass(frozen=True)
class FluxWanted:
    """A Flux configuration as it is wanted; `source` and `kustomizations` are ARM's own JSON."""

    namespace: str
    scope: str
    suspend: bool
    source: Mapping[str, Any]
    kustomizations: Mapping[str, Mapping[str, Any]]
    protected_settings: Mapping[str, str]


def flux_body(wanted: FluxWanted) -> Body:
    """Return what PUT takes."""
    return {
        "properties": {
            "namespace": wanted.namespace,
            "scope": wanted.scope,
            "suspend": wanted.suspend,
            "sourceKind": "GitRepository",
            "gitRepository": without_nothing(wanted.source),
            "kustomizations": {
                name: without_nothing(kustomization) for name, kustomization in wanted.kustomizations.items()
            },
            "configurationProtectedSettings": dict(wanted.protected_settings),
        }
    }


def kustomizations_of(body: Mapping[str, Any]) -> dict[str, Body]:
    """Return a Flux configuration's kustomizations without what ARM adds to them."""
    kustomizations = _mapping(_mapping(body, "properties"), "kustomizations")
    return {
        name: {
            key: value
            for key, value in kustomization.items()
            if key not in _KUSTOMIZATION_OWN and value is not None
        }
        for name, kustomization in kustomizations.items()
    }


def custom_location_body(
    location: str,
    cluster_id: str,
    namespace: str,
    extension_ids: Iterable[str],
    display_name: str,
    tags: Mapping[str, str],
) -> Body:
    """Return what PUT takes for a custom location."""
    return {
        "location": location,
        "tags": dict(tags),
        "properties": {
            "hostType": "Kubernetes",
            "hostResourceId": cluster_id,
            "namespace": namespace,
            "clusterExtensionIds": list(extension_ids),
            "displayName": display_name,
        },
    }


def without_nothing(value: Any) -> Any:
    """Return JSON without its nulls and without what is then empty."""
    if not isinstance(value, Mapping):
        return value
    filled = {key: without_nothing(item) for key, item in value.items() if item is not None}
    return {key: item for key, item in filled.items() if item != {}}


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, Mapping) else {}
