"""How the plugin reaches Azure: which cloud, as whom. Never who we are in secret: that is the environment's."""

from __future__ import annotations

from pydantic import Field

from infra.model.azure import CloudName
from infra.model.base import Model


class AzureAccess(Model):
    """Which Azure, for whoever runs Pulumi; the Azure resource itself doesn't have it."""

    cloud: CloudName = Field(default="AzureCloud", description="The cloud, or the emulator that stands in for it")
    tenant_id: str | None = Field(default=None, description="The tenant; none: that of the credential")
    resource_manager: str | None = Field(default=None, description="With cloud custom: its Resource Manager's URL")
    ca_file: str | None = Field(default=None, description="PEM file of the authorities that its TLS needs")
    emulator_folder: str | None = Field(default=None, description="With cloud emulator: where it keeps its state")
