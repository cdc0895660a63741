"""The processes that each engine run starts, in this one instead: the program's, and the stand-in's.

Both have to import what they work with, which costs a run more than all its work. Nothing else differs: the engine
is the real CLI, it speaks to both over gRPC, and each provider has a stand-in of its own, as if it were a process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import grpc
import pytest
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2_grpc, provider_pb2, provider_pb2_grpc

from infra.offline.servicer import KubernetesServicer
from infra.provider.engine import GrpcEngineLog
from infra.provider.process import THREADS

_GRACE_SECONDS = 4.0
_METHODS = [method.name for method in provider_pb2.DESCRIPTOR.services_by_name["ResourceProvider"].methods]


class _Unheard:
    """Where a stand-in speaks before the engine has introduced itself."""

    def status(self, urn: str, text: str) -> None:
        """Drop the text."""

    info = status
    warning = status

    def debug(self, text: str) -> None:
        """Drop the text."""


class _PerConnection:
    """Has a stand-in for each connection: the engine makes one for each provider."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_peer: dict[str, KubernetesServicer] = {}

    def of(self, peer: str) -> KubernetesServicer:
        with self._lock:
            if peer not in self._by_peer:
                self._by_peer[peer] = KubernetesServicer(version("pulumi-kubernetes"), GrpcEngineLog, _Unheard())
            return self._by_peer[peer]

    def end(self) -> None:
        """End as the plugin's process does."""
        for servicer in self._by_peer.values():
            servicer.cancel()
            servicer.running.wait_until_none(_GRACE_SECONDS)


def _delegate(name: str) -> Callable[[_PerConnection, Any, Any], Any]:
    def call(self: _PerConnection, request: Any, context: Any) -> Any:
        return getattr(self.of(context.peer()), name)(request, context)

    return call


_Servicer: Any = type("_Servicer", (_PerConnection,), {name: _delegate(name) for name in _METHODS})


@contextmanager
def attached(program: Callable[[], None], environment: Mapping[str, str]) -> Iterator[int]:
    """Serve a program and stand-ins, which both see an environment, while the block lasts; give the port."""
    pool = ThreadPoolExecutor(THREADS)
    server = grpc.server(pool)
    stand_ins = _Servicer()
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(stand_ins, server)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageServer(program), server)
    port: int = server.add_insecure_port("127.0.0.1:0")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        server.start()
        try:
            yield port
        finally:
            stand_ins.end()
            server.stop(grace=0.2).wait()
            pool.shutdown(wait=False, cancel_futures=True)
