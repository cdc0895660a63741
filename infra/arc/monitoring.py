"""What Azure Monitor needs beside an extension, or the extension collects nothing.

A data collection rule says what is collected and into which workspace it goes; metrics have an endpoint of their
own; an association lets the rule hold for a cluster. `az k8s-extension create` makes the same under the same
names, so that what it has made is taken over, and what we made it finds.

Sources: Azure/azure-cli-extensions, src/k8s-extension/azext_k8s_extension/partner_extensions: ContainerInsights.py
and azuremonitormetrics/dc/; Azure/azure-rest-api-specs, Microsoft.Insights 2022-06-01.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from infra.arc.azure import Azure
from infra.arc.bodies import is_within
from infra.arc.cluster_resources import Body, parse_arm_id
from infra.arc.errors import ArcError
from infra.model.azure import CollectedData
from infra.model.azure_regions import short_location
from infra.model.work import Work

INSIGHTS: Final = "Microsoft.Insights"
ASSOCIATIONS: Final = f"{INSIGHTS}/dataCollectionRuleAssociations"
_VERSION: Final = "2022-06-01"
_RULE: Final = "dataCollectionRules"
_REGISTERED: Final = ("Registered", "Registering")
_RULE_LENGTH: Final = 64
_ENDPOINT_LENGTH: Final = 44
_LOGS_STREAMS: Final = ("Microsoft-ContainerInsights-Group-Default",)
_METRICS_STREAM: Final = "Microsoft-PrometheusMetrics"


@dataclass(frozen=True)
class _Workspace:
    """Where something is collected into.

    Attributes:
        what: What Azure calls it.
        version: Of its API.
        prefix: What names of rules and endpoints begin with.
        description: Of the association.
    """

    what: str
    version: str
    prefix: str
    description: str


_WORKSPACES: Final[Mapping[CollectedData, _Workspace]] = {
    "logs": _Workspace(
        "Log Analytics workspace", "2022-10-01", "MSCI", "routes monitoring data to a Log Analytics workspace"
    ),
    "metrics": _Workspace(
        "Azure Monitor workspace",
        "2023-04-03",
        "MSProm",
        "routes Prometheus metrics to an Azure Monitor workspace",
    ),
}


@dataclass(frozen=True)
class CollectionWanted:
    """What is to be collected of a cluster.

    Attributes:
        cluster_id: The connected cluster's ARM id.
        association: The association's name, by which the agents of the extension know it.
        collects: Logs and metrics of containers, or Prometheus metrics.
        workspace_id: ARM id of the workspace; it may be in another subscription.
        settings: Of Container Insights: `dataCollectionSettings`, as the extension has them.
        tags: Of the rule and the endpoint, over those that stand there.
    """

    cluster_id: str
    association: str
    collects: CollectedData
    workspace_id: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def association_id(self) -> str:
        """Return the association's ARM id."""
        return f"{self.cluster_id}/providers/{ASSOCIATIONS}/{self.association}"


@dataclass(frozen=True)
class Collection:
    """What stands.

    Attributes:
        rule_id: The data collection rule.
        endpoint_id: The data collection endpoint; None for logs.
        workspace_key: The workspace's own id, which agents of Container Insights are given; None for metrics.
        is_complete: Whether all of it is there, and as it was wanted.
    """

    rule_id: str
    endpoint_id: str | None
    workspace_key: str | None
    is_complete: bool


def establish(azure: Azure, wanted: CollectionWanted, *, may_register: bool, work: Work) -> Collection:
    """Make what is missing, and of what stands what is wanted.

    Args:
        azure: The cluster's resource group, where rule and endpoint go.
        wanted: What.
        may_register: Whether Microsoft.Insights may be registered where the subscription lacks it.
        work: Of each request.

    Raises:
        ArcError: There is no such workspace, its region has no data collection rules, or the provider isn't
            registered; or Azure refuses.
    """
    _require_provider(azure, may_register=may_register, work=work)
    workspace = _workspace(azure, wanted)
    region, cluster = short_location(str(workspace.get("location") or "")), _cluster_name(wanted)
    _require_offered(azure, region, _WORKSPACES[wanted.collects].what)
    rule_id = _id(azure, _RULE, _rule_name(wanted.collects, region, cluster))
    endpoint_id = None
    if wanted.collects == "metrics":
        endpoint_id = _id(azure, "dataCollectionEndpoints", _endpoint_name(region, cluster))
        _put(azure, endpoint_id, _endpoint_body(region, wanted.tags), work=work)
    _put(azure, rule_id, _rule_body(wanted, region, endpoint_id), work=work)
    _put(azure, wanted.association_id, _association_body(wanted, rule_id), work=work)
    return Collection(rule_id, endpoint_id, _key(wanted.collects, workspace), is_complete=True)


def observe(azure: Azure, wanted: CollectionWanted, known: Collection) -> Collection | None:
    """Return what stands of a collection that was made; None where neither rule nor association is there."""
    association = azure.get_resource(wanted.association_id, _VERSION)
    rule = azure.get_resource(known.rule_id, _VERSION)
    if association is None and rule is None:
        return None
    endpoint = azure.get_resource(known.endpoint_id, _VERSION) if known.endpoint_id else None
    is_complete = (
        association is not None
        and is_within(_association_body(wanted, known.rule_id), association)
        and rule is not None
        and is_within(_rule_body(wanted, str(rule.get("location")), known.endpoint_id), rule)
        and (endpoint is not None or known.endpoint_id is None)
    )
    return Collection(known.rule_id, known.endpoint_id, known.workspace_key, is_complete)


def remove(azure: Azure, wanted: CollectionWanted, known: Collection, work: Work) -> str:
    """Remove what was made; return why the rule stays, while it holds for others; empty: it is gone."""
    azure.delete_resource(wanted.association_id, _VERSION, work=work)
    if azure.get_resource(known.rule_id, _VERSION) is not None:
        others = azure.list_resources(f"{known.rule_id}/associations", _VERSION)
        if others:
            return (
                f"{known.rule_id} stays: it holds for "
                f"{', '.join(sorted(str(other.get('id')) for other in others))}"
            )
        azure.delete_resource(known.rule_id, _VERSION, work=work)
    if known.endpoint_id:
        azure.delete_resource(known.endpoint_id, _VERSION, work=work)
    return ""


def found_at(azure: Azure, association_id: str) -> tuple[CollectionWanted, Collection] | None:
    """Return a collection that somebody made, by its association's id; None where there is none of ours.

    What was set of it is read from the rule.
    """
    association = azure.get_resource(association_id, _VERSION)
    rule_id = str(_inside(association, "properties").get("dataCollectionRuleId") or "")
    rule = azure.get_resource(rule_id, _VERSION) if rule_id else None
    destinations = _inside(_inside(rule, "properties"), "destinations")
    logs, metrics = destinations.get("logAnalytics") or [], destinations.get("monitoringAccounts") or []
    if rule is None or not (logs or metrics):
        return None
    cluster_id, _, association_name = association_id.rpartition(f"/providers/{ASSOCIATIONS}/")
    collects: CollectedData = "metrics" if metrics else "logs"
    workspace = str(metrics[0].get("accountResourceId") if metrics else logs[0].get("workspaceResourceId"))
    sources = _inside(_inside(rule, "properties"), "dataSources").get("extensions") or [{}]
    wanted = CollectionWanted(
        cluster_id,
        association_name,
        collects,
        workspace,
        dict(_inside(_inside(sources[0], "extensionSettings"), "dataCollectionSettings")),
        dict(rule.get("tags") or {}),
    )
    endpoint = _inside(rule, "properties").get("dataCollectionEndpointId")
    key = _key(collects, azure.get_resource(workspace, _WORKSPACES[collects].version) or {})
    return wanted, Collection(rule_id, str(endpoint) if endpoint else None, key, is_complete=True)


def _workspace(azure: Azure, wanted: CollectionWanted) -> Body:
    kind = _WORKSPACES[wanted.collects]
    workspace = azure.get_resource(wanted.workspace_id, kind.version)
    if workspace is None:
        raise ArcError(
            "monitor-workspace", f"there is no {kind.what} {wanted.workspace_id}", "make it, or correct the id"
        )
    return workspace


def _require_provider(azure: Azure, *, may_register: bool, work: Work) -> None:
    state = azure.provider_state(INSIGHTS)
    if state in _REGISTERED:
        return
    if not may_register:
        raise ArcError(
            "provider-not-registered",
            f"subscription {azure.scope.subscription_id} hasn't registered {INSIGHTS} ({state or 'unknown'})",
            f"az provider register --namespace {INSIGHTS}, or let azlocal do it (registerProviders: true)",
        )
    azure.register(INSIGHTS, work=work)


def _require_offered(azure: Azure, region: str, what: str) -> None:
    offered = azure.locations(INSIGHTS, _RULE)
    if offered and region not in offered:
        raise ArcError(
            "monitor-location",
            f"data collection rules aren't offered in {region}, where the {what} is",
            f"use one in {', '.join(sorted(offered))}",
        )


def _put(azure: Azure, id: str, body: Body, work: Work) -> None:
    """Make a resource what is wanted; one that is stays untouched, and tags of others stay on it."""
    existing = azure.get_resource(id, _VERSION)
    if existing is not None and is_within(body, existing):
        return
    if "tags" in body:
        body = {**body, "tags": {**((existing or {}).get("tags") or {}), **body["tags"]}}
    azure.put_resource(id, _VERSION, body, work=work)


def _rule_body(wanted: CollectionWanted, region: str, endpoint_id: str | None) -> Body:
    properties = _logs(wanted) if wanted.collects == "logs" else _metrics(wanted, endpoint_id)
    return {"location": region, "kind": "Linux", "tags": dict(wanted.tags), "properties": properties}


def _logs(wanted: CollectionWanted) -> Body:
    streams = list(wanted.settings.get("streams") or _LOGS_STREAMS)
    source: Body = {"name": "ContainerInsightsExtension", "extensionName": "ContainerInsights", "streams": streams}
    settings = {"dataCollectionSettings": dict(wanted.settings)} if wanted.settings else {}
    return {
        "dataSources": {"extensions": [{**source, "extensionSettings": settings}]},
        "destinations": {"logAnalytics": [{"name": "la-workspace", "workspaceResourceId": wanted.workspace_id}]},
        "dataFlows": [{"streams": streams, "destinations": ["la-workspace"]}],
    }


def _metrics(wanted: CollectionWanted, endpoint_id: str | None) -> Body:
    streams, account = [_METRICS_STREAM], "MonitoringAccount1"
    source = {"name": "PrometheusDataSource", "streams": streams, "labelIncludeFilter": {}}
    destination = {"name": account, "accountResourceId": wanted.workspace_id}
    return {
        "dataCollectionEndpointId": endpoint_id,
        "dataSources": {"prometheusForwarder": [source]},
        "destinations": {"monitoringAccounts": [destination]},
        "dataFlows": [{"streams": streams, "destinations": [account]}],
    }


def _endpoint_body(region: str, tags: Mapping[str, str]) -> Body:
    return {"location": region, "kind": "Linux", "tags": dict(tags), "properties": {}}


def _association_body(wanted: CollectionWanted, rule_id: str) -> Body:
    description = _WORKSPACES[wanted.collects].description
    return {"properties": {"dataCollectionRuleId": rule_id, "description": description}}


def _rule_name(collects: CollectedData, region: str, cluster: str) -> str:
    name = f"{_WORKSPACES[collects].prefix}-{region}-{cluster}"[:_RULE_LENGTH]
    return name if collects == "logs" else _ending_well(name)


def _endpoint_name(region: str, cluster: str) -> str:
    name = f"{_WORKSPACES['metrics'].prefix}-{region}-{cluster}"[:_ENDPOINT_LENGTH]
    return _ending_well("".join(character for character in name if character.isalnum() or character == "-"))


def _ending_well(name: str) -> str:
    """Return a name that ends with a letter or a digit."""
    while name and not name[-1].isalnum():
        name = name[:-1]
    return name


def _id(azure: Azure, kind: str, name: str) -> str:
    return f"{azure.scope.group_id}/providers/{INSIGHTS}/{kind}/{name}"


def _cluster_name(wanted: CollectionWanted) -> str:
    parts = parse_arm_id(wanted.cluster_id)
    return parts.name if parts else wanted.cluster_id.rpartition("/")[2]


def _key(collects: CollectedData, workspace: Mapping[str, Any]) -> str | None:
    return str(_inside(workspace, "properties").get("customerId") or "") or None if collects == "logs" else None


def _inside(body: Mapping[str, Any] | None, key: str) -> Mapping[str, Any]:
    inner = (body or {}).get(key)
    return inner if isinstance(inner, Mapping) else {}
