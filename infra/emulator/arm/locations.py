"""Azure's regions as the emulator knows them, by both of their names."""

from __future__ import annotations

from typing import Final

from infra.model.azure_regions import connected_cluster_regions, regions

_ALL: Final = regions()["AzureCloud"]

DISPLAY_NAMES: Final = {name: _ALL[name] for name in connected_cluster_regions()}
"""Where connected clusters can be, by short name."""

WITHOUT_ARC: Final = {name: _ALL[name] for name in ("brazilsouth", "uaenorth")}
"""Regions of Azure in which nothing of Arc is: a resource group can be there, a cluster can't."""
