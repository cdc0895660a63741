"""What the resources that Azure has on a connected cluster say alike: which cluster, and their name there."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.resources.azure_access import AzureAccess
from infra.resources.contract import IGNORE, REPLACE


class OnCluster(Model):
    """A resource on a connected cluster."""

    access: Annotated[AzureAccess, IGNORE]
    cluster_id: Annotated[str, REPLACE] = Field(description="The connected cluster's ARM id")
    connection: Annotated[str, REPLACE] = Field(description="The agents' public key: a new connection has nothing")
    name: Annotated[str, REPLACE]
