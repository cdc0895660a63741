"""Kinds whose bodies no installed package describes: their shapes are those of arc_facts.md §1.14 and §4.4."""

from __future__ import annotations

from typing import Any, Final

from infra.emulator.arm.call import Call
from infra.emulator.arm.kind import Kind
from infra.emulator.connectivity import CLUSTERS
from infra.emulator.desired import EXTENSIONS
from infra.emulator.http import JSON, Answer, Refusal
from infra.emulator.shapes import ANY, STRING, Choice, Field, ListOf, MapOf, Object, Shape
from infra.emulator.store import Resource

_NETWORKING: Final = "microsoft.arcnetworking"
ENVELOPE: Final = {
    "id": Field(STRING, read_only=True),
    "name": Field(STRING, read_only=True),
    "type": Field(STRING, read_only=True),
    "systemData": Field(ANY, read_only=True),
}


def _resource(name: str, **properties: Field) -> Object:
    return Object(name, {**ENVELOPE, "properties": Field(Object(f"{name}Properties", properties), required=True)})


def _tracked(name: str, properties: Shape) -> Object:
    fields = {"location": Field(STRING), "tags": Field(MapOf(STRING)), "properties": Field(properties)}
    return Object(name, {**ENVELOPE, **fields})


_STATE: Final = Field(STRING, read_only=True)
_SHAPES: Final = {
    "loadBalancers": _resource(
        "LoadBalancer",
        addresses=Field(ListOf(STRING), required=True),
        advertiseMode=Field(Choice(("ARP", "BGP", "Both")), required=True),
        bgpPeers=Field(ListOf(STRING)),
        serviceSelector=Field(MapOf(STRING)),
        provisioningState=_STATE,
    ),
    "bgpPeers": _resource(
        "BgpPeer",
        myAsn=Field(ANY, required=True),
        peerAsn=Field(ANY, required=True),
        peerAddress=Field(STRING, required=True),
        bfdProfile=Field(STRING),
        provisioningState=_STATE,
    ),
    "bfdProfiles": Object("BfdProfile", {**ENVELOPE, "properties": Field(MapOf(ANY), required=True)}),
}


class _Networking(Kind):
    """What the extension microsoft.arcnetworking brings into a cluster."""

    parents = frozenset({CLUSTERS.lower()})
    operation_path = "/providers/Microsoft.KubernetesRuntime/locations/{location}/operationStatuses/{id}"
    pending_put = "Accepted"

    def shape(self) -> Object:
        """Return the shape of arc_facts.md."""
        return _SHAPES[self.type.rpartition("/")[2]]

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return what a PUT wants; the extension has to be installed."""
        extensions = call.world.store.under(call.target.scope, EXTENSIONS)
        states = {
            extension.properties.get("provisioningState")
            for extension in extensions
            if extension.properties.get("extensionType", "").lower() == _NETWORKING
        }
        if "Succeeded" not in states:
            raise Refusal(
                400,
                "ArcNetworkingExtensionNotReady",
                f"The cluster extension of type '{_NETWORKING}' has to be installed on '{call.target.scope}' "
                "first.",
            )
        return plain(call, self.type, existing, {"properties": body["properties"]})


class LoadBalancers(_Networking):
    """MetalLB's address pools."""

    type = "Microsoft.KubernetesRuntime/loadBalancers"


class BgpPeers(_Networking):
    """MetalLB's BGP peers."""

    type = "Microsoft.KubernetesRuntime/bgpPeers"


class BfdProfiles(_Networking):
    """MetalLB's BFD profiles."""

    type = "Microsoft.KubernetesRuntime/bfdProfiles"


class GatewaySettings(Kind):
    """Which Arc gateway a cluster uses."""

    type = "Microsoft.HybridCompute/settings"
    parents = frozenset({CLUSTERS.lower()})
    asynchronous = False

    def shape(self) -> Object:
        """Return the shape of arc_facts.md §1.14."""
        inner = Object("GatewayProperties", {"gatewayResourceId": Field(STRING)})
        return _resource("Settings", gatewayProperties=Field(inner), tenantId=Field(STRING))

    def put(self, call: Call) -> Answer:
        """Answer a PUT, which is 200 also the first time."""
        return Answer(200, super().put(call).body)

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return the setting; a gateway that is named has to be there, null detaches."""
        gateway = (body["properties"].get("gatewayProperties") or {}).get("gatewayResourceId")
        if gateway and call.world.store.get(gateway) is None:
            raise Refusal(404, "GatewayNotFound", f"The Arc gateway '{gateway}' was not found.")
        return plain(call, self.type, existing, {"properties": body["properties"]})


class _Tracked(Kind):
    """A resource that only has to be there, at a place."""

    asynchronous = False

    def shape(self) -> Object:
        """Return an open shape."""
        return _tracked(self.type.rpartition("/")[2], MapOf(ANY))

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return what a PUT wants."""
        properties = {**(body.get("properties") or {}), "provisioningState": "Succeeded"}
        fields = {"location": call.location_of(body), "tags": body.get("tags") or {}, "properties": properties}
        return plain(call, self.type, existing, fields)


class Gateways(_Tracked):
    """An Arc gateway; nothing is behind it."""

    type = "Microsoft.HybridCompute/gateways"


class PrivateLinkScopes(_Tracked):
    """An Arc private link scope; nothing is behind it."""

    type = "Microsoft.HybridCompute/privateLinkScopes"


def plain(call: Call, full_type: str, existing: Resource | None, fields: dict[str, Any]) -> Resource:
    """Return a resource with its envelope and these fields."""
    shown = {
        "id": call.id,
        "name": call.target.names[-1],
        "type": full_type,
        "systemData": call.system_data(existing),
        **fields,
    }
    return Resource(call.id, full_type, shown, existing.hidden if existing is not None else {})
