"""Values in Bicep's own syntax."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from infra.export.above import Secret

_IDENTIFIER: Final = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES: Final = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "$": "\\$"}
_INDENT: Final = "  "


class Expression(str):
    """Bicep that is written as it is."""


def bicep_value(value: Any, depth: int = 0) -> str:
    """Return a value as Bicep writes it; a secret is the parameter of its name."""
    inner, outer = _INDENT * (depth + 1), _INDENT * depth
    match value:
        case Secret():
            return f"base64({value})" if value.encoded else str(value)
        case Expression():
            return str(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return _text(value)
        case Mapping():
            lines = [f"{inner}{_key(key)}: {bicep_value(item, depth + 1)}" for key, item in value.items()]
            return "\n".join(["{", *lines, f"{outer}}}"]) if lines else "{}"
        case list() | tuple():
            lines = [f"{inner}{bicep_value(item, depth + 1)}" for item in value]
            return "\n".join(["[", *lines, f"{outer}]"]) if lines else "[]"
    raise TypeError(f"Bicep has no {type(value).__name__}")


def _key(key: str) -> str:
    return key if _IDENTIFIER.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    return "'" + "".join(map(_character, text)) + "'"


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"
