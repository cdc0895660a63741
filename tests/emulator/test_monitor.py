"""Azure Monitor's resources in the emulator, as az makes them for an extension; answers are held to the shapes."""

from __future__ import annotations

from typing import Any

import pytest

from infra.emulator.arm.monitor import ACCOUNTS, WORKSPACES
from tests.emulator.azure_sdk import SHAPES, Azure
from tests.emulator.responses import faults_of_response

V = "api-version=2022-06-01"
ELSEWHERE = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/r/providers"
LOGS = f"{ELSEWHERE}/{WORKSPACES}/w"
METRICS = f"{ELSEWHERE}/{ACCOUNTS}/m"


def at(azure: Azure, group: str, kind: str, name: str) -> str:
    return f"/subscriptions/{azure.subscription}/resourceGroups/{group}/providers/{kind}/{name}"


def rule_body(**more: Any) -> dict[str, Any]:
    """Return the body of ContainerInsights.py's `_ensure_container_insights_dcr_for_monitoring`."""
    streams = ["Microsoft-ContainerInsights-Group-Default"]
    return {
        "location": "eastus",
        "tags": {},
        "kind": "Linux",
        "properties": {
            "dataSources": {
                "extensions": [
                    {
                        "name": "ContainerInsightsExtension",
                        "streams": streams,
                        "extensionName": "ContainerInsights",
                        "extensionSettings": {"dataCollectionSettings": {"interval": "1m"}},
                    }
                ]
            },
            "dataFlows": [{"streams": streams, "destinations": ["la-workspace"]}],
            "destinations": {"logAnalytics": [{"workspaceResourceId": LOGS, "name": "la-workspace"}]},
            **more,
        },
    }


def asked(azure: Azure, method: str, path: str, body: Any = None) -> Any:
    """Ask ARM; the answer has to have the published shape."""
    status, said, _ = azure.arm(method, path, body)
    assert status in (200, 201), said
    for one in said.get("value", [said]) if isinstance(said, dict) else []:
        shape = SHAPES[one["type"].lower()]()
        assert list(faults_of_response(shape, one)) == []
    return said


def code_of(answer: tuple[int, Any, Any]) -> tuple[int, str]:
    return answer[0], str(answer[1]["error"]["code"])


def test_what_az_makes_for_container_insights(azure: Azure, group: str) -> None:
    azure.connect(group, "a")
    rule = at(azure, group, "Microsoft.Insights/dataCollectionRules", "MSCI-eastus-a")
    made = asked(azure, "PUT", f"{rule}?{V}", rule_body())
    (destination,) = made["properties"]["destinations"]["logAnalytics"]
    assert len(destination["workspaceId"]) == 36
    assert made["properties"]["immutableId"].startswith("dcr-")
    held = f"{azure.cluster_id(group, 'a')}/providers/Microsoft.Insights/dataCollectionRuleAssociations"
    association = {
        "location": "eastus",  # which az sends, and the shape hasn't
        "properties": {"dataCollectionRuleId": rule, "description": "routes monitoring data"},
    }
    name = "ContainerInsightsExtension"
    asked(azure, "PUT", f"{held}/{name}?{V}", association)
    assert [one["name"] for one in asked(azure, "GET", f"{held}?{V}")["value"]] == [name]
    assert [one["name"] for one in asked(azure, "GET", f"{rule}/associations?{V}")["value"]] == [name]
    assert code_of(azure.arm("DELETE", f"{rule}?{V}")) == (409, "Conflict")
    assert azure.arm("DELETE", f"{held}/{name}?{V}")[0] == 200
    assert azure.arm("DELETE", f"{held}/{name}?{V}")[0] == 204
    assert azure.arm("DELETE", f"{rule}?{V}")[0] == 200
    assert code_of(azure.arm("GET", f"{rule}/associations?{V}")) == (404, "ResourceNotFound")


def test_what_az_makes_for_managed_prometheus(azure: Azure, group: str) -> None:
    azure.connect(group, "a")
    endpoint = at(azure, group, "Microsoft.Insights/dataCollectionEndpoints", "MSProm-eastus-a")
    body = {"name": "MSProm-eastus-a", "location": "eastus", "kind": "Linux", "properties": {}}
    made = asked(azure, "PUT", f"{endpoint}?{V}", body)
    assert made["properties"]["metricsIngestion"]["endpoint"].endswith(".metrics.ingest.monitor.azure.com")
    rule = at(azure, group, "Microsoft.Insights/dataCollectionRules", "MSProm-eastus-a")
    forwarder = {
        "name": "PrometheusDataSource",
        "streams": ["Microsoft-PrometheusMetrics"],
        "labelIncludeFilter": {},
    }
    wanted = {
        "location": "eastus",
        "kind": "Linux",
        "properties": {
            "dataCollectionEndpointId": endpoint,
            "dataSources": {"prometheusForwarder": [forwarder]},
            "dataFlows": [{"destinations": ["MonitoringAccount1"], "streams": ["Microsoft-PrometheusMetrics"]}],
            "description": "DCR description",
            "destinations": {"monitoringAccounts": [{"accountResourceId": METRICS, "name": "MonitoringAccount1"}]},
        },
    }
    made = asked(azure, "PUT", f"{rule}?{V}", wanted)
    assert len(made["properties"]["destinations"]["monitoringAccounts"][0]["accountId"]) == 36


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataFlows": [{"destinations": ["nowhere"]}]}, "nowhere"),
        ({"dataCollectionEndpointId": "/subscriptions/x"}, "/subscriptions/x"),
        ({"destinations": {"logAnalytics": [{"name": "la-workspace"}]}}, "was not found"),
    ],
    ids=["flow", "endpoint", "workspace"],
)
def test_a_rule_that_leads_nowhere(azure: Azure, group: str, change: dict[str, Any], said: str) -> None:
    rule = at(azure, group, "Microsoft.Insights/dataCollectionRules", "r")
    status, refused, _ = azure.arm("PUT", f"{rule}?{V}", rule_body(**change))
    assert (status, refused["error"]["code"]) == (400, "InvalidPayload")
    assert said in refused["error"]["message"]


def test_an_association_is_of_one_thing_that_is_there(azure: Azure, group: str) -> None:
    azure.connect(group, "a")
    held = f"{azure.cluster_id(group, 'a')}/providers/Microsoft.Insights/dataCollectionRuleAssociations/x?{V}"
    assert code_of(azure.arm("PUT", held, {"properties": {}})) == (400, "InvalidPayload")
    rule = at(azure, group, "Microsoft.Insights/dataCollectionRules", "none")
    assert code_of(azure.arm("PUT", held, {"properties": {"dataCollectionRuleId": rule}})) == (
        404,
        "ResourceNotFound",
    )


@pytest.mark.parametrize(
    ("kind", "version", "key"),
    [
        (WORKSPACES, "2022-10-01", "customerId"),
        (WORKSPACES, "2015-11-01-preview", "customerId"),
        (ACCOUNTS, "2023-04-03", "accountId"),
    ],
    ids=["logs", "logs-az", "metrics"],
)
def test_workspaces_of_ones_own_are_made_and_those_elsewhere_are_there(
    azure: Azure, group: str, kind: str, version: str, key: str
) -> None:
    own = f"{at(azure, group, kind, 'w')}?api-version={version}"
    assert code_of(azure.arm("GET", own)) == (404, "ResourceNotFound")
    made = asked(azure, "PUT", own, {"location": "westeurope", "properties": {}})
    assert asked(azure, "GET", own) == made
    assert made["location"] == "westeurope"
    elsewhere = asked(azure, "GET", f"{ELSEWHERE}/{kind}/w?api-version={version}")
    assert elsewhere["location"] == "eastus"
    assert len({made["properties"][key], elsewhere["properties"][key]}) == 2
    for method, path in (("PUT", f"{ELSEWHERE}/{kind}/w"), ("GET", f"{ELSEWHERE}/Microsoft.X/y/z")):
        assert code_of(azure.arm(method, f"{path}?api-version={version}", {})) == (404, "SubscriptionNotFound")


def test_a_rule_of_an_own_workspace_needs_it(azure: Azure, group: str) -> None:
    workspace = at(azure, group, WORKSPACES, "w")
    rule = f"{at(azure, group, 'Microsoft.Insights/dataCollectionRules', 'r')}?{V}"
    destinations = {"logAnalytics": [{"workspaceResourceId": workspace, "name": "la-workspace"}]}
    body = rule_body(destinations=destinations)
    assert code_of(azure.arm("PUT", rule, body)) == (400, "InvalidPayload")
    made = asked(azure, "PUT", f"{workspace}?api-version=2022-10-01", {"location": "eastus", "properties": {}})
    key = asked(azure, "PUT", rule, body)["properties"]["destinations"]["logAnalytics"][0]["workspaceId"]
    assert key == made["properties"]["customerId"]


def test_the_providers_tell_where_they_are(azure: Azure) -> None:
    found = azure.resources.providers.get("Microsoft.Insights")
    assert found.registration_state == "Registered"
    regions = {one.resource_type: one.locations for one in found.resource_types}
    assert "East US" in regions["dataCollectionRules"]


def test_tags_are_changed(azure: Azure, group: str) -> None:
    rule = f"{at(azure, group, 'Microsoft.Insights/dataCollectionRules', 'r')}?{V}"
    asked(azure, "PUT", rule, rule_body())
    assert asked(azure, "PATCH", rule, {"tags": {"a": "b"}})["tags"] == {"a": "b"}
