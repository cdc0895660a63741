"""Azure Monitor, as far as extensions that send it something need it: rules, endpoints, associations, workspaces.

Nothing is collected. Shapes: Azure/azure-rest-api-specs: Microsoft.Insights 2022-06-01 (dataCollectionRules,
dataCollectionEndpoints, dataCollectionRuleAssociations), Microsoft.OperationalInsights 2022-10-01 (workspaces),
Microsoft.Monitor 2023-04-03 (accounts). What those leave open stays open here: data sources, data flows.

A workspace of another subscription than the emulator's own is taken to be there: a stack that is rehearsed names
the real one, of which the emulator can't know. One of its own subscription has to be made first.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from infra.arc.emulator.arm import ids
from infra.arc.emulator.arm.call import Call
from infra.arc.emulator.arm.kind import Kind, method_not_allowed, without_nulls
from infra.arc.emulator.arm.other_kinds import ENVELOPE, plain
from infra.arc.emulator.connectivity import CLUSTERS
from infra.arc.emulator.http import JSON, Answer, Refusal, Request
from infra.arc.emulator.shapes import ANY, STRING, Choice, Field, ListOf, MapOf, Object, Scalar
from infra.arc.emulator.store import Resource
from infra.arc.emulator.world import World

RULES: Final = "Microsoft.Insights/dataCollectionRules"
ENDPOINTS: Final = "Microsoft.Insights/dataCollectionEndpoints"
ASSOCIATIONS: Final = "Microsoft.Insights/dataCollectionRuleAssociations"
WORKSPACES: Final = "Microsoft.OperationalInsights/workspaces"
ACCOUNTS: Final = "Microsoft.Monitor/accounts"

_READ_ONLY: Final = Field(STRING, read_only=True)
_ADDRESS: Final = Field(Object("EndpointSpec", {"endpoint": _READ_ONLY}))
_TAGS: Final = Field(MapOf(STRING))
_TRACKED: Final = {
    **ENVELOPE,
    "etag": _READ_ONLY,
    "location": Field(STRING, required=True),
    "tags": _TAGS,
    "kind": Field(Choice(("Linux", "Windows"))),
    "sku": Field(ANY),
    "identity": Field(ANY),
}
_FLOW: Final = Object(
    "DataFlow",
    {
        "streams": Field(ListOf(STRING)),
        "destinations": Field(ListOf(STRING)),
        "transformKql": Field(STRING),
        "outputStream": Field(STRING),
        "builtInTransform": Field(STRING),
    },
)
_SOURCE: Final = Object(
    "ExtensionDataSource",
    {
        "name": Field(STRING),
        "streams": Field(ListOf(STRING)),
        "extensionName": Field(STRING, required=True),
        "extensionSettings": Field(ANY),
        "inputDataSources": Field(ListOf(STRING)),
    },
)
_FORWARDER: Final = Object(
    "PrometheusForwarderDataSource",
    {"name": Field(STRING), "streams": Field(ListOf(STRING)), "labelIncludeFilter": Field(MapOf(STRING))},
)
_SOURCES: Final = Object(
    "DataSourcesSpec",
    {
        "extensions": Field(ListOf(_SOURCE)),
        "prometheusForwarder": Field(ListOf(_FORWARDER)),
        **{
            name: Field(ListOf(ANY))
            for name in (
                *("performanceCounters", "windowsEventLogs", "syslog", "logFiles"),
                *("iisLogs", "windowsFirewallLogs", "platformTelemetry"),
            )
        },
        "dataImports": Field(ANY),
    },
)
_LOGS: Final = Object(
    "LogAnalyticsDestination",
    {"name": Field(STRING), "workspaceResourceId": Field(STRING), "workspaceId": _READ_ONLY},
)
_ACCOUNT: Final = Object(
    "MonitoringAccountDestination",
    {"name": Field(STRING), "accountResourceId": Field(STRING), "accountId": _READ_ONLY},
)
_DESTINATIONS: Final = Object(
    "DestinationsSpec",
    {
        "logAnalytics": Field(ListOf(_LOGS)),
        "monitoringAccounts": Field(ListOf(_ACCOUNT)),
        "azureMonitorMetrics": Field(ANY),
        **{
            name: Field(ListOf(ANY))
            for name in (
                *("eventHubs", "eventHubsDirect", "storageBlobsDirect"),
                *("storageTablesDirect", "storageAccounts"),
            )
        },
    },
)
_RULE_PROPERTIES: Final = Object(
    "DataCollectionRule",
    {
        "description": Field(STRING),
        "immutableId": _READ_ONLY,
        "dataCollectionEndpointId": Field(STRING),
        "metadata": Field(ANY, read_only=True),
        "streamDeclarations": Field(MapOf(ANY)),
        "dataSources": Field(_SOURCES),
        "destinations": Field(_DESTINATIONS),
        "dataFlows": Field(ListOf(_FLOW)),
        "provisioningState": _READ_ONLY,
    },
)
_ENDPOINT_PROPERTIES: Final = Object(
    "DataCollectionEndpoint",
    {
        "description": Field(STRING),
        "immutableId": Field(STRING),
        "configurationAccess": _ADDRESS,
        "logsIngestion": _ADDRESS,
        "metricsIngestion": _ADDRESS,
        "networkAcls": Field(
            Object(
                "NetworkRuleSet",
                {"publicNetworkAccess": Field(Choice(("Enabled", "Disabled", "SecuredByPerimeter")))},
            )
        ),
        "provisioningState": _READ_ONLY,
        "privateLinkScopedResources": Field(ListOf(ANY), read_only=True),
        "failoverConfiguration": Field(ANY, read_only=True),
        "metadata": Field(ANY, read_only=True),
    },
)
_ASSOCIATION_PROPERTIES: Final = Object(
    "DataCollectionRuleAssociation",
    {
        "description": Field(STRING),
        "dataCollectionRuleId": Field(STRING),
        "dataCollectionEndpointId": Field(STRING),
        "provisioningState": _READ_ONLY,
        "metadata": Field(ANY, read_only=True),
    },
)
_WORKSPACE_PROPERTIES: Final = Object(
    "WorkspaceProperties",
    {
        "provisioningState": _READ_ONLY,
        "customerId": _READ_ONLY,
        "sku": Field(ANY),
        "retentionInDays": Field(Scalar("integer")),
        "workspaceCapping": Field(ANY),
        "createdDate": _READ_ONLY,
        "modifiedDate": _READ_ONLY,
        "publicNetworkAccessForIngestion": Field(STRING),
        "publicNetworkAccessForQuery": Field(STRING),
        "forceCmkForQuery": Field(Scalar("boolean")),
        "privateLinkScopedResources": Field(ListOf(ANY), read_only=True),
        "features": Field(ANY),
        "defaultDataCollectionRuleResourceId": Field(STRING),
    },
)
_ACCOUNT_PROPERTIES: Final = Object(
    "AzureMonitorWorkspace",
    {
        "accountId": _READ_ONLY,
        "metrics": Field(ANY, read_only=True),
        "provisioningState": _READ_ONLY,
        "defaultIngestionSettings": Field(ANY, read_only=True),
        "privateEndpointConnections": Field(ListOf(ANY), read_only=True),
        "publicNetworkAccess": Field(Choice(("Enabled", "Disabled"))),
    },
)


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
        return Object(self.name, {**_TRACKED, "properties": Field(self.properties)})

    def patch_shape(self) -> Object | None:
        """Return ResourceForUpdate's shape."""
        return Object("ResourceForUpdate", {"tags": _TAGS, "identity": Field(ANY)})

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
    properties = _RULE_PROPERTIES

    def filled(self, call: Call, wanted: JSON, location: str) -> JSON:
        """Return the rule's properties; flows have to lead somewhere, and workspaces to be there."""
        destinations = {kind: one for kind, one in (wanted.get("destinations") or {}).items() if one}
        shown = dict(destinations)
        for kind, of, key in (
            ("logAnalytics", "workspaceResourceId", "workspaceId"),
            ("monitoringAccounts", "accountResourceId", "accountId"),
        ):
            if kind in destinations:
                shown[kind] = [{**one, key: _key(call, str(one.get(of) or ""))} for one in destinations[kind]]
        names = {str(one.get("name")) for one in _named(destinations)}
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
        for one in _associated(call.world, call.id):
            raise Refusal(409, "Conflict", f"The data collection rule is associated with a resource: '{one.id}'.")
        return super().delete(call)


class DataCollectionEndpoints(_Monitored):
    """A data collection endpoint; nothing listens there."""

    type = ENDPOINTS
    name = "DataCollectionEndpointResource"
    properties = _ENDPOINT_PROPERTIES

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
        properties = Field(_ASSOCIATION_PROPERTIES, required=True)
        fields = {**ENVELOPE, "etag": _READ_ONLY, "location": Field(STRING), "properties": properties}
        return Object("DataCollectionRuleAssociationProxyOnlyResource", fields)

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return what a PUT wants: one rule, or one endpoint, which is there."""
        wanted = without_nulls(body["properties"])
        named = [one for one in ("dataCollectionRuleId", "dataCollectionEndpointId") if wanted.get(one)]
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
        return Answer(200, {"value": [one.body for one in _associated(call.world, rule)], "nextLink": None})

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Refuse: the list is only read."""
        del body, existing
        raise method_not_allowed(call.request, call.full_type)


class Workspaces(_Monitored):
    """A Log Analytics workspace; nothing is in it."""

    type = WORKSPACES
    name = "Workspace"
    properties = _WORKSPACE_PROPERTIES

    def filled(self, call: Call, wanted: JSON, location: str) -> JSON:
        """Return the workspace's properties."""
        return {"sku": {"name": "PerGB2018"}, "retentionInDays": 30, **wanted, **_workspace_of(call.id)}


class Accounts(_Monitored):
    """An Azure Monitor workspace; nothing is in it."""

    type = ACCOUNTS
    name = "AzureMonitorWorkspaceResource"
    properties = _ACCOUNT_PROPERTIES

    def filled(self, call: Call, wanted: JSON, location: str) -> JSON:
        """Return the workspace's properties."""
        return {"publicNetworkAccess": "Enabled", **wanted, **_account_of(call.id)}


def foreign_workspace(world: World, request: Request) -> Answer | None:
    """Answer a GET of a workspace in another subscription, as if it were there; None: it's another request."""
    target = ids.parse(request.path)
    if target is None or request.method != "GET" or target.is_collection or target.is_extension:
        return None
    found = {one.lower(): one for one in (WORKSPACES, ACCOUNTS)}.get(target.type)
    if found is None or target.group is None:
        return None
    id = f"{target.scope}/providers/{found}/{target.names[-1]}"
    properties = _workspace_of(id) if found == WORKSPACES else _account_of(id)
    shown = {
        "id": id,
        "name": target.names[-1],
        "type": found,
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
    for one in destinations.values():
        yield from one if isinstance(one, list) else [one]


def _associated(world: World, rule: str) -> list[Resource]:
    return [
        one
        for one in world.store.of_type(ASSOCIATIONS)
        if str(one.properties.get("dataCollectionRuleId", "")).lower() == rule.lower()
    ]


def _digest(id: str) -> str:
    return hashlib.sha256(id.lower().encode()).hexdigest()[:32]


def _uuid(id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"azlocal:{id.lower()}"))
