"""Microsoft.ExtendedLocation/customLocations."""

from __future__ import annotations

from typing import Final

from infra.emulator.arm.call import Call
from infra.emulator.arm.kind import Kind, merged, without_nulls
from infra.emulator.connectivity import CLUSTERS, CONNECTED, status_of
from infra.emulator.desired import EXTENSIONS
from infra.emulator.http import JSON, Refusal
from infra.emulator.shapes import Object, shape_of
from infra.emulator.store import Resource

_MODELS: Final = "azure.mgmt.extendedlocation.models"


class CustomLocations(Kind):
    """A namespace of a connected cluster that Azure's services deploy to."""

    type = "Microsoft.ExtendedLocation/customLocations"
    operation_path = "/providers/Microsoft.ExtendedLocation/locations/{location}/operationsStatus/{id}"

    def shape(self) -> Object:
        """Return CustomLocation's shape."""
        return shape_of(_MODELS, "CustomLocation")

    def patch_shape(self) -> Object | None:
        """Return PatchableCustomLocations' shape."""
        return shape_of(_MODELS, "PatchableCustomLocations")

    def patches_at_once(self, call: Call) -> bool:
        """Return True: the API has no operation for a PATCH."""
        del call
        return True

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return the custom location that a PUT wants."""
        wanted = without_nulls(_visible(body.get("properties") or {}))
        name, location = call.target.names[-1], call.location_of(body)
        cluster = _host(call, wanted)
        _check_extensions(call, wanted, cluster)
        properties = {
            "hostType": "Kubernetes",
            "displayName": name,
            "namespace": name.lower(),
            "clusterExtensionIds": [],
            **wanted,
            "hostResourceId": cluster.id,
            "provisioningState": "Creating" if existing is None else "Updating",
        }
        _check_namespace(call, properties, cluster)
        shown = {
            "id": call.id,
            "name": name,
            "type": self.type,
            "location": location,
            "tags": body.get("tags") or {},
            "systemData": call.system_data(existing),
            "properties": properties,
        }
        if (body.get("identity") or {}).get("type") == "SystemAssigned":
            shown["identity"] = call.identity(existing)
        return Resource(call.id, self.type, shown, existing.hidden if existing is not None else {})

    def patched(self, call: Call, body: JSON, existing: Resource) -> Resource:
        """Return the custom location with tags or properties changed."""
        new = merged(existing.body, {"properties": _visible(body.get("properties") or {})})
        if body.get("tags") is not None:
            new["tags"] = body["tags"]
        _check_extensions(call, new["properties"], _host(call, new["properties"]))
        new["systemData"] = call.system_data(existing)
        return Resource(existing.id, existing.type, new, existing.hidden)


def _visible(properties: JSON) -> JSON:
    """Return properties without `authentication.value`, which is a kubeconfig."""
    return {name: value for name, value in properties.items() if name != "authentication"}


def _host(call: Call, wanted: JSON) -> Resource:
    """Return the cluster that a custom location is on; it has to be there and connected."""
    host = wanted.get("hostResourceId") or ""
    cluster = call.world.store.get(host) if host else None
    if cluster is None or cluster.type != CLUSTERS:
        raise Refusal(
            400,
            "HostResourceNotFound",
            f"The host resource '{host}' of 'properties.hostResourceId' was not found.",
        )
    status = status_of(cluster, call.world.clock.now())
    if status != CONNECTED:
        raise Refusal(
            400,
            "HostResourceNotConnected",
            f"The host resource '{cluster.id}' is '{status}': a custom location needs a connected cluster.",
        )
    return cluster


def _check_extensions(call: Call, wanted: JSON, cluster: Resource) -> None:
    for extension_id in wanted.get("clusterExtensionIds") or []:
        resource = call.world.store.get(extension_id)
        if resource is None or resource.type != EXTENSIONS or not resource.key.startswith(f"{cluster.key}/"):
            raise Refusal(
                400,
                "ClusterExtensionNotFound",
                f"The cluster extension '{extension_id}' was not found on the host resource '{cluster.id}'.",
            )
        state = resource.properties.get("provisioningState")
        if state != "Succeeded":
            raise Refusal(
                400,
                "ClusterExtensionNotReady",
                f"The cluster extension '{resource.id}' has the InstallState '{state}': it has to be 'Succeeded'.",
            )


def _check_namespace(call: Call, wanted: JSON, cluster: Resource) -> None:
    for other in call.world.store.of_type(CustomLocations.type):
        its = other.properties
        same = its.get("namespace") == wanted["namespace"] and its["hostResourceId"].lower() == cluster.key
        if same and other.key != call.id.lower():
            raise Refusal(
                409,
                "NamespaceInUse",
                f"The namespace '{wanted['namespace']}' of the host resource is used by the custom location "
                f"'{other.id}'.",
            )
