"""Which stacks a project has."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from infra.spec.loader import NAMESPACE
from infra.spec.tree import read_document

_PREFIX: Final = "Pulumi."


def azlocal_stacks(directory: Path) -> list[str]:
    """Return the names of the stacks whose files have keys of azlocal's, sorted."""
    names = sorted(
        path.name.removeprefix(_PREFIX).removesuffix(".yaml") for path in directory.glob("Pulumi.*.yaml")
    )
    return [name for name in names if _has_keys(directory / f"{_PREFIX}{name}.yaml")]


def _has_keys(path: Path) -> bool:
    root = read_document(path, path.name).root
    config = root.value.get("config") if root is not None and isinstance(root.value, dict) else None
    return isinstance(config, dict) and any(str(key).startswith(NAMESPACE) for key in config)
