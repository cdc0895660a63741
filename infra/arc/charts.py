"""Which chart of agents is meant, and whether it is one that we can install. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from infra.arc.errors import ArcError

NAME: Final = "azure-arc-k8sagents"

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?")
# The first that leave a private key alone which stands in the cluster before them (facts §1.9).
_FIRST: Final = (1, 35, 3)
_DEVELOPMENT: Final = "-dev"
_TRAINS: Final = ("stable", "preview")


@dataclass(frozen=True)
class Chart:
    """A chart in a registry.

    Attributes:
        url: `oci://…`.
        registry: Its host, with port.
    """

    url: str
    registry: str
    version: str


def parse_chart(path: str, version: str | None = None) -> Chart:
    """Read what the data plane says, as `mcr.microsoft.com/azurearck8s/batch1/stable/azure-arc-k8sagents:1.36.1`.

    The chart that the Helm of today reads is under another path, with `v2` before its name (facts §1.8).

    Args:
        path: Repository and version.
        version: Another version than the one it names.

    Raises:
        ArcError: It isn't one.
    """
    # The last colon after the last slash: registries have ports, too.
    folder, _, last = path.strip().removeprefix("oci://").rpartition("/")
    name, _, named = last.partition(":")
    parts = [part for part in folder.split("/") if part]
    if not parts or not name or not (version or named):
        raise ArcError("agents-chart", f"Azure's data plane names a chart that isn't one: {path!r}")
    if parts[-1] != "v2":
        parts.append("v2")
    return Chart(f"oci://{'/'.join(parts)}/{name}", parts[0], version or named)


def check_version(version: str, train: str) -> None:
    """Refuse agents that take their private key as a Helm value, where it stays readable in the release's history.

    Raises:
        ArcError: They do, or it can't be told.
    """
    if version.endswith(_DEVELOPMENT):
        return
    match = _VERSION.fullmatch(version)
    first = ".".join(map(str, _FIRST))
    if match is None:
        raise ArcError("agents-version", f"{version!r} is no version of Arc agents", f"write one from {first} on")
    if train not in _TRAINS:
        raise ArcError(
            "agents-train",
            f"it isn't known how agents of the release train {train!r} take their private key",
            f"use {' or '.join(_TRAINS)}",
        )
    numbers = tuple(int(part) for part in match.groups()[:3])
    # A pre-release comes before its release, except in the train that has nothing else.
    is_older = numbers < _FIRST or (numbers == _FIRST and bool(match.group(4)) and train == "stable")
    if is_older:
        raise ArcError(
            "agents-version",
            f"agents {version} take their private key as a Helm value, which stays in the release's history",
            f"use {first} or newer",
        )


def release_version(chart: str) -> str:
    """Return the version of a release's chart as helm lists it: `azure-arc-k8sagents-1.36.1`."""
    return chart.removeprefix(f"{NAME}-")


def minor_of(version: str) -> tuple[int, int] | None:
    """Return major and minor of a version, None where it has none."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(match.group(1)), int(match.group(2))) if match else None
