"""Which changes of an object the API server refuses, so that the object has to be made again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra.kubernetes.kinds import KindId
from infra.plugin.values import Path

_SELECTOR: Final = (("spec", "selector"),)
# A path counts with everything below it. "*" is any key or index.
_BY_KIND: Final[dict[tuple[str, str], tuple[Path, ...]]] = {
    ("apps", "Deployment"): _SELECTOR,
    ("apps", "DaemonSet"): _SELECTOR,
    ("apps", "StatefulSet"): (
        *_SELECTOR,
        ("spec", "podManagementPolicy"),
        ("spec", "revisionHistoryLimit"),
        ("spec", "serviceName"),
        ("spec", "volumeClaimTemplates"),
    ),
    ("batch", "Job"): (*_SELECTOR, ("spec", "completions"), ("spec", "parallelism"), ("spec", "template")),
    ("", "PersistentVolumeClaim"): (
        *_SELECTOR,
        ("spec", "accessModes"),
        ("spec", "storageClassName"),
        ("spec", "volumeName"),
    ),
    ("", "ResourceQuota"): (("spec", "scopes"),),
    ("", "Service"): (("spec", "clusterIP"),),
    ("", "Secret"): (("type",),),
    ("rbac.authorization.k8s.io", "RoleBinding"): (("roleRef",),),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (("roleRef",),),
    ("storage.k8s.io", "StorageClass"): (
        ("parameters",),
        ("provisioner",),
        ("reclaimPolicy",),
        ("volumeBindingMode",),
    ),
}
# Of a pod's spec these can change in place, and of a volume's the source can't.
_POD_MUTABLE: Final[tuple[Path, ...]] = (
    ("spec", "activeDeadlineSeconds"),
    ("spec", "containers", "*", "image"),
    ("spec", "initContainers", "*", "image"),
    ("spec", "tolerations"),
)
_VOLUME_MUTABLE: Final = frozenset(
    {
        "capacity", "accessModes", "persistentVolumeReclaimPolicy", "mountOptions", "claimRef",
        "storageClassName", "volumeMode", "nodeAffinity", "volumeAttributesClassName",
    }
)  # fmt: skip
_IDENTITY: Final[tuple[Path, ...]] = (("metadata", "name"), ("metadata", "namespace"))


def forces_replacement(
    id: KindId, obj: Mapping[str, Any], path: Path, *, secret_mutable: bool, config_map_mutable: bool
) -> bool:
    """Return whether a change at `path` can only be made by a new object.

    Args:
        obj: the object as wanted; one that says `immutable: true` never changes its data in place.
        secret_mutable: the provider's `enableSecretMutable`.
        config_map_mutable: the provider's `enableConfigMapMutable`.
    """
    if _below_any(path, _IDENTITY):
        return True
    where = (id.group, id.kind)
    frozen = obj.get("immutable") is True
    if where == ("", "ConfigMap"):
        return (frozen or not config_map_mutable) and path[0] in ("data", "binaryData")
    if where == ("", "Secret") and (frozen or not secret_mutable) and path[0] in ("data", "stringData"):
        return True
    if where == ("", "Pod"):
        return path[0] == "spec" and not _below_any(path, _POD_MUTABLE)
    if where == ("", "PersistentVolume"):
        return path[0] == "spec" and len(path) > 1 and path[1] not in _VOLUME_MUTABLE
    return _below_any(path, _BY_KIND.get(where, ()))


def _below_any(path: Path, patterns: tuple[Path, ...]) -> bool:
    return any(
        len(path) >= len(pattern) and all(want in ("*", have) for want, have in zip(pattern, path, strict=False))
        for pattern in patterns
    )
