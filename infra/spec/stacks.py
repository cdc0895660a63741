"""Which stacks a project has, and which of them are of one site."""

import re
from pathlib import Path
from typing import Any, Final

from infra.spec.loader import NAMESPACE, stack_names
from infra.spec.tree import read_document

_PREFIX: Final = "Pulumi."


def azlocal_stacks(directory: Path) -> list[str]:
    """Return the names of the stacks whose files have keys of azlocal's, sorted."""
    return [name for name in stack_names(directory) if any(map(_is_ours, _config(directory, name) or ()))]


def stacks_of_site(directory: Path, site: str) -> list[str]:
    """Return the names of the stacks of a site, sorted; a file that isn't YAML counts where it names the site."""
    return [name for name in stack_names(directory) if _is_of(directory, name, site)]


def sites(directory: Path) -> list[str]:
    """Return the sites that the project's stacks name, sorted."""
    configs = (_config(directory, name) or {} for name in stack_names(directory))
    return sorted({str(site) for config in configs if (site := config.get(f"{NAMESPACE}site")) is not None})


def _is_of(directory: Path, name: str, site: str) -> bool:
    config = _config(directory, name)
    if config is not None:
        return bool(config.get(f"{NAMESPACE}site") == site)
    try:
        text = (directory / f"{_PREFIX}{name}.yaml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return (
        re.search(rf"{NAMESPACE}site['\"]?\s*:\s*['\"]?{re.escape(site)}['\"]?\s*$", text, re.MULTILINE)
        is not None
    )


def _config(directory: Path, name: str) -> dict[Any, Any] | None:
    """Return a stack's configuration; None where the file can't be read."""
    root = read_document(directory / f"{_PREFIX}{name}.yaml", name).root
    if root is None:
        return None
    config = root.value.get("config") if isinstance(root.value, dict) else None
    return config if isinstance(config, dict) else {}


def _is_ours(key: object) -> bool:
    return str(key).startswith(NAMESPACE)
