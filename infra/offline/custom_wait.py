"""The annotation `pulumi.com/waitFor`: a program's own idea of ready. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from infra.offline.errors import NotCovered
from infra.offline.readiness import READY, Progress, condition, waiting

_CONDITION: Final = re.compile(r"condition=([^=]+)(?:=(.+))?")
_JSONPATH: Final = re.compile(r"jsonpath=\{((?:\.[\w-]+|\[\d+\])+)\}(?:=(.*))?")


def custom_progress(said: str, obj: Mapping[str, Any]) -> Progress:
    """Return whether everything that the annotation names holds.

    Args:
        said: `condition=Type`, `condition=Type=Status`, `jsonpath={.a.b[0]}`, `jsonpath={.a}=value`, or a JSON
            list of these.
    """
    expressions = json.loads(said) if said.startswith("[") else [said]
    for expression in expressions:
        if not _holds(expression, obj):
            return waiting(f"{expression} (pulumi.com/waitFor)")
    return READY


def _holds(expression: str, obj: Mapping[str, Any]) -> bool:
    found = _CONDITION.fullmatch(expression)
    if found:
        return bool(condition(obj, found[1]).get("status") == (found[2] or "True"))
    found = _JSONPATH.fullmatch(expression)
    if not found:
        raise NotCovered(f"pulumi.com/waitFor: {expression!r}")
    value: Any = obj
    for name, index in re.findall(r"\.([\w-]+)|\[(\d+)\]", found[1]):
        if name:
            value = value.get(name) if isinstance(value, Mapping) else None
        else:
            value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
    return value is not None if found[2] is None else _text(value) == found[2]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
