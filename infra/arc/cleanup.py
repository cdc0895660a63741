"""Take away what agents leave on a cluster: custom resources with finalizers, namespaces that don't end.

Nobody is left to answer a finalizer once the agents are gone, so these are taken off; of Arc's own kinds only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from infra.arc.agents import NAMESPACE, RELEASE_NAMESPACE
from infra.arc.errors import Conflict
from infra.kubernetes.api import ClusterApi, NotFound
from infra.kubernetes.api import Conflict as ApiConflict
from infra.kubernetes.readiness import READY, Progress, waiting
from infra.kubernetes.waiting import wait_until_ready
from infra.model.work import Work

NAMESPACES: Final = (NAMESPACE, RELEASE_NAMESPACE)

_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
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
        *(f"{plural}.clusterconfig.azure.{suffix}" for plural in _CLUSTER_CONFIG),
        f"connectedclusters.arc.azure.{suffix}",
    ]


def leftover_definitions(api: ClusterApi, suffix: str) -> list[str]:
    """Return Arc's definitions that stand on the cluster."""
    return [name for name in definition_names(suffix) if api.find(f"{_DEFINITIONS}/{name}") is not None]


def remove_definitions(api: ClusterApi, suffix: str, work: Work) -> None:
    """Remove Arc's definitions and all objects of them, whatever finalizers these have."""
    for name in leftover_definitions(api, suffix):
        work.status(f"removing {name}")
        path = f"{_DEFINITIONS}/{name}"
        for item in _objects(api, path):
            _unfinalize(api, item)
        _delete(api, path)
        if not _is_gone(api, path, _DEFINITION_SECONDS, "removing", name, work):
            _unfinalize(api, path)


def terminating(api: ClusterApi, name: str) -> str | None:
    """Return what holds a namespace that is being removed; None where it isn't, or isn't there."""
    namespace = api.find(f"/api/v1/namespaces/{name}")
    if namespace is None or namespace.get("status", {}).get("phase") != "Terminating":
        return None
    conditions = namespace.get("status", {}).get("conditions") or []
    held = [
        str(condition.get("message") or condition.get("reason"))
        for condition in conditions
        if condition.get("status") == "True"
    ]
    return "; ".join(held) or "its removal has only begun"


def remove_namespaces(api: ClusterApi, work: Work) -> list[str]:
    """Remove the agents' and their release's namespaces; return which stay, and what holds them."""
    for name in NAMESPACES:
        _delete(api, f"/api/v1/namespaces/{name}")
    return [text for name in NAMESPACES if (text := _left(api, name, work))]


def await_terminating(api: ClusterApi, suffix: str, work: Work) -> None:
    """Wait for a removal of the agents' namespaces that is under way; Arc's own objects are let go.

    Raises:
        Conflict: It doesn't end; says what holds it.
    """
    going = [name for name in NAMESPACES if terminating(api, name) is not None]
    if not going:
        return
    remove_definitions(api, suffix, work)
    left = [text for name in going if (text := _left(api, name, work))]
    if left:
        raise Conflict(
            "namespace-terminating",
            "; ".join(left),
            "remove what holds it (an object with a finalizer whose controller is gone, or an APIService that "
            "doesn't answer: kubectl get apiservices), and run again",
        )


def _left(api: ClusterApi, name: str, work: Work) -> str:
    path = f"/api/v1/namespaces/{name}"
    if _is_gone(api, path, _NAMESPACE_SECONDS, "waiting for", f"the namespace {name} to go", work):
        return ""
    return f"the namespace {name} doesn't go: {terminating(api, name) or 'it was replaced'}"


def _is_gone(api: ClusterApi, path: str, seconds: float, doing: str, what: str, work: Work) -> bool:
    """Wait until there is no such object; return False where it stays."""

    def look() -> Progress:
        return READY if api.find(path) is None else waiting(what)

    progress = wait_until_ready(look, work.within(seconds), _PAUSE, doing)
    if not progress.ready:
        work.check(f"{doing} {what}")
    return progress.ready


def _objects(api: ClusterApi, definition: str) -> Iterator[str]:
    """Yield the paths of a definition's objects that have finalizers."""
    resource = api.find(definition)
    if resource is None:
        return
    spec = resource["spec"]
    version = next((candidate["name"] for candidate in spec["versions"] if candidate.get("served")), None)
    if version is None:
        return
    base, plural = f"/apis/{spec['group']}/{version}", spec["names"]["plural"]
    for item in (api.find(f"{base}/{plural}") or {}).get("items") or []:
        about = item["metadata"]
        if about.get("finalizers"):
            where = f"/namespaces/{about['namespace']}" if about.get("namespace") else ""
            yield f"{base}{where}/{plural}/{about['name']}"


def _unfinalize(api: ClusterApi, path: str) -> None:
    with suppress(NotFound, ApiConflict):
        api.merge(path, {"metadata": {"finalizers": None}})


def _delete(api: ClusterApi, path: str) -> None:
    # A namespace that is being removed already answers its removal with a conflict.
    with suppress(ApiConflict):
        api.delete(path)
