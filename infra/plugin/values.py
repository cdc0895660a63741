"""Property values between the engine's protobuf and plain Python, converted once at the edge.

Kinds see dicts, lists, strings, numbers and booleans. Which of them are secret or not yet
known travels beside them as paths, so that no kind can lose a secret's mark by accident.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from google.protobuf import json_format, struct_pb2

from infra.unknown import UNKNOWN as UNKNOWN

# Wire constants of Pulumi's property encoding (sdk/go/common/resource/properties.go).
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a public marker, not a secret
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
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


Path = tuple[str | int, ...]
"""Where a value stands: keys and list indices from the top."""


@dataclass(frozen=True)
class Properties:
    """A resource's properties, with the places of the values that are secret or unknown."""

    values: dict[str, Any]
    secret_paths: frozenset[Path] = field(default_factory=frozenset)
    unknown_paths: frozenset[Path] = field(default_factory=frozenset)

    @cached_property
    def secret(self) -> frozenset[str]:
        """Return the names of the properties that have a secret anywhere inside."""
        return frozenset(str(path[0]) for path in self.secret_paths)

    @cached_property
    def unknown(self) -> frozenset[str]:
        """Return the names of the properties that have an unknown value anywhere inside."""
        return frozenset(str(path[0]) for path in self.unknown_paths)

    def known(self) -> dict[str, Any]:
        """Return only the properties whose values are all known."""
        return {name: value for name, value in self.values.items() if name not in self.unknown}


def decode(struct: struct_pb2.Struct, *, assets: bool = False) -> Properties:
    """Read the engine's property map.

    Args:
        assets: keep text, file and remote assets, as dicts; where false they are refused.
    """
    raw: dict[str, Any] = json_format.MessageToDict(struct)
    reader = _Reader(assets)
    values = {name: reader.decode(value, (name,)) for name, value in raw.items()}
    return Properties(values, frozenset(reader.secret), frozenset(reader.unknown))


@dataclass
class _Reader:
    assets: bool
    secret: set[Path] = field(default_factory=set)
    unknown: set[Path] = field(default_factory=set)

    def decode(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return self._decode_object(value, path)
        if isinstance(value, list):
            return [self.decode(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, float) and value.is_integer():
            return int(value)  # protobuf's Struct only has doubles; a fraction stays one
        if isinstance(value, str) and value in _UNKNOWN_STRINGS:
            self.unknown.add(path)
            return UNKNOWN
        return value

    def _decode_object(self, value: dict[str, Any], path: Path) -> Any:
        signature = value.get(_SIGNATURE)
        if signature == _SECRET:
            self.secret.add(path)
            return self.decode(value.get("value"), path)
        if signature == _OUTPUT:
            if value.get("secret"):
                self.secret.add(path)
            return self.decode(value.get("value", UNKNOWN), path)
        if signature == _ASSET and self.assets:
            return value
        if signature is not None:
            raise ValueError("assets, archives and resource references are not inputs of this resource")
        return {key: self.decode(item, (*path, key)) for key, item in value.items()}


def is_asset(value: object) -> bool:
    """Return whether a decoded value is an asset, with its content under `text`, `path` or `uri`."""
    return isinstance(value, Mapping) and value.get(_SIGNATURE) == _ASSET


def encode(values: Mapping[str, Any], secret: Iterable[str | Path] = ()) -> struct_pb2.Struct:
    """Write a property map for the engine, wrapping the named properties, or values at paths, as secrets."""
    paths = {(where,) if isinstance(where, str) else where for where in secret}
    struct = struct_pb2.Struct()
    struct.update({name: _hide(value, _below(paths, name)) for name, value in values.items()})
    return struct


def _hide(value: Any, paths: set[Path]) -> Any:
    if not paths or value is None:
        return value
    if () in paths:
        return {_SIGNATURE: _SECRET, "value": value}
    if isinstance(value, Mapping):
        return {key: _hide(item, _below(paths, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_hide(item, _below(paths, index)) for index, item in enumerate(value)]
    return value


def _below(paths: set[Path], step: str | int) -> set[Path]:
    return {path[1:] for path in paths if path and path[0] == step}
