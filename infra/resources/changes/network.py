"""What a difference between a network that stands and the wanted one makes happen, beyond its contract. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.resources.changes import Changes
from infra.resources.contract import OnChange


def keep_mesh(state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes) -> None:
    """Have a mesh stay whose gateway comes or goes: its machines are plugged in again.

    Args:
        state: the network as it stands, by wire name.
        news: the wanted one.
        changes: what differs; changed in place.
    """
    if state.get("mode") == news.get("mode") == "mesh":
        for name in ("addressPrefix", "gateway"):
            if changes.touches(name):
                changes.by_path[name] = OnChange.UPDATE
