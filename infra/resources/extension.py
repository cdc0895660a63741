"""A cluster extension: a Helm chart that Azure installs and keeps up to date (arc_facts.md §4)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.resources.contract import REPLACE, UPDATE, Contract, Secret
from infra.resources.on_cluster import OnCluster


class ExtensionInputs(OnCluster):
    """What the program says of an extension."""

    extension_type: Annotated[str, REPLACE]
    release_train: Annotated[str, REPLACE] = "Stable"
    release_namespace: Annotated[str | None, REPLACE] = Field(default=None, description="Scope cluster")
    target_namespace: Annotated[str | None, REPLACE] = Field(default=None, description="Scope namespace")
    version: Annotated[str | None, UPDATE] = Field(default=None, description="Pins it; none: Azure upgrades it")
    configuration_settings: Annotated[dict[str, str], UPDATE] = Field(default_factory=dict)
    configuration_protected_settings: Annotated[dict[str, str], UPDATE, Secret()] = Field(
        default_factory=dict, description="Sent in full on each update; Azure never gives them back"
    )
    installed: Annotated[bool, UPDATE] = Field(default=True, description="It didn't fail; drift where it did")


class ExtensionState(ExtensionInputs):
    """The extension as it stands."""

    provisioning_state: str
    current_version: str | None = Field(default=None, description="What Azure upgrades by itself: no drift")
    statuses: list[str] = Field(default_factory=list, description="What the agents say of it")


EXTENSION = Contract(
    "azlocal:index:Extension",
    ExtensionInputs,
    ExtensionState,
    "An Azure Arc cluster extension.",
    "{clusterId}/providers/Microsoft.KubernetesConfiguration/extensions/{name}",
)
