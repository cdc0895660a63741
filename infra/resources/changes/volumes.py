"""Whether the volumes on a node's disk outlast a change of its machine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_OF_THE_PLACE: Final = ("connection", "pool", "machineType")


def takes_its_place(state: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether a wanted machine is on the host, and of the kind, that the one that stands is."""
    return all(state.get(name) == news.get(name) for name in _OF_THE_PLACE)


def stay_in_place(state: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether a machine that is replaced hands its data volume on: it has one, and stays where it is."""
    return bool(state.get("keepsVolumes")) and takes_its_place(state, news)


def becomes_of_volumes(state: Mapping[str, Any], news: Mapping[str, Any]) -> str:
    """Say what becomes of the volumes on the disk of a worker that is replaced.

    Args:
        state: The machine as it stands; a plan doesn't know whether it has a data volume.
        news: The wanted one.
    """
    if not takes_its_place(state, news) or state.get("keepsVolumes") is False:
        return "volumes on its disk go with it"
    return "volumes on its disk stay" + (", if it has a data volume" if "keepsVolumes" not in state else "")
