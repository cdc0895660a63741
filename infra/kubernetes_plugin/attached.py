"""Stand-ins for an engine that finds them running: one for each provider, as if each were a process.

The engine speaks to all of them at one port. It opens a connection for each provider, and configures what is
behind it; so a connection is a provider. Nothing is imported before the first call: many stacks have no cluster.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import grpc

from infra.plugin.proto import provider_pb2
from infra.plugin.protocol import Served

if TYPE_CHECKING:
    from infra.kubernetes_plugin.servicer import KubernetesServicer

_SERVICE: Final = provider_pb2.DESCRIPTOR.services_by_name["ResourceProvider"]
_FIRST: Final = frozenset(
    {"Attach", "Handshake", "GetPluginInfo", "GetSchema", "CheckConfig", "DiffConfig", "Configure"}
)
"""What the engine asks of a provider before it has configured it."""


class StandIns(Served):
    """A stand-in for each connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_peer: dict[str, KubernetesServicer] = {}

    def of(self, method: str, context: Any) -> KubernetesServicer:
        """Return the stand-in that a call is for.

        After half an hour without a call, gRPC reconnects for the next one: where there is one provider, it is
        that one's.
        """
        peer: str = context.peer()
        with self._lock:
            if peer not in self._by_peer:
                others = set(self._by_peer.values())
                if method in _FIRST or not others:
                    self._by_peer[peer] = _stand_in()
                elif len(others) == 1:
                    self._by_peer[peer] = others.pop()
                else:
                    context.abort(
                        grpc.StatusCode.UNAVAILABLE,
                        "the engine has reconnected, and the stand-in for the kubernetes plugin can't tell for "
                        "which cluster; run the same command again, it goes on from here",
                    )
            return self._by_peer[peer]

    def end(self, grace: float) -> None:
        """Stop what runs at its next step, and wait so many seconds for that."""
        for servicer in set(self._by_peer.values()):
            servicer.end(grace)


def _stand_in() -> KubernetesServicer:
    from infra.kubernetes_plugin.sdk import sdk_version
    from infra.kubernetes_plugin.servicer import KubernetesServicer
    from infra.plugin.engine import GrpcEngineLog
    from infra.plugin.process import NoEngine

    return KubernetesServicer(sdk_version(), GrpcEngineLog, NoEngine())


def _delegate(method: str) -> Callable[[StandIns, Any, Any], Any]:
    def call(self: StandIns, request: Any, context: Any) -> Any:
        return getattr(self.of(method, context), method)(request, context)

    return call


def _serve(methods: Iterable[str]) -> None:
    for method in methods:
        setattr(StandIns, method, _delegate(method))


_serve(method.name for method in _SERVICE.methods)
