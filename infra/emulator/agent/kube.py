"""The cluster's API, asked as the agent's service account."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .errors import Refused
from .wire import Wire

Object = dict[str, Any]

_MISSING = 404


class Api:
    """The Kubernetes API."""

    def __init__(self, server: str, service_account: Path, manager: str) -> None:
        """Keep where it is; `manager` is what objects say of who made them."""
        self._server = server
        self._token = service_account / "token"
        self._manager = manager
        # The API server is a neighbour: no proxy stands between.
        self._wire = Wire(ssl.create_default_context(cafile=str(service_account / "ca.crt")), proxied=False)

    def get(self, path: str, **query: str) -> Object:
        """Return an object or a list."""
        return self._send("GET", path, query=query)

    def token_keys(self) -> Object:
        """Return the keys that tokens of service accounts are checked with."""
        return self._send("GET", "/openid/v1/jwks", accept="application/jwk-set+json")

    def find(self, path: str) -> Object | None:
        """Return an object, None where there is none."""
        try:
            return self.get(path)
        except Refused as error:
            if error.status == _MISSING:
                return None
            raise

    def items(self, path: str, **query: str) -> list[Object]:
        """Return a list's objects; none where the cluster doesn't know the kind."""
        try:
            found: list[Object] = self.get(path, **query).get("items") or []
        except Refused as error:
            if error.status == _MISSING:
                return []
            raise
        return found

    def create_namespace(self, name: str) -> None:
        """Make a namespace where there is none; one that stands is left as it is."""
        if self.find(f"/api/v1/namespaces/{name}") is None:
            content = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata(name)}
            self._send("POST", "/api/v1/namespaces", content)

    def apply(self, path: str, content: Object) -> Object:
        """Make an object what `content` says (server-side apply: what others set beside it stays)."""
        query = {"fieldManager": self._manager, "force": "true", "fieldValidation": "Strict"}
        return self._send("PATCH", path, content, query=query, content_type="application/apply-patch+yaml")

    def merge(self, path: str, content: Object) -> Object:
        """Change some fields of an object."""
        return self._send("PATCH", path, content, content_type="application/merge-patch+json")

    def delete(self, path: str) -> bool:
        """Delete an object; return whether there was one."""
        try:
            self._send("DELETE", path)
        except Refused as error:
            if error.status == _MISSING:
                return False
            raise
        return True

    def _send(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        token = self._token.read_text().strip()  # kubelet renews the file
        url = f"{self._server}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Bearer {token}", "Accept": accept}
        answer = self._wire.send(method, url, body, headers=headers, content_type=content_type)
        return answer.content if isinstance(answer.content, dict) else {}


def metadata(name: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Object:
    """Return the metadata of an object that an agent makes."""
    found: Object = {"name": name, "labels": {"azlocal.io/emulated": "true", **(labels or {})}}
    return found if namespace is None else {**found, "namespace": namespace}


def secret(meta: Object, content: Mapping[str, bytes | str]) -> Object:
    """Return a Secret."""
    data = {
        name: base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
        for name, value in content.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": data}


def secret_path(namespace: str, name: str) -> str:
    """Return a Secret's path."""
    return f"/api/v1/namespaces/{namespace}/secrets/{name}"


def secret_content(found: Object) -> dict[str, bytes]:
    """Return what a Secret holds."""
    return {name: base64.b64decode(value) for name, value in (found.get("data") or {}).items()}


def custom_path(group: str, version: str, namespace: str, plural: str, name: str = "") -> str:
    """Return the path of a namespaced custom resource, or of their list."""
    path = f"/apis/{group}/{version}/namespaces/{namespace}/{plural}"
    return f"{path}/{name}" if name else path


def condition(found: Object, kind: str) -> Object | None:
    """Return a condition of an object's status."""
    conditions: Iterable[Object] = (found.get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry.get("type") == kind), None)
