"""The files that an import writes, as they are made: values, and where in Azure's files each of them is from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.azure_import.things import Thing
from infra.spec.findings import KeyPath
from infra.spec.tree import Document


@dataclass
class Written:
    """A mapping of a file.

    Attributes:
        value: What is in it.
        origins: Where in Azure's files a value is from, by its path here.
    """

    value: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def put(self, key: str, value: Any, origin: Thing | None = None) -> None:
        """Write a value; one that says nothing isn't written."""
        if value is None or value == [] or value == {}:
            return
        self.value[key] = value
        if origin is not None:
            self.origins[key,] = origin.where

    def take(self, key: str, thing: Thing | None) -> None:
        """Write what Azure says, as it says it."""
        if thing is not None and not thing.is_empty:
            self.put(key, thing.plain, thing)
            self.origins |= {(key, *path): inner.where for path, inner in _below(thing)}

    def take_each(self, source: Thing, keys: Sequence[str]) -> None:
        """Write those keys that Azure's object has, under the names that they have here."""
        for key in keys:
            self.take(key, source.get(key))

    def add(self, key: str, part: Written) -> None:
        """Write a part, where there is anything in it."""
        self.put(key, part.value)
        self.origins |= {(key, *path): where for path, where in part.origins.items()}

    def add_list(self, key: str, parts: Sequence[Written]) -> None:
        """Write a list of parts."""
        self.put(key, [part.value for part in parts])
        for number, part in enumerate(parts):
            self.origins |= {(key, number, *path): where for path, where in part.origins.items()}


def _below(thing: Thing) -> list[tuple[KeyPath, Thing]]:
    inner: Mapping[str, Thing] | dict[int, Thing]
    match thing.value:
        case dict():
            inner = thing.value
        case list():
            inner = dict(enumerate(thing.value))
        case _:
            return []
    parts: list[tuple[KeyPath, Thing]] = []
    for key, part in inner.items():
        parts.append(((key,), part))
        parts += [((key, *path), below) for path, below in _below(part)]
    return parts


@dataclass(frozen=True)
class Placed(Document):
    """A file that isn't written yet: what is wrong with a value stands where Azure says it."""

    document: Document | None = None
    origins: Mapping[KeyPath, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Document, origins: Mapping[KeyPath, str]) -> Placed:
        """Return a document with the origins of its values."""
        return cls(document.name, document.root, document.faults, document, origins)

    def where(self, path: KeyPath) -> str:
        """Name the place of a value in Azure's files, else in the file that is written."""
        for length in range(len(path), 0, -1):
            if (origin := self.origins.get(path[:length])) is not None:
                return origin
        return self.document.where(path) if self.document is not None else super().where(path)
