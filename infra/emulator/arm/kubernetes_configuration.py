"""Microsoft.KubernetesConfiguration: extensions, fluxConfigurations, and Flux v1's sourceControlConfigurations.

Agents carry out what they say; a DELETE waits for the agents too, unless it is forced (arc_facts.md §2) or no
agent was ever heard of the cluster, so that nothing of it can be there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from infra.emulator import desired
from infra.emulator.arm.call import Call
from infra.emulator.arm.kind import Kind, merged, without_nulls
from infra.emulator.charts import RELEASE_NAMESPACES
from infra.emulator.clock import is_duration
from infra.emulator.connectivity import CLUSTERS
from infra.emulator.http import JSON, Refusal
from infra.emulator.shapes import ANY, STRING, Field, MapOf, Object, shape_of
from infra.emulator.store import Resource

_EXTENSION_MODELS: Final = "azure.mgmt.kubernetesconfiguration.extensions.models"
_FLUX_MODELS: Final = "azure.mgmt.kubernetesconfiguration.fluxconfigurations.models"
_PROTECTED: Final = "configurationProtectedSettings"
# Secrets that the OpenAPI documents have among the other properties.
_SECRETS: Final = (
    ("bucket", "accessKey"),
    ("azureBlob", "accountKey"),
    ("azureBlob", "sasToken"),
    ("azureBlob", "servicePrincipal", "clientSecret"),
    ("azureBlob", "servicePrincipal", "clientCertificate"),
    ("azureBlob", "servicePrincipal", "clientCertificatePassword"),
)
_SOURCES: Final = {
    "GitRepository": "gitRepository",
    "Bucket": "bucket",
    "AzureBlob": "azureBlob",
    "OCIRepository": "ociRepository",
}
_KUSTOMIZATION_DEFAULTS: Final = {
    "path": "",
    "dependsOn": [],
    "timeoutInSeconds": 600,
    "syncIntervalInSeconds": 600,
    "prune": False,
    "force": False,
    "wait": True,
}


class _OfCluster(Kind):
    """What the agents of a connected cluster carry out."""

    parents = frozenset({CLUSTERS.lower()})
    by_agents = True

    def deletion_waits(self, call: Call) -> bool:
        """Return whether agents have to uninstall it first."""
        cluster = call.world.store.get(call.target.scope)
        was_heard = cluster is not None and "lastConnectivityTime" in cluster.properties
        return was_heard and not call.request.flag("forceDelete")

    def deleting(self, call: Call, existing: Resource) -> Resource:
        """Return it as the agents are to uninstall it."""
        marked = existing.with_properties(provisioningState="Deleting")
        return desired.want(call.world.store, call.world.clock, marked, None, deleting=True)

    def _wanted(
        self, call: Call, body: JSON, existing: Resource | None, protected: Mapping[str, Any] | None
    ) -> Resource:
        resource = Resource(call.id, self.type, body, existing.hidden if existing is not None else {})
        return desired.want(call.world.store, call.world.clock, resource, protected)

    def _envelope(self, call: Call, existing: Resource | None, properties: JSON) -> JSON:
        return {
            "id": call.id,
            "name": call.target.names[-1],
            "type": self.type,
            "systemData": call.system_data(existing),
            "properties": properties,
        }

    def _reported(self, existing: Resource | None) -> JSON:
        """Return what agents said before: it shows until they say something else."""
        names = desired.REPORTABLE[self.type]
        return {name: value for name, value in existing.properties.items() if name in names} if existing else {}


class Extensions(_OfCluster):
    """A cluster extension."""

    type = desired.EXTENSIONS
    operation_path = "{resource}/operations/{id}"
    operation_version = "api-Version=2022-03-01"  # spelled so by Azure, whatever the client asked with

    def shape(self) -> Object:
        """Return Extension's shape."""
        return shape_of(_EXTENSION_MODELS, "Extension")

    def patch_shape(self) -> Object | None:
        """Return PatchExtension's shape."""
        return shape_of(_EXTENSION_MODELS, "PatchExtension")

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return the extension that a PUT wants: all of it, protected settings too."""
        wanted = without_nulls(body.get("properties") or {})
        protected = wanted.pop(_PROTECTED, None)
        if not wanted.get("extensionType"):
            raise Refusal(400, "BadRequest", "The property 'properties.extensionType' is required.")
        _check_version(wanted)
        wanted = {
            "autoUpgradeMinorVersion": not wanted.get("version"),
            "releaseTrain": "Stable",
            "configurationSettings": {},
            "isSystemExtension": False,
            "statuses": [],
            **wanted,
            "extensionType": wanted["extensionType"].lower(),
            "scope": _scope(wanted, call.target.names[-1]),
            **self._reported(existing),
        }
        for fixed in ("extensionType", "scope"):
            if existing is not None and wanted[fixed] != existing.properties.get(fixed):
                raise Refusal(
                    409,
                    "PropertyChangeNotAllowed",
                    f"Changing property 'properties.{fixed}' is not allowed. Delete the extension and create it "
                    "again.",
                )
        shown = self._envelope(call, existing, wanted)
        if (body.get("identity") or {}).get("type") == "SystemAssigned":
            shown["identity"] = call.identity(existing)
        if body.get("plan"):
            shown["plan"] = body["plan"]
        # A PUT without protected settings says that there are none.
        return self._wanted(call, shown, existing, protected or {})

    def patched(self, call: Call, body: JSON, existing: Resource) -> Resource:
        """Return the extension with properties changed; protected settings are replaced where they are sent."""
        changes = dict(body.get("properties") or {})
        protected = changes.pop(_PROTECTED, None)
        new = merged(existing.body, {"properties": changes})
        if changes.get("version") and "autoUpgradeMinorVersion" not in changes:
            new["properties"]["autoUpgradeMinorVersion"] = False
        _check_version(new["properties"])
        new["systemData"] = call.system_data(existing)
        return self._wanted(call, new, existing, protected)


class FluxConfigurations(_OfCluster):
    """A Flux v2 configuration."""

    type = desired.FLUX_CONFIGURATIONS
    operation_path = "{resource}/operations/{id}"

    def shape(self) -> Object:
        """Return FluxConfiguration's shape."""
        return shape_of(_FLUX_MODELS, "FluxConfiguration")

    def patch_shape(self) -> Object | None:
        """Return FluxConfigurationPatch's shape."""
        return shape_of(_FLUX_MODELS, "FluxConfigurationPatch")

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return the configuration that a PUT wants."""
        wanted, protected = split_secrets(without_nulls(body.get("properties") or {}))
        wanted = {
            "scope": "cluster",
            "namespace": "default",
            "sourceKind": "GitRepository",
            "suspend": False,
            "kustomizations": {},
            "statuses": [],
            "complianceState": "Pending",
            **wanted,
            **self._reported(existing),
        }
        for fixed in ("scope", "namespace"):
            if existing is not None and wanted[fixed] != existing.properties.get(fixed):
                raise Refusal(
                    409, "PropertyChangeNotAllowed", f"Changing property 'properties.{fixed}' is not allowed."
                )
        _check_flux(wanted, protected)
        _complete_flux(wanted)
        return self._wanted(call, self._envelope(call, existing, wanted), existing, protected)

    def patched(self, call: Call, body: JSON, existing: Resource) -> Resource:
        """Return the configuration with properties changed: a source or kustomization that is null goes."""
        changes, protected = split_secrets(body.get("properties") or {})
        new = merged(existing.body, {"properties": changes})
        _check_flux(new["properties"], protected)
        _complete_flux(new["properties"])
        new["systemData"] = call.system_data(existing)
        return self._wanted(call, new, existing, protected or None)


class SourceControlConfigurations(Kind):
    """A Flux v1 configuration: retired, and only kept for a region move's list; nothing carries it out."""

    type = "Microsoft.KubernetesConfiguration/sourceControlConfigurations"
    parents = frozenset({CLUSTERS.lower()})
    asynchronous = False

    def shape(self) -> Object:
        """Return an open shape: no installed package has it."""
        return _source_control_shape()

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return the configuration that a PUT wants."""
        properties = {name: value for name, value in (body.get("properties") or {}).items() if name != _PROTECTED}
        shown = {
            "id": call.id,
            "name": call.target.names[-1],
            "type": self.type,
            "systemData": call.system_data(existing),
            "properties": {**properties, "provisioningState": "Succeeded"},
        }
        return Resource(call.id, self.type, shown)


def split_secrets(properties: JSON) -> tuple[JSON, dict[str, Any]]:
    """Return a Flux configuration's properties without secrets, and the secrets by where they were.

    Protected settings keep their names; the others are named by their path: `bucket.accessKey`.
    """
    shown = dict(properties)
    secrets: dict[str, Any] = dict(shown.pop(_PROTECTED, None) or {})
    for *outer, last in _SECRETS:
        inner: Any = shown
        for name in outer:
            if isinstance(inner, dict) and isinstance(inner.get(name), dict):
                inner[name] = dict(inner[name])  # the caller's own stays whole
                inner = inner[name]
            else:
                inner = {}
        if inner.get(last) is not None:
            secrets[".".join((*outer, last))] = inner.pop(last)
    return shown, secrets


@cache
def _source_control_shape() -> Object:
    return Object(
        "SourceControlConfiguration",
        {
            "id": Field(STRING, read_only=True),
            "name": Field(STRING, read_only=True),
            "type": Field(STRING, read_only=True),
            "systemData": Field(ANY, read_only=True),
            "properties": Field(MapOf(ANY)),
        },
    )


def _check_version(wanted: JSON) -> None:
    if wanted.get("version") and wanted.get("autoUpgradeMinorVersion"):
        raise Refusal(
            400,
            "BadRequest",
            "The property 'properties.version' can't be set while 'properties.autoUpgradeMinorVersion' is true.",
        )


def _scope(wanted: JSON, name: str) -> JSON:
    scope = {kind: value for kind, value in (wanted.get("scope") or {}).items() if value is not None}
    if len(scope) > 1:
        raise Refusal(400, "BadRequest", "The property 'properties.scope' has 'cluster' or 'namespace', not both.")
    if "namespace" in scope:
        return scope
    default = RELEASE_NAMESPACES.get(wanted["extensionType"].lower(), name)
    return {"cluster": {"releaseNamespace": (scope.get("cluster") or {}).get("releaseNamespace") or default}}


def _check_flux(wanted: JSON, protected: Mapping[str, Any]) -> None:
    source = _SOURCES[wanted["sourceKind"]]
    if not (wanted.get(source) or {}).get("url"):
        raise Refusal(
            400,
            "BadRequest",
            f"The property 'properties.{source}.url' is required, since 'properties.sourceKind' is "
            f"'{wanted['sourceKind']}'.",
        )
    duration = wanted.get("reconciliationWaitDuration")
    if duration is not None and not is_duration(duration):
        raise Refusal(
            400,
            "BadRequest",
            "The value of 'properties.reconciliationWaitDuration' is not a duration such as 'PT1H', 'PT5M' or "
            "'P1D'.",
        )
    for name, value in protected.items():
        if "." in name:
            continue
        try:
            base64.b64decode(str(value), validate=True)
        except (binascii.Error, ValueError):
            raise Refusal(
                400, "BadRequest", f"The value of 'properties.{_PROTECTED}.{name}' is not base64-encoded."
            ) from None


def _complete_flux(wanted: JSON) -> None:
    """Fill in what Azure shows where nothing was said (arc_facts.md §5)."""
    source = _SOURCES[wanted["sourceKind"]]
    wanted[source] = {"timeoutInSeconds": 600, "syncIntervalInSeconds": 600, **wanted[source]}
    wanted["kustomizations"] = {
        name: {**_KUSTOMIZATION_DEFAULTS, **(kustomization or {}), "name": name}
        for name, kustomization in (wanted.get("kustomizations") or {}).items()
    }
