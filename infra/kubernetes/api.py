"""A cluster's API, by the official client: plain objects in and out, and one meaning for each way it can fail."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import urllib3
import yaml

from infra.errors import UserError
from infra.kubernetes.client_library import load_client_library
from infra.kubernetes.kubeconfig import in_memory
from infra.kubernetes.memory_file import MemoryFile

_CONNECT_SECONDS: Final = 3.0
_ANSWER_SECONDS: Final = 15.0
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409

Object = dict[str, Any]


class ClusterError(UserError):
    """The API server refuses a request."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_missing(self) -> bool:
        """Return whether there is no such object."""
        return self.status == _NOT_FOUND

    @property
    def is_conflict(self) -> bool:
        """Return whether the object stands already, or was changed by somebody else meanwhile."""
        return self.status == _CONFLICT


class ClusterUnreachable(UserError):
    """The API server doesn't answer; nothing is known about the cluster."""


class ClusterApi:
    """One cluster's API server, as a kubeconfig names it."""

    def __init__(self, kubeconfig: str) -> None:
        # Imported here: a plan or a preview needn't pay for it.
        load_client_library()
        from kubernetes.client import ApiClient, Configuration
        from kubernetes.config import load_kube_config_from_dict

        configuration = Configuration(retries=0)
        load: Any = load_kube_config_from_dict  # has no types
        files: list[MemoryFile] = []
        weakref.finalize(self, _close, files)
        load(in_memory(yaml.safe_load(kubeconfig), files), client_configuration=configuration)
        self._client = ApiClient(configuration)
        self.server: str = configuration.host

    def get(self, path: str, **query: str) -> Object:
        """Return an object or a list.

        Raises:
            ClusterError: the server refuses.
            ClusterUnreachable: it doesn't answer.
        """
        found: Object = json.loads(self.text(path, **query))
        return found

    def items(self, path: str, **query: str) -> list[Object]:
        """Return a list's items."""
        found: list[Object] = self.get(path, **query).get("items") or []
        return found

    def text(self, path: str, **query: str) -> str:
        """Return what isn't JSON: a log, a health check."""
        return self.send("GET", path, query=query)

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> str:
        """Send a request; return the answer's text."""
        from kubernetes.client.exceptions import ApiException

        url = f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Content-Type": content_type, "Accept": "application/json, */*", **self._bearer()}
        try:
            answer: Any = self._client.call_api(
                method, url, headers, body, _request_timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS)
            )
            data: bytes = answer.read()
        except ApiException as error:
            raise ClusterError(f"{self.server}{path}: {_reason(error)}", error.status or 0) from error
        except urllib3.exceptions.HTTPError as error:
            raise ClusterUnreachable(f"{self.server} doesn't answer: {_network_reason(error)}") from error
        if answer.status >= 400:
            raise ClusterError(f"{self.server}{path}: {_message(data) or answer.reason}", answer.status)
        return data.decode(errors="replace")

    def _bearer(self) -> dict[str, str]:
        """Return the header of a kubeconfig that has a token; `call_api` itself only knows certificates."""
        found: Any = self._client.configuration.auth_settings()
        return {one["key"]: one["value"] for one in found.values() if one["value"]}


def _close(files: Iterable[MemoryFile]) -> None:
    for file in files:
        file.close()


def _reason(error: Any) -> str:
    return _message(error.body or "") or f"{error.status} {error.reason}"


def _message(body: str | bytes) -> str:
    """Return the message of a Status object, else the body itself, bounded."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    try:
        content = json.loads(text)
    except ValueError:
        return text.strip()[:500]
    return str(content.get("message", "")) if isinstance(content, dict) else ""


def _network_reason(error: BaseException) -> str:
    """Return the innermost reason: urllib3 wraps it in pools and retries that say nothing to a user."""
    reason: Any = getattr(error, "reason", None) or error
    while getattr(reason, "reason", None) and isinstance(reason.reason, BaseException):
        reason = reason.reason
    text = str(reason)
    return text.rpartition(": ")[2] if isinstance(reason, urllib3.exceptions.NewConnectionError) else text
