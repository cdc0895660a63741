"""What netplan makes of its files. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

_NETPLAN_ORDER: Final = ("/run/netplan/", "/etc/netplan/", "/lib/netplan/")
"""A file shadows those of its name in the later folders (netplan(5))."""


def merge_netplan(files: Mapping[str, str]) -> dict[str, Any]:
    """Return the `network` mapping that netplan makes of its files (netplan(5)): later ones amend earlier ones.

    Raises:
        ValueError: a file isn't YAML, or not netplan's; names the file.
    """
    merged: dict[str, Any] = {}
    for path in _effective(files):
        try:
            content = yaml.safe_load(files[path]) or {}
        except yaml.YAMLError as error:
            raise ValueError(f"{path} isn't YAML: {error}") from error
        network = content.get("network") if isinstance(content, dict) else None
        if network is not None and not isinstance(network, dict):
            raise ValueError(f"{path}: `network` isn't a mapping")
        merged = _merge(merged, network or {})
    return merged


def _effective(files: Iterable[str]) -> list[str]:
    by_name: dict[str, str] = {}
    for folder in reversed(_NETPLAN_ORDER):
        by_name |= {path.removeprefix(folder): path for path in files if path.startswith(folder)}
    return [by_name[name] for name in sorted(by_name)]


def _merge(first: dict[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(first)
    for key, value in second.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = _merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            result[key] = [*old, *(item for item in value if item not in old)]
        else:
            result[key] = value
    return result
