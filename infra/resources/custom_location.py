"""A custom location: a namespace of a connected cluster that Azure services deploy to (arc_facts.md §8.6)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.resources.azure_access import AzureAccess
from infra.resources.contract import IGNORE, REPLACE, UPDATE, Contract


class CustomLocationInputs(Model):
    """What the program says of a custom location."""

    access: Annotated[AzureAccess, IGNORE]
    subscription_id: Annotated[str, REPLACE]
    resource_group: Annotated[str, REPLACE]
    name: Annotated[str, REPLACE]
    location: Annotated[str, REPLACE]
    cluster_id: Annotated[str, REPLACE] = Field(description="The connected cluster's ARM id")
    connection: Annotated[str, REPLACE] = Field(description="The agents' public key: a new connection has nothing")
    namespace: Annotated[str, REPLACE]
    extension_ids: Annotated[list[str], UPDATE] = Field(default_factory=list)
    display_name: Annotated[str, UPDATE]
    tags: Annotated[dict[str, str], UPDATE] = Field(default_factory=dict)


class CustomLocationState(CustomLocationInputs):
    """The custom location as it stands."""

    provisioning_state: str


CUSTOM_LOCATION = Contract(
    "azlocal:index:CustomLocation",
    CustomLocationInputs,
    CustomLocationState,
    "A custom location on a connected cluster.",
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroup}"
    "/providers/Microsoft.ExtendedLocation/customLocations/{name}",
)
