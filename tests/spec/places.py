"""Every place of the three files, as the JSON schemas have them, and how a value comes to stand there."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.spec.findings import key_path
from infra.spec.schema import json_schemas

Place = tuple[str | int, ...]
Schema = dict[str, Any]

PARTS = {"stack": "stack.schema.json", "hosts": "hosts.schema.json", "netplan": "netplan.schema.json"}
KEYS = "propertyNames"
OWN_KEY = "Own"


@dataclass(frozen=True)
class Placed:
    """A value of one of the files.

    Attributes:
        part: The file's kind.
        place: Where it stands; in a list at 0.
        schema: Its schema, without null.
    """

    part: str
    place: Place
    schema: Schema

    def __str__(self) -> str:
        return f"{self.part}-{key_path(self.place)}"

    def is_named_by(self, path: str) -> bool:
        """Tell whether a finding's path names the value, or something in it."""
        place = ("config", f"azlocal:{self.place[0]}", *self.place[1:]) if self.part == "stack" else self.place
        _, _, found = path.rpartition(": ")
        written = key_path(place)
        return found == written or found.startswith((f"{written}.", f"{written}["))


def _roots() -> dict[str, Schema]:
    """Return each file's schema; of the stack's file the part that is ours, its keys without the namespace."""
    schemas = {part: json_schemas()[name] for part, name in PARTS.items()}
    config = schemas["stack"]["properties"]["config"]
    ours = {key.removeprefix("azlocal:"): value for key, value in config["properties"].items()}
    return schemas | {"stack": {"$defs": schemas["stack"]["$defs"], "properties": ours}}


ROOTS = _roots()


def variants(schema: Schema, root: Schema) -> list[Schema]:
    """Return what a value may be, without null."""
    found = [_resolved(one, root) for one in schema.get("anyOf", [schema])]
    return [one for one in found if one.get("type") != "null"]


def _resolved(schema: Schema, root: Schema) -> Schema:
    reference = schema.get("$ref")
    return root["$defs"][reference.rpartition("/")[2]] if reference else schema


def walk(content: Mapping[str, Any] | None = None) -> Iterator[Placed]:
    """Yield every value of the three files, those that lead to others before them.

    Args:
        content: The files, whose own keys of a mapping are walked; without them, a key that nobody uses is.
    """
    for part, root in ROOTS.items():
        yield from _walk(part, root, root, (), (content or {}).get(part))


def _walk(part: str, schema: Schema, root: Schema, place: Place, found: Any) -> Iterator[Placed]:
    for one in variants(schema, root):
        yield Placed(part, place, one)
        for key, within in one.get("properties", {}).items():
            yield from _walk(
                part, within, root, (*place, key), found.get(key) if isinstance(found, dict) else None
            )
        if isinstance(one.get("items"), dict):
            yield from _walk(part, one["items"], root, (*place, 0), found[0] if found else None)
        if isinstance(one.get("additionalProperties"), dict):
            key = next(iter(found or {}), OWN_KEY)
            yield from _walk(part, one["additionalProperties"], root, (*place, key), (found or {}).get(key))


def sample(schema: Schema, root: Schema) -> Any:
    """Return the smallest value that a schema takes."""
    one = variants(schema, root)[0]
    if "examples" in one or "default" in one:
        return copy.deepcopy(one["examples"][0] if "examples" in one else one["default"])
    if "enum" in one or "const" in one:
        return one["enum"][0] if "enum" in one else one["const"]
    match one.get("type"):
        case "object":
            return {key: sample(one["properties"][key], root) for key in one.get("required", ())}
        case "array":
            return [sample(one["items"], root) for _ in range(one.get("minItems", 0))]
        case "integer" | "number":
            return one.get("minimum", 1)
        case "boolean":
            return True
    return "192.0.2.0/24" if "/(" in one.get("pattern", "") else "192.0.2.7" if "pattern" in one else "x1y"


def put(content: dict[str, Any], placed: Placed, value: Any) -> None:
    """Put a value at its place, with what leads there; a list that is the place's own has the value alone."""
    root = schema = ROOTS[placed.part]
    node: Any = content[placed.part]
    for number, key in enumerate(placed.place):
        one = next(one for one in variants(schema, root) if inner(one, key) is not None)
        schema = inner(one, key) or {}
        is_last = number == len(placed.place) - 1
        fresh = value if is_last else sample(schema, root)
        if isinstance(node, list):
            if not node or is_last:
                node[:] = [fresh]
        elif is_last or node.get(key) is None:
            node[key] = fresh
        node = node[key]


def inner(schema: Schema, key: str | int) -> Schema | None:
    """Return the schema of what a mapping has at a key, or a list at an index."""
    if isinstance(key, int):
        found = schema.get("items")
    else:
        found = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
    return found if isinstance(found, dict) else None
