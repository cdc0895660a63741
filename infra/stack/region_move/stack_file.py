"""One key of Pulumi.<stack>.yaml, changed in place: comments and order stay."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from infra.errors import UserError
from infra.files import replace_file

_WIDE: Final = 4096  # lines stay as long as people made them


def with_location(text: str, cluster: str, location: str) -> str:
    """Return a stack file in which a cluster's Arc resource has this region.

    Raises:
        UserError: There is no such cluster in it.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDE
    yaml.indent(mapping=2, sequence=4, offset=2)
    document: Any = yaml.load(text)
    clusters = document["config"].get("azlocal:clusters") or []
    entry = next((candidate for candidate in clusters if candidate.get("name") == cluster), None)
    if entry is None:
        raise UserError(f"there is no cluster {cluster!r} under azlocal:clusters")
    arc = entry.get("arc")
    if arc is None:
        arc = CommentedMap()
        arc.fa.set_flow_style()
        entry["arc"] = arc
    arc["location"] = location
    written = io.StringIO()
    yaml.dump(document, written)
    return written.getvalue()


def set_location(path: Path, cluster: str, location: str) -> None:
    """Write it.

    Raises:
        UserError: There is no such cluster in it.
    """
    replace_file(path, with_location(path.read_text(encoding="utf-8"), cluster, location))
