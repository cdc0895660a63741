"""The objects of one cluster, by their kind: looked up, applied, deleted."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Final

from infra.errors import UserError
from infra.kubernetes.api import ClusterApi, NotFound, Object
from infra.kubernetes.kinds import KindId, Ref, known_scope

_APPLY: Final = "application/apply-patch+yaml"


class NoSuchKind(UserError):
    """The API server doesn't serve this apiVersion and kind."""


@dataclass(frozen=True)
class Served:
    """How the API server serves a kind."""

    plural: str
    namespaced: bool


class Cluster:
    """An API server's objects, of whatever kinds it serves."""

    def __init__(self, api: ClusterApi) -> None:
        self.api = api
        self._lock = threading.Lock()
        self._groups: dict[str, dict[str, Served]] = {}

    def kind(self, id: KindId) -> Served:
        """Return how a kind is served; a kind that wasn't there before is asked for again.

        Raises:
            NoSuchKind: the API server doesn't serve it.
        """
        with self._lock:
            known = self._groups.get(id.api_version, {})
        if id.kind not in known:
            known = self._discover(id.api_version)
            with self._lock:
                self._groups[id.api_version] = known
        if id.kind not in known:
            raise NoSuchKind(
                f"the API server at {self.api.server} doesn't serve {id}. "
                "If it comes from a CustomResourceDefinition, that has to be made first: name it in dependsOn."
            )
        return known[id.kind]

    def is_namespaced(self, id: KindId) -> bool:
        """Return whether objects of the kind live in namespaces; custom resources unknown so far count as such."""
        known = known_scope(id)
        if known is not None:
            return known
        try:
            return self.kind(id).namespaced
        except NoSuchKind:
            return True

    def get(self, ref: Ref) -> Object:
        """Return an object.

        Raises:
            NotFound: it isn't there.
            NoSuchKind: its kind isn't served.
        """
        return self.api.get(self._path(ref))

    def find(self, ref: Ref) -> Object | None:
        """Return an object, None where the API server says that it, or its kind, isn't there."""
        try:
            return self.get(ref)
        except (NotFound, NoSuchKind):
            return None

    def apply(self, ref: Ref, obj: Object, manager: str, *, force: bool, dry_run: bool = False) -> Object:
        """Apply an object on the server side and return it as it stands then."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        if dry_run:
            query["dryRun"] = "All"
        applied: Object = json.loads(
            self.api.send("PATCH", self._path(ref), obj, query=query, content_type=_APPLY)
        )
        return applied

    def delete(self, ref: Ref, propagation: str, uid: str | None) -> None:
        """Ask for an object's deletion; success when it isn't there. Only the object with that uid is meant."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        self.api.send("DELETE", self._path(ref), options)

    def list_in(self, id: KindId, namespace: str | None, **selectors: str) -> list[Object]:
        """Return the objects of a kind in a namespace.

        Args:
            selectors: `labelSelector`, `fieldSelector`.
        """
        return self.api.items(self._collection(id, namespace), **selectors)

    def list_all(self, id: KindId, **selectors: str) -> list[Object]:
        """Return the objects of a kind in every namespace."""
        return self.api.items(f"{_root(id.api_version)}/{self.kind(id).plural}", **selectors)

    def _path(self, ref: Ref) -> str:
        return f"{self._collection(ref.id, ref.namespace)}/{ref.name}"

    def _collection(self, id: KindId, namespace: str | None) -> str:
        served = self.kind(id)
        where = f"/namespaces/{namespace or 'default'}" if served.namespaced else ""
        return f"{_root(id.api_version)}{where}/{served.plural}"

    def _discover(self, api_version: str) -> dict[str, Served]:
        answer = self.api.find(_root(api_version)) or {}
        return {
            entry["kind"]: Served(entry["name"], bool(entry["namespaced"]))
            for entry in answer.get("resources") or []
            if "/" not in entry["name"]  # not a part of an object, such as its status or its scale
        }


def _root(api_version: str) -> str:
    return f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
