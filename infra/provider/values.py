"""Property values between the engine's protobuf and plain Python, converted once at the edge.

Kinds see dicts, lists, strings, numbers and booleans. Which top-level properties are secret
or not yet known travels beside them, so that no kind can lose a secret's mark by accident.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import json_format, struct_pb2

# Wire constants of Pulumi's property encoding (sdk/go/common/resource/properties.go).
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a public marker, not a secret
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWN_STRINGS: Final = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
    }
)
UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The wire form of a value that is not known yet (pulumi.runtime.rpc.UNKNOWN)."""


@dataclass(frozen=True)
class Properties:
    """A resource's properties, with the names of those that are secret or unknown anywhere inside."""

    values: dict[str, Any]
    secret: frozenset[str] = field(default_factory=frozenset)
    unknown: frozenset[str] = field(default_factory=frozenset)

    def known(self) -> dict[str, Any]:
        """Return only the properties whose values are all known."""
        return {name: value for name, value in self.values.items() if name not in self.unknown}


def decode(struct: struct_pb2.Struct) -> Properties:
    """Read the engine's property map."""
    raw: dict[str, Any] = json_format.MessageToDict(struct)
    values: dict[str, Any] = {}
    secret: set[str] = set()
    unknown: set[str] = set()
    for name, value in raw.items():
        seen: set[str] = set()
        values[name] = _decode(value, seen)
        if "secret" in seen:
            secret.add(name)
        if "unknown" in seen:
            unknown.add(name)
    return Properties(values, frozenset(secret), frozenset(unknown))


def _decode(value: Any, seen: set[str]) -> Any:
    if isinstance(value, dict):
        signature = value.get(_SIGNATURE)
        if signature == _SECRET:
            seen.add("secret")
            return _decode(value.get("value"), seen)
        if signature == _OUTPUT:
            if value.get("secret"):
                seen.add("secret")
            if "value" not in value:
                seen.add("unknown")
                return UNKNOWN
            return _decode(value["value"], seen)
        if signature is not None:
            raise ValueError("assets, archives and resource references are not inputs of any azlocal resource")
        return {key: _decode(item, seen) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item, seen) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # protobuf's Struct only has doubles; no input of ours is a fraction
    if isinstance(value, str) and value in _UNKNOWN_STRINGS:
        seen.add("unknown")
        return UNKNOWN
    return value


def encode(values: Mapping[str, Any], secret: Iterable[str] = ()) -> struct_pb2.Struct:
    """Write a property map for the engine, wrapping the named properties as secrets."""
    hidden = frozenset(secret)
    struct = struct_pb2.Struct()
    struct.update(
        {
            name: {_SIGNATURE: _SECRET, "value": value} if name in hidden and value is not None else value
            for name, value in values.items()
        }
    )
    return struct
