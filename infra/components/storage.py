"""The StorageClasses of a cluster, all of volumes on nodes' disks, and what its provisioner is told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.model.add_ons import DEFAULT_CLASS, RETAIN_CLASS
from infra.model.local_volumes import LOCAL_VOLUMES
from infra.spec.storage import StorageClassSpec

PROVISIONER: Final = "rancher.io/local-path"
IS_DEFAULT: Final = "storageclass.kubernetes.io/is-default-class"
_PATTERNS: Final = ("pathPattern", "nodeAffinityKey", "userPattern", "groupPattern", "permPattern")
"""Values of the chart's class that are parameters of the object."""
_ANY_NODE: Final = "DEFAULT_PATH_FOR_NON_LISTED_NODES"


@dataclass(frozen=True)
class StorageClass:
    """A StorageClass object.

    Attributes:
        name: Its name.
        annotations: Whether it is the default class.
        reclaim_policy: What becomes of a volume when its claim is deleted.
        volume_binding_mode: When a volume is made.
        parameters: What the provisioner is told with a claim.
        pools: On whose nodes its volumes are; any where it names none.
    """

    name: str
    annotations: Mapping[str, str]
    reclaim_policy: str = "Delete"
    volume_binding_mode: str = "WaitForFirstConsumer"
    parameters: Mapping[str, str] | None = None
    pools: tuple[str, ...] = ()


def storage_classes(declared: Iterable[StorageClassSpec], values: Mapping[str, Any]) -> list[StorageClass]:
    """Return all classes of a cluster.

    Args:
        declared: Those of the stack's file.
        values: The chart's values, people's own among them, whose `storageClass` is the class `default`.
    """
    own, listed = values.get("storageClass") or {}, list(declared)
    has_folders = any(entry.folder for entry in listed)
    top = {"nodePath": LOCAL_VOLUMES} if has_folders else None  # of several paths the provisioner draws one
    is_default = own.get("defaultClass", True) and not any(entry.is_default for entry in listed)
    patterns = {key: own[key] for key in _PATTERNS if own.get(key)}
    first = StorageClass(
        own.get("name", DEFAULT_CLASS),
        {**(own.get("annotations") or {}), **_default(is_default)},
        own.get("reclaimPolicy", "Delete"),
        own.get("volumeBindingMode", "WaitForFirstConsumer"),
        {**(top or {}), **patterns} or None,
    )
    return [
        *([first] if own.get("create", True) else []),
        StorageClass(RETAIN_CLASS, {}, "Retain", parameters=top),
        *(
            StorageClass(
                entry.name,
                _default(entry.is_default),
                entry.reclaim_policy,
                entry.volume_binding_mode,
                {"nodePath": _path(entry)} if has_folders else None,
                entry.agent_pools,
            )
            for entry in listed
        ),
    ]


def node_path_map(declared: Iterable[StorageClassSpec], spare: str) -> list[dict[str, Any]]:
    """Return where on which node volumes may be made.

    Args:
        declared: The classes of the stack's file.
        spare: The machine that takes pods while another one is replaced, and goes then, with all that is on it: no
            volume is made there. A pod that needs a new one waits until it has another node.
    """
    paths = dict.fromkeys((LOCAL_VOLUMES, *map(_path, declared)))
    return [{"node": _ANY_NODE, "paths": [*paths]}, {"node": spare, "paths": []}]


def _path(entry: StorageClassSpec) -> str:
    return f"{LOCAL_VOLUMES}/{entry.folder}" if entry.folder else LOCAL_VOLUMES


def _default(is_default: bool) -> dict[str, str]:
    return {IS_DEFAULT: "true" if is_default else "false"}
