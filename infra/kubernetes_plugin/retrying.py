"""The API server of a run: what fails now and then is asked again, and one silence answers for all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from infra.kubernetes.api import ApiError, ClusterApi, ClusterUnreachable

_DEAD_SECONDS: Final = 10.0  # how long one silence answers for all: sixteen resources don't each wait
_PATIENCE_SECONDS: Final = 20.0  # for a server that has answered before: its address moves when a node fails
_BUSY: Final = frozenset({429, 502, 503, 504})


@dataclass
class _Silence:
    at: float
    reason: str


class RetryingApi(ClusterApi):
    """An API server whose requests can all be repeated, as this plugin's can."""

    def __init__(self, kubeconfig: Mapping[str, Any], seconds: float) -> None:
        super().__init__(kubeconfig, seconds)
        self._answered = False
        self._silence: _Silence | None = None

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json, */*",
    ) -> str:
        """Send a request, again where that may help; return the answer's text."""
        silence = self._silence
        if silence and time.monotonic() - silence.at < _DEAD_SECONDS:
            raise ClusterUnreachable(silence.reason)
        attempts = Retrying(
            stop=stop_after_delay(_PATIENCE_SECONDS if self._answered and not silence else 0),
            wait=wait_exponential(multiplier=0.3, max=3),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        try:
            text: str = attempts(super().send, method, path, body, query=query, content_type=content_type)
        except ClusterUnreachable as error:
            self._silence = _Silence(time.monotonic(), str(error))
            raise
        except ApiError:
            self._answered, self._silence = True, None
            raise
        self._answered, self._silence = True, None
        return text


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, ClusterUnreachable) or (isinstance(error, ApiError) and error.status in _BUSY)
