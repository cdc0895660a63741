"""The detailed diff: which properties differ, and what each difference makes happen. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.provider.kind import Changes
from infra.provider.values import UNKNOWN
from infra.resources.contract import Contract, OnChange


def diff(contract: Contract, state: Mapping[str, Any], news: Mapping[str, Any]) -> Changes:
    """Compare what stands (`state`, as last read from the host) with what is wanted.

    Comparing with the state and not with the old inputs is what lets `pulumi up` repair
    drift that a refresh found. An unknown value counts as different: the engine asks again
    once it is known.
    """
    changes = Changes()
    for name, prop in contract.properties.items():
        if prop.on_change is OnChange.IGNORE:
            continue
        for path in _differences(name, state.get(name), news.get(name)):
            # To the engine a secret is one whole: by a path into it, a display may show what lies there.
            changes.by_path[name if prop.secret else path] = prop.on_change
    return changes


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    if new == UNKNOWN:
        yield path
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(f"{path}.{key}", old.get(key), new.get(key))
    elif old != new:
        yield path
