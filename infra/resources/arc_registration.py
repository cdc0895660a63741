"""That a cluster has a resource in Azure: what is taken away there when the cluster goes as a whole.

The connected cluster is disconnected from both sides. Where its cluster goes anyway, that would only be slow,
and impossible if the cluster no longer answers: then this resource deletes Azure's side, beside the machines.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.resources.azure_access import AzureAccess
from infra.resources.contract import IGNORE, REPLACE, Contract


class ArcRegistrationInputs(Model):
    """What the program says of a registration."""

    access: Annotated[AzureAccess, IGNORE]
    subscription_id: Annotated[str, REPLACE]
    resource_group: Annotated[str, REPLACE]
    name: Annotated[str, REPLACE] = Field(description="The connected cluster's")
    ca_hash: Annotated[str, REPLACE] = Field(description="Of the cluster: another one has another registration")


ARC_REGISTRATION = Contract(
    "azlocal:index:ArcRegistration",
    ArcRegistrationInputs,
    ArcRegistrationInputs,
    "A connected cluster's resource in Azure, as far as it has to go with the cluster.",
    "{subscriptionId}/{resourceGroup}/{name}",
)
