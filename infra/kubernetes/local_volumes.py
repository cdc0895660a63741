"""Volumes on the disks of nodes: which of them go with which node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from infra.kubernetes.api import ClusterApi, Object
from infra.model.local_volumes import LOCAL_VOLUMES

_HOSTNAME: Final = "kubernetes.io/hostname"
_SELECTED_NODE: Final = "local.path.provisioner/selected-node"
"""local-path-provisioner's annotation of a volume, which is there whatever label its node affinity goes by."""


@dataclass(frozen=True)
class LocalVolume:
    """A PersistentVolume on the disk of a node.

    Attributes:
        name: Its own.
        nodes: The nodes whose disks it may be on; more than one only where somebody wrote it so.
        path: The folder or device on the node.
        size: As its claim asked, in Kubernetes' notation; nothing holds it to that.
        reclaim_policy: What becomes of it when its claim is deleted.
        claim: Namespace and name of its claim; empty where it has none.
    """

    name: str
    nodes: frozenset[str]
    path: str
    size: str
    reclaim_policy: str
    claim: str = ""

    @property
    def is_on_data_volume(self) -> bool:
        """Return whether it is below the folder at which a node's data volume is mounted."""
        return f"{self.path}/".startswith(f"{LOCAL_VOLUMES}/")

    def __str__(self) -> str:
        claim = f"claim {self.claim}" if self.claim else "no claim"
        return f"{self.name} ({claim}, {self.size}, {self.reclaim_policy})"


def look_at_local_volumes(api: ClusterApi) -> list[LocalVolume]:
    """Return the volumes on nodes' disks, by name.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    return local_volumes_of(api.items("/api/v1/persistentvolumes"))


def local_volumes_of(volumes: Iterable[Object]) -> list[LocalVolume]:
    """Return those of PersistentVolumes that are on nodes' disks, and of which it is known on whose. Pure."""
    return sorted(filter(None, map(_local, volumes)), key=lambda volume: volume.name)


def _local(volume: Object) -> LocalVolume | None:
    spec, metadata = volume.get("spec") or {}, volume["metadata"]
    source = spec.get("local") or spec.get("hostPath")
    selected = (metadata.get("annotations") or {}).get(_SELECTED_NODE)
    nodes = frozenset([selected] if selected else _nodes_of(spec))
    if source is None or not nodes:
        return None
    claim = spec.get("claimRef")
    return LocalVolume(
        metadata["name"],
        nodes,
        source.get("path", ""),
        (spec.get("capacity") or {}).get("storage", ""),
        spec.get("persistentVolumeReclaimPolicy", "Retain"),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
    )


def _nodes_of(spec: Object) -> Iterator[str]:
    required = (spec.get("nodeAffinity") or {}).get("required") or {}
    for term in required.get("nodeSelectorTerms") or []:
        for expression in term.get("matchExpressions") or []:
            if expression.get("key") == _HOSTNAME and expression.get("operator") == "In":
                yield from expression.get("values") or []
