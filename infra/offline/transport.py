"""Requests to one API server: authentication and TLS by the official client, and what each failure means."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import urllib3
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from infra.errors import UserError
from infra.kubernetes.client_library import load_client_library
from infra.kubernetes.kubeconfig import in_memory
from infra.kubernetes.memory_file import MemoryFile
from infra.offline import kubeconfig
from infra.offline.errors import ApiError, ClusterUnreachable, Conflict, NotFound

_CONNECT_SECONDS: Final = 4.0  # a cluster that is gone must be an answer, not a wait
_DEAD_SECONDS: Final = 10.0  # how long one silence answers for all: sixteen resources don't each wait
_PATIENCE_SECONDS: Final = 20.0  # for a server that has answered before: its address moves when a node fails
_POOL_SIZE: Final = 32
_BUSY: Final = frozenset({429, 502, 503, 504})


class _Busy(Exception):
    """The API server asks to be asked again."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class _Silence:
    at: float
    reason: str


class Transport:
    """Sends requests to the API server that a kubeconfig names. Connects when first asked to."""

    def __init__(self, config: Mapping[str, Any], timeout: float) -> None:
        """Remember where to connect to.

        Args:
            config: as `kubeconfig.load` returns it.
            timeout: seconds for an answer.
        """
        self._config = config
        self._timeout = timeout
        self._lock = threading.Lock()
        self._rest: Any = None
        self._settings: Any = None
        self._tls_failure: type[Exception] = ssl.SSLError  # the client's own, once it is imported
        self._files: list[MemoryFile] = []
        self._answered = False
        self._silence: _Silence | None = None

    @property
    def server(self) -> str:
        """Return the API server's URL."""
        return kubeconfig.server(self._config)

    def probe(self) -> None:
        """Return once the API server has answered.

        Raises:
            ClusterUnreachable: it didn't.
        """
        self.send("GET", "/version")

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Send a request and return the answer. All requests of this plugin can be repeated.

        Raises:
            ClusterUnreachable: there was no answer.
            ApiError: the answer is an error.
        """
        silence = self._silence
        if silence and time.monotonic() - silence.at < _DEAD_SECONDS:
            raise ClusterUnreachable(silence.reason)
        attempts = Retrying(
            stop=stop_after_delay(_PATIENCE_SECONDS if self._answered and not silence else 0),
            wait=wait_exponential(multiplier=0.3, max=3),
            retry=retry_if_exception_type((ClusterUnreachable, _Busy)),
            reraise=True,
        )
        try:
            answer: dict[str, Any] = attempts(self._once, method, path, query, body, content_type)
        except ClusterUnreachable as error:
            self._silence = _Silence(time.monotonic(), str(error))
            raise
        except _Busy as busy:
            raise busy.error from None
        return answer

    def _once(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any, content_type: str
    ) -> dict[str, Any]:
        rest = self._connect()
        headers = {"Accept": "application/json", "Content-Type": content_type}
        auth = self._settings.auth_settings().get("BearerToken")
        if auth:
            headers["Authorization"] = auth["value"]
        text = json.dumps(body) if body is not None and content_type != "application/json" else body
        url = self.server.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        limits = (_CONNECT_SECONDS, self._timeout)
        try:
            response = rest.request(method, url, headers=headers, body=text, _request_timeout=limits)
            content = response.read()
        except (urllib3.exceptions.HTTPError, self._tls_failure) as error:
            raise ClusterUnreachable(f"the API server at {self.server} doesn't answer: {_cause(error)}") from error
        self._answered, self._silence = True, None
        return _read(method, path, response.status, content)

    def _connect(self) -> Any:
        with self._lock:
            if self._rest is None:
                # Imported here: it takes longer than everything else that the plugin needs to start.
                load_client_library()
                from kubernetes.client import ApiException, Configuration
                from kubernetes.client.rest import RESTClientObject
                from kubernetes.config import ConfigException, load_kube_config_from_dict

                settings = Configuration()
                settings.retries = urllib3.Retry(0, redirect=0)
                settings.connection_pool_maxsize = _POOL_SIZE
                usable = in_memory(self._config, self._files)
                try:
                    load_kube_config_from_dict(usable, client_configuration=settings, persist_config=False)
                except ConfigException as error:
                    raise UserError(f"the kubeconfig can't be used: {error}") from error
                self._tls_failure = ApiException
                self._settings, self._rest = settings, RESTClientObject(settings)
            return self._rest


def _cause(error: BaseException) -> str:
    """Return the innermost reason: the client wraps a refused connection four times."""
    inner: BaseException = error
    while True:
        reason = getattr(inner, "reason", None)
        following = reason if isinstance(reason, BaseException) else inner.__cause__
        if following is None or following is inner:
            break
        inner = following
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return str(getattr(inner, "reason", None) or inner).rpartition(": ")[2] or type(inner).__name__


def _read(method: str, path: str, status: int, content: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        decoded = json.loads(content)
        answer = decoded if isinstance(decoded, dict) else {}
    if status < 400:
        return answer
    message = str(answer.get("message") or content.decode(errors="replace").strip() or f"HTTP {status}")
    reason = str(answer.get("reason") or "")
    if status == 404:
        raise NotFound(message, status, reason, answer.get("details"))
    if status == 409:
        raise Conflict(message, status, reason, answer.get("details"))
    error = ApiError(f"{message} ({method} {path})", status, reason, answer.get("details"))
    if status in _BUSY:
        raise _Busy(error)
    raise error
