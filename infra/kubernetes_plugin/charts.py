"""What a chart and a rendered manifest say about themselves. Reads files, starts nothing."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.errors import UserError


def local_chart(name: str) -> Path | None:
    """Return the folder or archive that a chart's name means, None where helm has to look elsewhere."""
    path = Path(name).expanduser()
    if (path / "Chart.yaml").is_file() or path.is_file():
        return path
    if path.is_absolute() or name.startswith("."):
        raise UserError(f"there is no chart at {path} (in {Path.cwd()})")
    return None


def read_chart(path: Path) -> Mapping[str, Any]:
    """Return the Chart.yaml of a chart's folder or archive.

    Raises:
        UserError: there is none, or it isn't one.
    """
    try:
        text = (path / "Chart.yaml").read_text() if path.is_dir() else _from_archive(path)
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"the chart {path} can't be read: {error}") from error
    return parse_chart(text, str(path))


def parse_chart(text: str, where: str) -> Mapping[str, Any]:
    """Return a Chart.yaml.

    Raises:
        UserError: it isn't one.
    """
    try:
        chart = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"the Chart.yaml of {where} is not YAML: {error}") from error
    if not isinstance(chart, dict) or not chart.get("version"):
        raise UserError(f"the Chart.yaml of {where} has no version")
    if chart.get("type", "application") != "application":
        raise UserError(f"the chart {where} is a {chart['type']} chart, which can't be installed")
    return chart


def _from_archive(path: Path) -> str:
    with tarfile.open(path) as archive:
        for member in archive:
            # The chart's own, not one of a chart that it contains: `name/Chart.yaml`.
            if member.name.count("/") == 1 and member.name.endswith("/Chart.yaml"):
                file = archive.extractfile(member)
                if file is not None:
                    return file.read().decode()
    raise UserError(f"the archive {path} is no chart: it has no Chart.yaml")


def resource_names(manifest: str) -> dict[str, list[str]]:
    """Return the names of a manifest's objects by `Kind.group/apiVersion`."""
    by_kind: dict[str, set[str]] = {}
    for obj in yaml.load_all(manifest, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if not isinstance(obj, dict) or not obj.get("kind"):
            continue
        version, meta = str(obj.get("apiVersion", "")), obj.get("metadata") or {}
        group, slash, _ = version.rpartition("/")
        key = f"{obj['kind']}.{group}/{version}" if slash else f"{obj['kind']}/{version}"
        name = str(meta.get("name", ""))
        by_kind.setdefault(key, set()).add(f"{meta['namespace']}/{name}" if meta.get("namespace") else name)
    return {key: sorted(names) for key, names in sorted(by_kind.items())}
