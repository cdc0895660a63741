"""What Azure Monitor's resources look like: the shapes that Microsoft publishes.

Azure/azure-rest-api-specs: Microsoft.Insights 2022-06-01 (dataCollectionRules, dataCollectionEndpoints,
dataCollectionRuleAssociations), Microsoft.OperationalInsights 2022-10-01 (workspaces), Microsoft.Monitor
2023-04-03 (accounts). What those leave open stays open here: data sources, data flows.
"""

from __future__ import annotations

from typing import Final

from infra.emulator.arm.other_kinds import ENVELOPE
from infra.emulator.shapes import ANY, STRING, Choice, Field, ListOf, MapOf, Object, Scalar

READ_ONLY: Final = Field(STRING, read_only=True)
_ADDRESS: Final = Field(Object("EndpointSpec", {"endpoint": READ_ONLY}))
TAGS: Final = Field(MapOf(STRING))
TRACKED: Final = {
    **ENVELOPE,
    "etag": READ_ONLY,
    "location": Field(STRING, required=True),
    "tags": TAGS,
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
    {"name": Field(STRING), "workspaceResourceId": Field(STRING), "workspaceId": READ_ONLY},
)
_ACCOUNT: Final = Object(
    "MonitoringAccountDestination",
    {"name": Field(STRING), "accountResourceId": Field(STRING), "accountId": READ_ONLY},
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
RULE_PROPERTIES: Final = Object(
    "DataCollectionRule",
    {
        "description": Field(STRING),
        "immutableId": READ_ONLY,
        "dataCollectionEndpointId": Field(STRING),
        "metadata": Field(ANY, read_only=True),
        "streamDeclarations": Field(MapOf(ANY)),
        "dataSources": Field(_SOURCES),
        "destinations": Field(_DESTINATIONS),
        "dataFlows": Field(ListOf(_FLOW)),
        "provisioningState": READ_ONLY,
    },
)
ENDPOINT_PROPERTIES: Final = Object(
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
        "provisioningState": READ_ONLY,
        "privateLinkScopedResources": Field(ListOf(ANY), read_only=True),
        "failoverConfiguration": Field(ANY, read_only=True),
        "metadata": Field(ANY, read_only=True),
    },
)
ASSOCIATION_PROPERTIES: Final = Object(
    "DataCollectionRuleAssociation",
    {
        "description": Field(STRING),
        "dataCollectionRuleId": Field(STRING),
        "dataCollectionEndpointId": Field(STRING),
        "provisioningState": READ_ONLY,
        "metadata": Field(ANY, read_only=True),
    },
)
WORKSPACE_PROPERTIES: Final = Object(
    "WorkspaceProperties",
    {
        "provisioningState": READ_ONLY,
        "customerId": READ_ONLY,
        "sku": Field(ANY),
        "retentionInDays": Field(Scalar("integer")),
        "workspaceCapping": Field(ANY),
        "createdDate": READ_ONLY,
        "modifiedDate": READ_ONLY,
        "publicNetworkAccessForIngestion": Field(STRING),
        "publicNetworkAccessForQuery": Field(STRING),
        "forceCmkForQuery": Field(Scalar("boolean")),
        "privateLinkScopedResources": Field(ListOf(ANY), read_only=True),
        "features": Field(ANY),
        "defaultDataCollectionRuleResourceId": Field(STRING),
    },
)
ACCOUNT_PROPERTIES: Final = Object(
    "AzureMonitorWorkspace",
    {
        "accountId": READ_ONLY,
        "metrics": Field(ANY, read_only=True),
        "provisioningState": READ_ONLY,
        "defaultIngestionSettings": Field(ANY, read_only=True),
        "privateEndpointConnections": Field(ListOf(ANY), read_only=True),
        "publicNetworkAccess": Field(Choice(("Enabled", "Disabled"))),
    },
)
