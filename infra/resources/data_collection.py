"""What Azure Monitor needs beside an extension: a data collection rule, its association, an endpoint."""

from __future__ import annotations

import json
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from infra.model.azure import CollectedData
from infra.resources.contract import IGNORE, REPLACE, UPDATE, Contract
from infra.resources.on_cluster import OnCluster

ASSOCIATION_NAMES: Final = {
    "logs": "ContainerInsightsExtension",
    "metrics": "ContainerInsightsMetricsExtension-Arc",
}
"""What the association is called: the extension's agents ask for it by that name."""


def _is_object(text: str) -> str:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"this isn't JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError("a JSON object is needed")  # noqa: TRY004 - of the validator's kind
    return text


JsonObject = Annotated[str, AfterValidator(_is_object)]


class DataCollectionInputs(OnCluster):
    """What the program says of a collection."""

    name: Annotated[str, REPLACE] = Field(description="The association's, which the extension's agents ask for")
    collects: Annotated[CollectedData, REPLACE]
    workspace_id: Annotated[str, REPLACE] = Field(
        description="ARM id: of a Log Analytics workspace for logs, of an Azure Monitor workspace for metrics"
    )
    settings: Annotated[JsonObject | None, UPDATE] = Field(
        default=None, description="Of logs: the extension's dataCollectionSettings, a JSON object"
    )
    tags: Annotated[dict[str, str], UPDATE] = Field(default_factory=dict)
    register_providers: Annotated[bool, IGNORE] = Field(
        default=False, description="Register Microsoft.Insights where the subscription lacks it"
    )
    complete: Annotated[bool, UPDATE] = Field(
        default=True, description="All of it is there and as it was wanted; drift where it isn't"
    )


class DataCollectionState(DataCollectionInputs):
    """The collection as it stands."""

    rule_id: str
    endpoint_id: str | None = None
    workspace_key: str | None = Field(default=None, description="Of logs: the workspace's own id (customerId)")


DATA_COLLECTION = Contract(
    "azlocal:index:DataCollection",
    DataCollectionInputs,
    DataCollectionState,
    "What Azure Monitor needs to collect from a connected cluster: a rule, its association, an endpoint.",
    "{clusterId}/providers/Microsoft.Insights/dataCollectionRuleAssociations/{name}",
)
