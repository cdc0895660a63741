"""What a machine was told at its first boot and takes as it runs: which differences, and in what words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra.resources.changes import Changes
from infra.resources.contract import OnChange

_KEYS: Final = "firstBoot.authorizedKeys"
_LABELS: Final = "firstBoot.node.labels"
_TAINTS: Final = "firstBoot.node.taints"
_MAX_PODS: Final = "firstBoot.node.maxPods"
_PATCHED: Final = (_KEYS, _LABELS, _TAINTS, _MAX_PODS)
KUBELETS_MAX_PODS: Final = 110
"""Most pods on a node of which nobody says a number (kubelet.config.k8s.io/v1beta1, maxPods)."""


def patch(state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes) -> list[str]:
    """Have what can be patched not replace the machine; return what differs of it, in words.

    Args:
        state: The machine as it stands, by wire name.
        news: The wanted one.
        changes: What differs; changed in place.
    """
    touched = [name for name in _PATCHED if changes.touches(name)]
    for path in changes.by_path:
        if is_patched(path):
            changes.by_path[path] = OnChange.UPDATE
    return [text for name in touched for text in _texts(name, _at(state, name), _at(news, name))]


def is_patched(path: str) -> bool:
    """Return whether a difference at a path is one that a machine takes as it runs."""
    return any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in _PATCHED)


def lowered_max_pods(old: Mapping[str, Any], new: Mapping[str, Any]) -> int | None:
    """Return how many pods a node is to take, where that is fewer than before.

    Args:
        old: What it was told at its first boot, by wire name.
        new: What it would be told now.
    """
    if not (old.get("node") and new.get("node")):
        return None
    before, after = (node.get("maxPods") or KUBELETS_MAX_PODS for node in (old["node"], new["node"]))
    return after if after < before else None


def too_many_pods(name: str, most: int, running: int) -> str:
    """Return why a node can't take so few pods, in a sentence; nothing where it can.

    Args:
        name: The node.
        most: How many it is to take.
        running: How many it has: as kubelet starts again, it ends those beyond (kubelet, HandlePodAdditions).
    """
    if running <= most:
        return ""
    return (
        f"maxPods of {name} can't become {most}: {running} pods run there, and kubelet would end those beyond "
        f"(max-pods-running). Move some with `kubectl drain {name}`, or write {running} or more"
    )


def _at(values: Mapping[str, Any], path: str) -> Any:
    value: Any = values
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _texts(name: str, old: Any, new: Any) -> Iterator[str]:
    if name == _KEYS:
        yield "login keys"
    elif name == _LABELS:
        for key in sorted({**(old or {}), **(new or {})}):
            before, after = (old or {}).get(key), (new or {}).get(key)
            if before != after:
                yield f"label {key} {_shown(before)} → {_shown(after)}"
    elif name == _TAINTS:
        yield from (f"taint {text} goes" for text in old or () if text not in (new or ()))
        yield from (f"taint {text} comes" for text in new or () if text not in (old or ()))
    else:
        yield f"maxPods {old or KUBELETS_MAX_PODS} → {new or KUBELETS_MAX_PODS}"


def _shown(value: str | None) -> str:
    return "none" if value is None else value or "empty"
