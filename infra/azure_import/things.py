"""JSON that remembers where it stands, and whose keys are read in any case.

Azure's REST API writes `osSKU` and `hostIP`, the SDKs that az prints from write `osSku` and `hostIp`; nulls are
everywhere, and mean that nothing is said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.spec.findings import KeyPath, key_path
from infra.spec.tree import Document, Node, parse_document

_WRAPPED: Final = "content"
_MOST_VALUES: Final = 2_000_000

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Thing:
    """A value of a file.

    Attributes:
        value: A scalar, or what is inside.
        file: The file.
        line: The line that it starts on; None where that isn't known.
        path: Where it stands in the file.
    """

    value: Scalar | dict[str, Thing] | list[Thing]
    file: str
    line: int | None = None
    path: KeyPath = ()

    @property
    def where(self) -> str:
        """Name its place: `clusters.json:12: [0].properties.controlPlane`."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {key_path(self.path)}" if self.path else place

    @property
    def plain(self) -> Any:
        """Return it as JSON has it."""
        match self.value:
            case dict():
                return {key: inner.plain for key, inner in self.value.items()}
            case list():
                return [inner.plain for inner in self.value]
        return self.value

    @property
    def is_empty(self) -> bool:
        """Tell whether it says nothing: null, or a list or mapping of which all says nothing."""
        match self.value:
            case dict():
                return all(inner.is_empty for inner in self.value.values())
            case list():
                return all(inner.is_empty for inner in self.value)
        return self.value is None or self.value == ""

    def get(self, *keys: str | int) -> Thing | None:
        """Return what is at a path, whatever the case of its keys; None where that is nothing or null."""
        reached: Thing | None = self
        for key in keys:
            reached = reached._inner(key) if reached is not None else None
        return reached

    def _inner(self, key: str | int) -> Thing | None:
        if isinstance(key, int):
            inner = self.value[key] if isinstance(self.value, list) and key < len(self.value) else None
            return inner if inner is not None and inner.value is not None else None
        if not isinstance(self.value, dict):
            return None
        meant = key.lower()
        named = (inner for name, inner in self.value.items() if name.lower() == meant)
        return next((inner for inner in named if inner.value is not None), None)

    def text(self, *keys: str | int) -> str | None:
        """Return the text at a path; None where there is none."""
        reached = self.get(*keys)
        return reached.value.strip() if reached is not None and isinstance(reached.value, str) else None

    def items(self, *keys: str | int) -> list[Thing]:
        """Return what is in the list at a path, without nulls."""
        reached = self.get(*keys)
        listed = reached.value if reached is not None and isinstance(reached.value, list) else []
        return [item for item in listed if item.value is not None]

    def entries(self, *keys: str | int) -> list[tuple[str, Thing]]:
        """Return what is in the mapping at a path, by the keys as they are written, without nulls."""
        reached = self.get(*keys)
        named = reached.value if reached is not None and isinstance(reached.value, dict) else {}
        return [(key, inner) for key, inner in named.items() if inner.value is not None]


def nested(parts: Mapping[KeyPath, Thing], source: Thing) -> Thing:
    """Return an object that has each part at its path; the parts keep their own places.

    Args:
        parts: What goes in, by path; a list's members in order.
        source: What the object is from.
    """
    value: dict[str, Thing] = {}
    below: dict[str | int, dict[KeyPath, Thing]] = {}
    for path, part in parts.items():
        if len(path) == 1:
            value[str(path[0])] = part
        else:
            below.setdefault(path[0], {})[path[1:]] = part
    for key, inner in below.items():
        value[str(key)] = nested(inner, next(iter(inner.values())))
    is_list = bool(value) and all(isinstance(path[0], int) for path in parts)
    made: dict[str, Thing] | list[Thing] = list(value.values()) if is_list else value
    return Thing(made, source.file, source.line, source.path)


def read_json(text: str, file: str) -> Thing:
    """Read a file.

    Raises:
        json.JSONDecodeError: It isn't JSON.
        RecursionError: It is too deep.
    """
    value = json.loads(text)
    # JSON is YAML, whose reader knows the lines; the wrapping makes a mapping of whatever it is.
    document = parse_document(f'{{"{_WRAPPED}": {text}\n}}', file, _MOST_VALUES)
    root = _content(document)
    return _thing(value, root, file, root.line if root is not None else None, ())


def _content(document: Document) -> Node | None:
    return document.root.children.get(_WRAPPED) if document.root is not None else None


def _thing(value: Any, node: Node | None, file: str, line: int | None, path: KeyPath) -> Thing:
    def inner(key: str | int, item: Any) -> Thing:
        below = node.children.get(key) if node is not None else None
        at = node.key_lines.get(key) if node is not None else None
        return _thing(item, below, file, at or line, (*path, key))

    match value:
        case dict():
            return Thing({key: inner(key, item) for key, item in value.items()}, file, line, path)
        case list():
            return Thing([inner(n, item) for n, item in enumerate(value)], file, line, path)
    return Thing(value, file, line, path)


def unread(thing: Thing, known: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Thing]]:
    """Yield what an object says at keys that aren't known, deepest where a mapping of the known ones says how.

    Args:
        thing: The object.
        known: Its keys; the value None takes all that is below, a mapping goes on, in a list with each member.
    """
    if isinstance(thing.value, list):
        for item in thing.value:
            yield from unread(item, known)
        return
    by_name = {name.lower(): below for name, below in known.items()}
    for key, inner in thing.entries():
        if key.lower() not in by_name:
            if not inner.is_empty:
                yield (key,), inner
        elif by_name[key.lower()] is not None and isinstance(inner.value, dict | list):
            for path, lost in unread(inner, by_name[key.lower()]):
                yield (key, *path), lost
