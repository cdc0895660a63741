"""Take away what agents leave on a cluster: custom resources with finalizers, namespaces that don't end.

Nobody is left to answer a finalizer once the agents are gone, so these are taken off; of Arc's own kinds only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from infra.arc.agents import NAMESPACE, RELEASE_NAMESPACE
from infra.arc.errors import Conflict
from infra.arc.patience import Patience
from infra.kubernetes.api import ClusterApi, ClusterError

NAMESPACES: Final = (NAMESPACE, RELEASE_NAMESPACE)

_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_MERGE: Final = "application/merge-patch+json"
_CLUSTER_CONFIG: Final = (
    "arccertificates",
    "azureclusteridentityrequests",
    "azureextensionidentities",
    "customlocationsettings",
    "extensionconfigs",
    "gitconfigs",
)
_DEFINITION_SECONDS: Final = 20.0
_NAMESPACE_SECONDS: Final = 180.0
_PAUSE: Final = 0.3


def definition_names(suffix: str) -> list[str]:
    """Return the names of Arc's own custom resource definitions (facts §2)."""
    return [
        *(f"{one}.clusterconfig.azure.{suffix}" for one in _CLUSTER_CONFIG),
        f"connectedclusters.arc.azure.{suffix}",
    ]


def leftover_definitions(api: ClusterApi, suffix: str) -> list[str]:
    """Return Arc's definitions that stand on the cluster."""
    return [name for name in definition_names(suffix) if _got(api, f"{_DEFINITIONS}/{name}") is not None]


def remove_definitions(api: ClusterApi, suffix: str, patience: Patience) -> None:
    """Remove Arc's definitions and all objects of them, whatever finalizers these have."""
    for name in leftover_definitions(api, suffix):
        patience.status(f"removing {name}")
        path = f"{_DEFINITIONS}/{name}"
        for item in _objects(api, path):
            _unfinalize(api, item)
        _delete(api, path)
        if not _is_gone(api, path, _DEFINITION_SECONDS, f"removing {name}", patience):
            _unfinalize(api, path)


def terminating(api: ClusterApi, name: str) -> str | None:
    """Return what holds a namespace that is being removed; None where it isn't, or isn't there."""
    found = _got(api, f"/api/v1/namespaces/{name}")
    if found is None or found.get("status", {}).get("phase") != "Terminating":
        return None
    conditions = found.get("status", {}).get("conditions") or []
    held = [str(one.get("message") or one.get("reason")) for one in conditions if one.get("status") == "True"]
    return "; ".join(held) or "its removal has only begun"


def remove_namespaces(api: ClusterApi, patience: Patience) -> list[str]:
    """Remove the agents' and their release's namespaces; return which stay, and what holds them."""
    for name in NAMESPACES:
        _delete(api, f"/api/v1/namespaces/{name}")
    return [text for name in NAMESPACES if (text := _left(api, name, patience))]


def await_terminating(api: ClusterApi, suffix: str, patience: Patience) -> None:
    """Wait for a removal of the agents' namespaces that is under way; Arc's own objects are let go.

    Raises:
        Conflict: It doesn't end; says what holds it.
    """
    going = [name for name in NAMESPACES if terminating(api, name) is not None]
    if not going:
        return
    remove_definitions(api, suffix, patience)
    left = [text for name in going if (text := _left(api, name, patience))]
    if left:
        raise Conflict(
            "namespace-terminating",
            "; ".join(left),
            "remove what holds it (an object with a finalizer whose controller is gone, or an APIService that "
            "doesn't answer: kubectl get apiservices), and run again",
        )


def _left(api: ClusterApi, name: str, patience: Patience) -> str:
    path = f"/api/v1/namespaces/{name}"
    doing = f"waiting for the namespace {name} to go"
    if _is_gone(api, path, _NAMESPACE_SECONDS, doing, patience):
        return ""
    return f"the namespace {name} doesn't go: {terminating(api, name) or 'it was made anew'}"


def _is_gone(api: ClusterApi, path: str, seconds: float, doing: str, patience: Patience) -> bool:
    """Wait until there is no such object; return False where it stays."""
    within = patience.within(seconds)
    while _got(api, path) is not None:
        patience.check(doing)
        if not within.left:
            return False
        patience.status(doing)
        patience.pause(_PAUSE, doing)
    return True


def _objects(api: ClusterApi, definition: str) -> Iterator[str]:
    """Yield the paths of a definition's objects that have finalizers."""
    found = _got(api, definition)
    if found is None:
        return
    spec = found["spec"]
    version = next((one["name"] for one in spec["versions"] if one.get("served")), None)
    if version is None:
        return
    base, plural = f"/apis/{spec['group']}/{version}", spec["names"]["plural"]
    for item in (_got(api, f"{base}/{plural}") or {}).get("items") or []:
        about = item["metadata"]
        if about.get("finalizers"):
            where = f"/namespaces/{about['namespace']}" if about.get("namespace") else ""
            yield f"{base}{where}/{plural}/{about['name']}"


def _unfinalize(api: ClusterApi, path: str) -> None:
    _ignoring_missing(lambda: api.send("PATCH", path, {"metadata": {"finalizers": None}}, content_type=_MERGE))


def _delete(api: ClusterApi, path: str) -> None:
    _ignoring_missing(lambda: api.send("DELETE", path))


def _got(api: ClusterApi, path: str) -> dict[str, Any] | None:
    try:
        return api.get(path)
    except ClusterError as error:
        if error.is_missing:
            return None
        raise


def _ignoring_missing(request: Callable[[], object]) -> None:
    try:
        request()
    except ClusterError as error:
        # A namespace that is being removed already answers its removal with a conflict.
        if not (error.is_missing or error.is_conflict):
            raise
