"""A cluster's API: plain objects in and out, and one meaning for each way it can fail.

The official client reads the kubeconfig (certificates, tokens, proxies); requests go through its connections.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any, Final
from urllib.parse import urlencode

import urllib3
import yaml

from infra.errors import UserError
from infra.kubernetes.client_library import load_client_library
from infra.kubernetes.kubeconfig import in_memory
from infra.kubernetes.memory_file import MemoryFile

_CONNECT_SECONDS: Final = 4.0  # a cluster that is gone must be an answer, not a wait
_ANSWER_SECONDS: Final = 15.0
_CONNECTIONS: Final = 32
_LONGEST_MESSAGE: Final = 500
_MERGE: Final = "application/merge-patch+json"
_ACCEPT: Final = "application/json, */*"
_TRIES: Final = 5
# "Later, please" (429 or 503 with Retry-After) is done over as client-go does: nothing was done. A server says so
# while it is flooded, and while a resource definition that was removed is made again. Nothing else is repeated.
_LATER: Final = urllib3.Retry(
    _TRIES, connect=0, read=0, redirect=0, other=0, allowed_methods=None, raise_on_status=False
)

Object = dict[str, Any]


class ClusterError(UserError):
    """A cluster refuses what it is asked, or doesn't answer."""


class ClusterUnreachable(ClusterError):
    """The API server doesn't answer; nothing is known about the cluster."""


class ApiError(ClusterError):
    """The API server refuses a request.

    Attributes:
        message: its own words.
        status: HTTP's.
        details: of the Status object, as a conflict's causes.
    """

    def __init__(
        self, message: str, status: int, details: Mapping[str, Any] | None = None, *, request: str = ""
    ) -> None:
        super().__init__(f"{message} ({request})" if request else message)
        self.message = message
        self.status = status
        self.details = details or {}


class NotFound(ApiError):
    """There is no such object."""


class Conflict(ApiError):
    """The object stands already, was changed by somebody else meanwhile, or a field has another owner."""


class ClusterApi:
    """One cluster's API server, as a kubeconfig names it. Connects when it is first asked something."""

    def __init__(self, kubeconfig: str | Mapping[str, Any], seconds: float = _ANSWER_SECONDS) -> None:
        """Remember where to connect to, and how many seconds an answer may take."""
        self._config = kubeconfig
        self._seconds = seconds
        self._lock = threading.Lock()
        self._settings: Any = None
        self._pool: Any = None

    @cached_property
    def server(self) -> str:
        """Return the API server's URL."""
        host: str = self._connected().host
        return host.rstrip("/")

    def get(self, path: str, **query: str) -> Object:
        """Return an object or a list.

        Raises:
            NotFound: there is none.
            ApiError: the server refuses.
            ClusterUnreachable: it doesn't answer.
        """
        content: Object = json.loads(self.text(path, **query))
        return content

    def find(self, path: str) -> Object | None:
        """Return an object, None where the server says that there is none."""
        try:
            return self.get(path)
        except NotFound:
            return None

    def items(self, path: str, **query: str) -> list[Object]:
        """Return a list's items."""
        items: list[Object] = self.get(path, **query).get("items") or []
        return items

    def text(self, path: str, **query: str) -> str:
        """Return what isn't JSON: a log, a health check."""
        return self.send("GET", path, query=query)

    def merge(self, path: str, change: Object) -> None:
        """Change some fields of an object."""
        self.send("PATCH", path, change, content_type=_MERGE)

    def change(self, path: str, patch: Callable[[Object], Object | None], seen: Object | None = None) -> bool:
        """Merge into an object what it calls for, again where somebody else has written it meanwhile.

        Args:
            path: The object's.
            patch: Returns the merge patch for the object as it stands, with its resourceVersion where a list is
                replaced; None where nothing is to be changed.
            seen: The object as it was just read, which spares reading it.

        Returns:
            Whether it was changed; not where it isn't there.

        Raises:
            Conflict: Somebody else is faster each time.
        """
        for remaining in reversed(range(_TRIES)):
            stands, seen = seen or self.find(path), None
            change = patch(stands) if stands is not None else None
            if change is None:
                return False
            try:
                self.merge(path, change)
            except NotFound:
                return False
            except Conflict:
                if not remaining:
                    raise
            else:
                return True
        return False

    def delete(self, path: str, **query: str) -> None:
        """Ask for an object's deletion; success when there is none."""
        try:
            self.send("DELETE", path, query=query)
        except NotFound:
            return

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = _ACCEPT,
    ) -> str:
        """Send a request; return the answer's text.

        Args:
            method: HTTP's.
            path: Below the server's URL.
            body: What is sent, as JSON.
            query: Of the URL.
            content_type: Of the body.
            accept: In which forms the answer may be.

        Raises:
            ApiError: the server refuses.
            ClusterUnreachable: it doesn't answer.
        """
        settings = self._connected()
        headers = {"Content-Type": content_type, "Accept": accept}
        # The client itself sends certificates only: tokens go with each request, since they may be renewed.
        headers |= {
            setting["key"]: setting["value"] for setting in settings.auth_settings().values() if setting["value"]
        }
        ask = partial(
            self._pool.request,
            method,
            f"{self.server}{path}" + (f"?{urlencode(query)}" if query else ""),
            body=None if body is None else json.dumps(body),
            headers=headers,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=self._seconds),
        )
        try:
            try:
                answer = ask()
            except urllib3.exceptions.HTTPError as error:
                if method != "GET" or not _was_closed(error):
                    raise
                answer = ask()
        except urllib3.exceptions.HTTPError as error:
            raise ClusterUnreachable(f"the API server at {self.server} doesn't answer: {_cause(error)}") from error
        text: str = answer.data.decode(errors="replace")
        if answer.status >= 400:
            raise _refusal(f"{method} {self.server}{path}", answer.status, text)
        return text

    def _connected(self) -> Any:
        """Return the client's settings, once it has read the kubeconfig.

        Raises:
            UserError: it can't be used; the message never repeats a key.
        """
        with self._lock:
            if self._settings is None:
                # Imported here: it takes longer than everything else that a plugin needs to start.
                load_client_library()
                from kubernetes.client import Configuration
                from kubernetes.client.rest import RESTClientObject
                from kubernetes.config import ConfigException, load_kube_config_from_dict

                config = self._config
                files: list[MemoryFile] = []
                weakref.finalize(self, _close, files)
                usable = in_memory(yaml.safe_load(config) if isinstance(config, str) else config, files)
                settings = Configuration()
                settings.retries = _LATER
                settings.connection_pool_maxsize = _CONNECTIONS
                try:
                    load_kube_config_from_dict(usable, client_configuration=settings, persist_config=False)
                except ConfigException as error:
                    raise UserError(f"the kubeconfig can't be used: {error}") from error
                self._pool, self._settings = RESTClientObject(settings).pool_manager, settings
            return self._settings


def _close(files: Iterable[MemoryFile]) -> None:
    for file in files:
        file.close()


def _refusal(request: str, status: int, text: str) -> ApiError:
    """Return the error that an answer is: a Status object's message, else the answer itself, bounded."""
    try:
        decoded = json.loads(text)
    except ValueError:
        decoded = None
    answer = decoded if isinstance(decoded, dict) else {}
    message = str(answer.get("message") or text.strip()[:_LONGEST_MESSAGE] or f"HTTP {status}")
    kind = {404: NotFound, 409: Conflict}.get(status, ApiError)
    return kind(message, status, answer.get("details"), request=request)


def _was_closed(error: urllib3.exceptions.HTTPError) -> bool:
    """Return whether it was the connection that ended: one that was kept open does when its API server ends.

    That says nothing about who answers now. Whether a write was done isn't known, so that only reads are repeated.
    """
    return isinstance(getattr(error, "reason", error), urllib3.exceptions.ProtocolError)


def _cause(error: BaseException) -> str:
    """Return the innermost reason: urllib3 wraps a refused connection in pools and retries."""
    inner = error
    while True:
        reason = getattr(inner, "reason", None)
        following = reason if isinstance(reason, BaseException) else inner.__cause__
        if following is None:
            break
        inner = following
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    text = str(inner).partition(": ")[2] if isinstance(inner, urllib3.exceptions.PoolError) else str(inner)
    return text or type(inner).__name__
