"""One API server for all files that a test process runs; every file finds it as it was when it started."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

import pytest

from tests.kubernetes_plugin.apiserver import ApiServer, missing

_CLEAN_SECONDS = 60.0
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_AT_ONCE = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}


class Object(NamedTuple):
    """An object's address: its API, its kind, and where it is there."""

    api: str
    kind: str
    namespace: str
    name: str

    @property
    def path(self) -> str:
        inside = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{self.api}{inside}/{self.kind}/{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass
class Shared:
    """A server, and what Kubernetes itself keeps in it."""

    server: ApiServer
    own: frozenset[Object]

    def clean(self) -> None:
        """Remove whatever tests made, finalizers or not, and prove that nothing of it is left."""
        ends = time.monotonic() + _CLEAN_SECONDS
        with _asking(self.server) as api:
            while left := [(one, held) for one, held in api.objects() if one not in self.own]:
                assert time.monotonic() < ends, f"tests left behind: {', '.join(str(one) for one, _ in left)}"
                _remove(api, left)
                time.sleep(0.1)


_SHARED = pytest.StashKey[Shared]()


@contextmanager
def lent(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """Lend this process's API server to a file; what it makes there is removed afterwards."""
    if lacking := missing():
        pytest.skip(f"not built on this machine: {', '.join(lacking)}; `azlocal image build` builds them")
    stash = request.config.stash
    if _SHARED not in stash:
        factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        server = ApiServer(factory.mktemp("cluster"))
        request.config.add_cleanup(server.stop)
        server.start()
        stash[_SHARED] = Shared(server, _settled(server))
    try:
        yield stash[_SHARED].server
    finally:
        stash[_SHARED].clean()


def _settled(server: ApiServer) -> frozenset[Object]:
    """Return what is there once Kubernetes has made all that it makes by itself."""
    seen: frozenset[Object] = frozenset()
    ends = time.monotonic() + _CLEAN_SECONDS
    with _asking(server) as api:
        while (now := frozenset(one for one, _ in api.objects())) != seen:
            assert time.monotonic() < ends, f"the cluster doesn't settle: {now ^ seen}"
            seen = now
            time.sleep(0.5)
    return seen


class _Api:
    """One connection for many small questions."""

    def __init__(self, connection: http.client.HTTPSConnection) -> None:
        self._connection = connection

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        """Return the status and what is said; a server busy with a definition's storage is asked again."""
        given = {"Content-Type": "application/json", **headers}
        ends = time.monotonic() + _CLEAN_SECONDS
        while True:
            self._connection.request(method, path, json.dumps(body) if body is not None else None, given)
            answer = self._connection.getresponse()
            said = answer.read()
            if answer.status == HTTPStatus.NOT_FOUND:  # of a kind that isn't served any more, in plain words
                return answer.status, {}
            decoded: dict[str, Any] = json.loads(said)
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS or time.monotonic() > ends:
                return answer.status, decoded
            time.sleep(0.3)

    def objects(self) -> Iterator[tuple[Object, bool]]:
        """Return every object that tests may have made, and whether finalizers hold it."""
        for api, kind in [*self._kinds("/api"), *self._kinds("/apis")]:
            status, found = self.ask("GET", f"{api}/{kind}", Accept=_METADATA)
            if status == HTTPStatus.NOT_FOUND:  # its definition went meanwhile
                continue
            assert status == 200, found
            for item in found["items"] or []:
                metadata = item["metadata"]
                one = Object(api, kind, metadata.get("namespace", ""), metadata["name"])
                if not _is_kubernetes_own(one, metadata):
                    yield one, bool(metadata.get("finalizers"))

    def _kinds(self, root: str) -> Iterable[tuple[str, str]]:
        status, found = self.ask("GET", root, Accept=_DISCOVERY)
        assert status == 200, found
        for group in found["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"][:1]:  # the others have the same objects
                api = f"{root}/{name}/{version['version']}" if name else f"{root}/{version['version']}"
                for resource in version["resources"]:
                    if {"list", "delete"} <= set(resource["verbs"]):
                        yield api, resource["resource"]


@contextmanager
def _asking(server: ApiServer) -> Iterator[_Api]:
    context = ssl.create_default_context(cafile=str(server.folder / "ca.crt"))
    context.load_cert_chain(server.folder / "admin.crt", server.folder / "admin.key")
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=20, context=context)
    try:
        yield _Api(connection)
    finally:
        connection.close()


def _is_kubernetes_own(one: Object, metadata: dict[str, Any]) -> bool:
    """Tell what comes and goes by itself, at any time."""
    return (
        one.kind in ("events", "apiservices")
        or "kubernetes.io/bootstrapping" in metadata.get("labels", {})
        or (one.namespace, one.kind) == ("kube-system", "leases")
        # Each controller makes the account that it works under when it first needs it.
        or ((one.namespace, one.kind) == ("kube-system", "serviceaccounts") and "labels" not in metadata)
    )


def _remove(api: _Api, left: list[tuple[Object, bool]]) -> None:
    """Delete what is left, namespaces too: their controller would begin only five seconds later."""
    # Webhooks would be asked about the rest; in a namespace that ends, nobody makes anything again.
    first = {"mutatingwebhookconfigurations": 0, "validatingwebhookconfigurations": 0, "namespaces": 1}
    # An object's definition goes after it: it waits for the object, and looks again only five seconds later.
    last = {"customresourcedefinitions": 3}
    for one, is_held in sorted(left, key=lambda entry: (first | last).get(entry[0].kind, 2)):
        api.ask("DELETE", one.path, _AT_ONCE)
        if is_held and one.kind not in last:
            patch = {"metadata": {"finalizers": None}}
            api.ask("PATCH", one.path, patch, **{"Content-Type": "application/merge-patch+json"})
    for one in {one for one, _ in left if one.kind == "namespaces"}:
        status, found = api.ask("GET", one.path)
        if status == 200:
            api.ask("PUT", f"{one.path}/finalize", {**found, "spec": {"finalizers": []}})
