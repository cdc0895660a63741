"""Azure Monitor, as far as extensions that send it something need it: rules, endpoints, associations, workspaces.

Nothing is collected.

A workspace of another subscription than the emulator's own is taken to be there: a stack that is rehearsed names
the real one, of which the emulator can't know. One of its own subscription has to be made first.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from infra.emulator.arm import ids
from infra.emulator.arm.call import Call
from infra.emulator.arm.kind import Kind, method_not_allowed, without_nulls
from infra.emulator.arm.monitor_shapes import (
    ACCOUNT_PROPERTIES,
    ASSOCIATION_PROPERTIES,
    ENDPOINT_PROPERTIES,
    READ_ONLY,
    RULE_PROPERTIES,
    TAGS,
    TRACKED,
    WORKSPACE_PROPERTIES,
)
from infra.emulator.arm.other_kinds import ENVELOPE, plain
from infra.emulator.connectivity import CLUSTERS
from infra.emulator.http import JSON, Answer, Refusal, Request
from infra.emulator.shapes import ANY, STRING, Field, Object
from infra.emulator.store import Resource
from infra.emulator.world import World

RULES: Final = "Microsoft.Insights/dataCollectionRules"
ENDPOINTS: Final = "Microsoft.Insights/dataCollectionEndpoints"
ASSOCIATIONS: Final = "Microsoft.Insights/dataCollectionRuleAssociations"
WORKSPACES: Final = "Microsoft.OperationalInsights/workspaces"
ACCOUNTS: Final = "Microsoft.Monitor/accounts"


class _Monitored(Kind):
    """A tracked resource whose PUT and DELETE end at once.

    Attributes:
        name: Of its shape.
        properties: Its properties' shape.
    """

    name: ClassVar[str]
    properties: ClassVar[Object]
    asynchronous = False

    def shape(self) -> Object:
        """Return the published shape."""
        return Object(self.name, {**TRACKED, "properties": Field(self.properties)})

    def patch_shape(self) -> Object | None:
        """Return ResourceForUpdate's shape."""
        return Object("ResourceForUpdate", {"tags": TAGS, "identity": Field(ANY)})

    def patched(self, call: Call, body: JSON, existing: Resource) -> Resource:
        """Return the resource with other tags."""
        tags = body["tags"] if body.get("tags") is not None else existing.body.get("tags")
        shown = {**existing.body, "tags": tags, "systemData": call.system_data(existing)}
        return Resource(existing.id, existing.type, shown, existing.hidden)

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return what a PUT wants."""
        location = call.location_of(body)
        wanted = without_nulls(body.get("properties") or {})
        fields = {
            "location": location,
            "tags": body.get("tags") or {},
            **({"kind": body["kind"]} if body.get("kind") else {}),
            "properties": {**self.filled(call, wanted, location), "provisioningState": "Succeeded"},
        }
        return plain(call, self.type, existing, fields)

    def filled(self, call: Call, wanted: JSON, location: str) -> JSON:
        """Return the properties with what Azure adds.

        Raises:
            Refusal: Azure would not have them.
        """
        del call, location
        return wanted


class DataCollectionRules(_Monitored):
    """A data collection rule."""

    type = RULES
    name = "DataCollectionRuleResource"
    properties = RULE_PROPERTIES

    def filled(self, call: Call, wanted: JSON, location: str) -> JSON:
        """Return the rule's properties; flows have to lead somewhere, and workspaces to be there."""
        destinations = {kind: entries for kind, entries in (wanted.get("destinations") or {}).items() if entries}
        shown = dict(destinations)
        for kind, of, key in (
            ("logAnalytics", "workspaceResourceId", "workspaceId"),
            ("monitoringAccounts", "accountResourceId", "accountId"),
        ):
            if kind in destinations:
                shown[kind] = [
                    {**destination, key: _key(call, str(destination.get(of) or ""))}
                    for destination in destinations[kind]
                ]
        names = {str(destination.get("name")) for destination in _named(destinations)}
        for flow in wanted.get("dataFlows") or []:
            lost = sorted(set(flow.get("destinations") or []) - names)
            if lost:
                raise Refusal(
                    400,
                    "InvalidPayload",
                    f"Data collection rule is invalid: the data flow's destination '{lost[0]}' is not declared.",
                )
        endpoint = wanted.get("dataCollectionEndpointId")
        if endpoint and call.world.store.get(endpoint) is None:
            raise Refusal(400, "InvalidPayload", f"The data collection endpoint '{endpoint}' was not found.")
        return {**wanted, "destinations": shown, "immutableId": f"dcr-{_digest(call.id)}"}

    def delete(self, call: Call) -> Answer:
        """Answer a DELETE; a rule that holds for something stays (that it does is our reading of Azure)."""
        for association in _associated(call.world, call.id):
            raise Refusal(
                409, "Conflict", f"The data collection rule is associated with a resource: '{association.id}'."
            )
        return super().delete(call)


class DataCollectionEndpoints(_Monitored):
    """A data collection endpoint; nothing listens there."""

    type = ENDPOINTS
    name = "DataCollectionEndpointResource"
    properties = ENDPOINT_PROPERTIES

    def filled(self, call: Call, wanted: JSON, location: str) -> JSON:
        """Return the endpoint's properties, with addresses as Azure's look."""
        digest = _digest(call.id)
        host = f"https://{call.target.names[-1].lower()}-{digest[:4]}.{location}-1"
        return {
            "networkAcls": {"publicNetworkAccess": "Enabled"},
            **wanted,
            "immutableId": f"dce-{digest}",
            "configurationAccess": {"endpoint": f"{host}.handler.control.monitor.azure.com"},
            "logsIngestion": {"endpoint": f"{host}.ingest.monitor.azure.com"},
            "metricsIngestion": {"endpoint": f"{host}.metrics.ingest.monitor.azure.com"},
        }


class DataCollectionRuleAssociations(Kind):
    """What a rule holds for."""

    type = ASSOCIATIONS
    parents = frozenset({CLUSTERS.lower()})
    asynchronous = False

    def shape(self) -> Object:
        """Return the published shape; az sends a location with it, which the shape hasn't."""
        properties = Field(ASSOCIATION_PROPERTIES, required=True)
        fields = {**ENVELOPE, "etag": READ_ONLY, "location": Field(STRING), "properties": properties}
        return Object("DataCollectionRuleAssociationProxyOnlyResource", fields)

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return what a PUT wants: one rule, or one endpoint, which is there."""
        wanted = without_nulls(body["properties"])
        named = [key for key in ("dataCollectionRuleId", "dataCollectionEndpointId") if wanted.get(key)]
        if len(named) != 1:
            raise Refusal(
                400,
                "InvalidPayload",
                "An association has either 'dataCollectionRuleId' or 'dataCollectionEndpointId'.",
            )
        if call.world.store.get(wanted[named[0]]) is None:
            raise Refusal(404, "ResourceNotFound", f"The resource '{wanted[named[0]]}' was not found.")
        return plain(call, self.type, existing, {"properties": {**wanted, "provisioningState": "Succeeded"}})


class AssociationsOfRule(Kind):
    """The list of what a rule holds for: `{rule}/associations`."""

    type = f"{RULES}/associations"
    asynchronous = False

    def shape(self) -> Object:
        """Return an association's shape."""
        return DataCollectionRuleAssociations().shape()

    def list(self, call: Call) -> Answer:
        """Answer a GET."""
        rule = f"{call.target.scope}/providers/{RULES}/{call.target.names[0]}"
        if call.world.store.get(rule) is None:
            raise Refusal(404, "ResourceNotFound", f"The Resource '{rule}' was not found.")
        return Answer(
            200, {"value": [association.body for association in _associated(call.world, rule)], "nextLink": None}
        )

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Refuse: the list is only read."""
        del body, existing
        raise method_not_allowed(call.request, call.full_type)


class Workspaces(_Monitored):
    """A Log Analytics workspace; nothing is in it."""

    type = WORKSPACES
    name = "Workspace"
    properties = WORKSPACE_PROPERTIES

    def filled(self, call: Call, wanted: JSON, location: str) -> JSON:
        """Return the workspace's properties."""
        return {"sku": {"name": "PerGB2018"}, "retentionInDays": 30, **wanted, **_workspace_of(call.id)}


class Accounts(_Monitored):
    """An Azure Monitor workspace; nothing is in it."""

    type = ACCOUNTS
    name = "AzureMonitorWorkspaceResource"
    properties = ACCOUNT_PROPERTIES

    def filled(self, call: Call, wanted: JSON, location: str) -> JSON:
        """Return the workspace's properties."""
        return {"publicNetworkAccess": "Enabled", **wanted, **_account_of(call.id)}


def foreign_workspace(world: World, request: Request) -> Answer | None:
    """Answer a GET of a workspace in another subscription, as if it were there; None: it's another request."""
    target = ids.parse(request.path)
    if target is None or request.method != "GET" or target.is_collection or target.is_extension:
        return None
    resource_type = {name.lower(): name for name in (WORKSPACES, ACCOUNTS)}.get(target.type)
    if resource_type is None or target.group is None:
        return None
    id = f"{target.scope}/providers/{resource_type}/{target.names[-1]}"
    properties = _workspace_of(id) if resource_type == WORKSPACES else _account_of(id)
    shown = {
        "id": id,
        "name": target.names[-1],
        "type": resource_type,
        "location": world.settings.location,
        "tags": {},
        "properties": {**properties, "provisioningState": "Succeeded"},
    }
    return Answer(200, shown)


def _workspace_of(id: str) -> JSON:
    return {"customerId": _uuid(id)}


def _account_of(id: str) -> JSON:
    query = f"https://{id.rpartition('/')[2].lower()}-{_digest(id)[:4]}.prometheus.monitor.azure.com"
    return {
        "accountId": _uuid(id),
        "metrics": {"prometheusQueryEndpoint": query, "internalId": f"mac_{_uuid(id)}"},
    }


def _key(call: Call, id: str) -> str:
    """Return the own id of a workspace that a rule names."""
    own = f"/subscriptions/{call.world.settings.subscription_id}/".lower()
    if not id or (id.lower().startswith(own) and call.world.store.get(id) is None):
        raise Refusal(400, "InvalidPayload", f"Data collection rule is invalid: '{id}' was not found.")
    return _uuid(id)


def _named(destinations: JSON) -> Iterator[dict[str, Any]]:
    for entries in destinations.values():
        yield from entries if isinstance(entries, list) else [entries]


def _associated(world: World, rule: str) -> list[Resource]:
    return [
        association
        for association in world.store.of_type(ASSOCIATIONS)
        if str(association.properties.get("dataCollectionRuleId", "")).lower() == rule.lower()
    ]


def _digest(id: str) -> str:
    return hashlib.sha256(id.lower().encode()).hexdigest()[:32]


def _uuid(id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"azlocal:{id.lower()}"))
