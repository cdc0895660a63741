"""The detailed diff between two sets of inputs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from infra.plugin.values import UNKNOWN, Path

_PLAIN: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


class _Absent(Enum):
    """Stands for no value, which a null isn't: a null among Helm's values takes a default away."""

    ABSENT = "absent"


ABSENT: Final = _Absent.ABSENT


class Change(Enum):
    """What happens to one property."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


def differences(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, Change]]:
    """Yield each place where the two differ. An unknown value counts as different."""
    if new == UNKNOWN:
        yield path, Change.UPDATE
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from differences(old.get(key, ABSENT), new.get(key, ABSENT), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from differences(
                old[index] if index < len(old) else ABSENT,
                new[index] if index < len(new) else ABSENT,
                (*path, index),
            )
    elif old is ABSENT:
        yield path, Change.ADD
    elif new is ABSENT:
        yield path, Change.DELETE
    elif old != new:
        yield path, Change.UPDATE


def path_text(path: Path) -> str:
    """Return a path in the engine's notation: `spec.ports[0].name`, `metadata.annotations["a.b/c"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            escaped = step.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


_STEP: Final = re.compile(r'\.?([A-Za-z_$][^.\[\]]*)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|(\*)|\[(\*)\]')


def parse_path(text: str) -> Path:
    """Return the steps of a path as a program writes it in `ignoreChanges`; "*" stays a wildcard."""
    steps: list[str | int] = []
    for name, index, quoted, star, starred in _STEP.findall(text):
        if name:
            steps.append(name)
        elif index:
            steps.append(int(index))
        elif star or starred:
            steps.append("*")
        else:
            steps.append(re.sub(r"\\(.)", r"\1", quoted))
    return tuple(steps)


def is_ignored(path: Path, ignored: Path) -> bool:
    """Return whether `path` is at or below a path of `ignoreChanges`."""
    return len(path) >= len(ignored) and all(
        want in ("*", have) for want, have in zip(ignored, path, strict=False)
    )
