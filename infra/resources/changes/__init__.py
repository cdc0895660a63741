"""What differs between an object that stands and the wanted one, and what each difference makes happen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.errors import UserError
from infra.resources.contract import Contract, OnChange
from infra.unknown import UNKNOWN


class Refused(UserError):
    """A change isn't made, since it would cost data; the message says why, and what to do instead."""


@dataclass
class Changes:
    """What a diff found: property path → what has to happen because of it.

    Attributes:
        by_path: that.
        create_first: Whether a replacement is made before the old object is removed, whatever the contract says.
    """

    by_path: dict[str, OnChange] = field(default_factory=dict)
    create_first: bool = False

    def replaces(self) -> list[str]:
        """Return the paths that force a replacement."""
        return [path for path, change in self.by_path.items() if change is OnChange.REPLACE]

    def without(self, ignored: Iterable[str]) -> Changes:
        """Return the changes less those the user chose not to see (`ignoreChanges`)."""
        names = tuple(ignored)
        return Changes(
            {
                path: change
                for path, change in self.by_path.items()
                if not any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in names)
            }
        )

    def touches(self, name: str) -> bool:
        """Return whether the property, or something inside it, changed."""
        return any(path == name or path.startswith((f"{name}.", f"{name}[")) for path in self.by_path)


def diff(contract: Contract, state: Mapping[str, Any], news: Mapping[str, Any]) -> Changes:
    """Compare what stands (`state`, as last read from the host) with what is wanted.

    Comparing with the state and not with the old inputs is what lets `pulumi up` repair
    drift that a refresh found. An unknown value counts as different: the engine asks again
    once it is known.
    """
    changes = Changes()
    for difference in differences(contract, state, news):
        prop = contract.properties[difference.path[0]]
        # To the engine a secret is one whole: by a path into it, a display may show what lies there.
        changes.by_path[difference.path[0] if prop.secret else _joined(difference.path)] = prop.on_change
    return changes


def _joined(path: tuple[str, ...]) -> str:
    """Return a path as the engine reads it; a label's key has dots of its own."""
    return path[0] + "".join(f'["{part}"]' if "." in part else f".{part}" for part in path[1:])


@dataclass(frozen=True)
class Difference:
    """A value that differs: where, what stands, and what is wanted."""

    path: tuple[str, ...]
    old: Any
    new: Any


def differences(contract: Contract, state: Mapping[str, Any], news: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield what differs of the properties whose change means something."""
    for name, prop in contract.properties.items():
        if prop.on_change is not OnChange.IGNORE:
            yield from _within((name,), state.get(name), news.get(name))


def _within(path: tuple[str, ...], old: Any, new: Any) -> Iterator[Difference]:
    if new != UNKNOWN and isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _within((*path, key), old.get(key), new.get(key))
    elif new == UNKNOWN or old != new:
        yield Difference(path, old, new)
