"""Azure's regions by cloud, and how their names are written.

azure_regions.json has them, with their sources; a region that Azure opens is a line there.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_suffix(".json")


@cache
def regions() -> dict[str, dict[str, str]]:
    """Return each public cloud's regions: short name, and the name that people read."""
    return {entry["cloud"]: entry["regions"] for entry in _entries()}


@cache
def connected_cluster_regions() -> tuple[str, ...]:
    """Return the regions of AzureCloud that are known to have connected clusters, by their short names."""
    listed = (entry.get("connectedClusters", {}).get("regions", ()) for entry in _entries())
    return tuple(name for names in listed for name in names)


def short_location(name: str) -> str:
    """Return a region's name as Azure and its tools compare them: `East US` is `eastus`."""
    return name.replace(" ", "").lower()


@cache
def _entries() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return entries
