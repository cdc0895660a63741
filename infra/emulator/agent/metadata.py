"""cluster-metadata-operator and resource-sync-agent: what the cluster is, and that it lives."""

from __future__ import annotations

from collections.abc import Iterable

from . import kube
from .data_plane import DataPlane
from .settings import Settings

_NAME = "clustermetadata"
_PLURAL = "connectedclusters"
_VERSION = "v1beta1"
_LOOK_SECONDS = 10.0
_HEARTBEAT_SECONDS = 10.0


class MetadataOperator:
    """Writes the cluster's version and size into the ConnectedCluster object."""

    def __init__(self, settings: Settings, api: kube.Api) -> None:
        self._settings = settings
        self._api = api
        self._written: kube.Object = {}

    def step(self) -> float:
        """Look once; return the seconds until the next look."""
        found = describe(
            str(self._api.get("/version").get("gitVersion", "")),
            self._api.items("/api/v1/nodes"),
            self._settings.agent_version,
        )
        if found != self._written:
            path = _path(self._settings)
            base = {
                "apiVersion": f"{self._settings.arc_group}/{_VERSION}",
                "kind": "ConnectedCluster",
                "metadata": kube.metadata(_NAME, self._settings.namespace),
            }
            self._api.apply(path, {**base, "spec": {"resourceId": self._settings.cluster_id}})
            self._api.apply(f"{path}/status", {**base, "status": found})
            self._written = found
        return _LOOK_SECONDS


class ResourceSync:
    """Tells the service what the ConnectedCluster object says: the cluster's heartbeat; and its tokens' keys."""

    def __init__(self, settings: Settings, api: kube.Api, service: DataPlane) -> None:
        self._settings = settings
        self._api = api
        self._service = service
        self._published: kube.Object = {}

    def step(self) -> float:
        """Send one heartbeat; return the seconds until the next."""
        found = self._api.find(_path(self._settings)) or {}
        # Before the operator has looked for the first time, the cluster lives all the same.
        answer = self._service.call("syncResources", {"properties": found.get("status") or {}})
        if answer.get("publishesKeys"):
            self._publish(is_known=bool(answer.get("hasKeys")))
        return float(answer.get("nextInSeconds", _HEARTBEAT_SECONDS))

    def _publish(self, *, is_known: bool) -> None:
        """Send the keys that tokens of service accounts are checked with, unless the service has them."""
        keys = self._api.token_keys()
        if not is_known or keys != self._published:
            self._service.call("publishKeys", keys)
            self._published = keys


def describe(version: str, nodes: Iterable[kube.Object], agent_version: str) -> kube.Object:
    """Return what Azure shows of a cluster."""
    cores = [cpus(str(((node.get("status") or {}).get("capacity") or {}).get("cpu", "0"))) for node in nodes]
    return {
        "kubernetesVersion": version.removeprefix("v"),
        "totalNodeCount": len(cores),
        "totalCoreCount": round(sum(cores)),
        "agentVersion": agent_version,
    }


def cpus(quantity: str) -> float:
    """Return a CPU quantity in cores: `4`, `3920m`."""
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def _path(settings: Settings) -> str:
    return kube.custom_path(settings.arc_group, _VERSION, settings.namespace, _PLURAL, _NAME)
