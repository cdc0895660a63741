"""The annotation `pulumi.com/waitFor`: a program's own idea of ready. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from infra.kubernetes.readiness import READY, Progress, condition, waiting
from infra.kubernetes_plugin.errors import NotCovered

_CONDITION: Final = re.compile(r"condition=([^=]+)(?:=(.+))?")
_JSONPATH: Final = re.compile(r"jsonpath=\{((?:\.[\w-]+|\[\d+\])+)\}(?:=(.*))?")


def custom_progress(annotation: str, obj: Mapping[str, Any]) -> Progress:
    """Return whether everything that the annotation names holds.

    Args:
        annotation: `condition=Type`, `condition=Type=Status`, `jsonpath={.a.b[0]}`, `jsonpath={.a}=value`, or a
            JSON list of these.
    """
    expressions = json.loads(annotation) if annotation.startswith("[") else [annotation]
    for expression in expressions:
        if not _holds(expression, obj):
            return waiting(f"{expression} (pulumi.com/waitFor)")
    return READY


def _holds(expression: str, obj: Mapping[str, Any]) -> bool:
    match = _CONDITION.fullmatch(expression)
    if match:
        return bool(condition(obj, match[1]).get("status") == (match[2] or "True"))
    match = _JSONPATH.fullmatch(expression)
    if not match:
        raise NotCovered(f"pulumi.com/waitFor: {expression!r}")
    value: Any = obj
    for name, index in re.findall(r"\.([\w-]+)|\[(\d+)\]", match[1]):
        if name:
            value = value.get(name) if isinstance(value, Mapping) else None
        else:
            value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
    return value is not None if match[2] is None else _text(value) == match[2]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
