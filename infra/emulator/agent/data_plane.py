"""The configuration service, called with the cluster's certificate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from . import credential
from .clock import Clock
from .errors import Refused
from .settings import Settings
from .wire import Wire

_VERSION = "2019-11-01-Preview"
_UNAUTHORIZED = 401


class DataPlane:
    """Asks the service about this one cluster."""

    def __init__(
        self, settings: Settings, wire: Wire, clock: Clock, identity: Callable[[], credential.Identity]
    ) -> None:
        self._audience = settings.data_plane
        self._base = (
            f"{settings.data_plane}/subscriptions/{quote(settings.subscription_id)}"
            f"/resourceGroups/{quote(settings.resource_group)}"
            f"/provider/connectedclusters/clusters/{quote(settings.cluster)}"
        )
        self._wire = wire
        self._clock = clock
        self._identity = identity

    def call(self, operation: str, body: Any = None) -> dict[str, Any]:
        """Call an operation and return its answer.

        Raises:
            Refused: the service's answer is an error.
            AgentError: it doesn't answer, or the cluster has no certificate.
        """
        identity = self._identity()
        try:
            return self._once(operation, body, identity)
        except Refused as error:
            if error.status != _UNAUTHORIZED:
                raise
        # The time may have been set ahead since the last answer: the refusal told it.
        return self._once(operation, body, identity)

    def _once(self, operation: str, body: Any, identity: credential.Identity) -> dict[str, Any]:
        token = credential.token(identity, self._audience, self._clock.now())
        url = f"{self._base}/{operation}?api-version={_VERSION}"
        try:
            answer = self._wire.send("POST", url, body or {}, headers={"Authorization": f"Bearer {token}"})
        except Refused as error:
            self._clock.learn(error.headers)
            raise
        self._clock.learn(answer.headers)
        return answer.content if isinstance(answer.content, dict) else {}
