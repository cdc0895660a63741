"""The processes that each engine run starts, in this one instead: the program's, and the stand-in's.

Both have to import what they work with, which costs a run more than all its work. Nothing else differs: the engine
is the real CLI, it speaks to both over gRPC, and each provider has a stand-in of its own, as if it were a process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2_grpc, provider_pb2_grpc

from infra.kubernetes_plugin.attached import StandIns
from infra.plugin.process import THREADS

_GRACE_SECONDS = 4.0


class _Language(LanguageServer):
    """Runs the program. After one that failed, Pulumi's own leaves its event loop open: it is closed here."""

    def __init__(self, program: Callable[[], None]) -> None:
        self._loops: list[asyncio.AbstractEventLoop] = []

        def noted() -> None:
            self._loops.append(asyncio.get_running_loop())
            program()

        super().__init__(noted)

    def Run(self, request: Any, context: Any) -> Any:
        run: Callable[[Any, Any], Any] = super().Run
        try:
            return run(request, context)
        finally:
            for loop in self._loops:
                _end(loop)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    if loop.is_closed():
        return
    pending = asyncio.all_tasks(loop)
    for task in pending:
        task.cancel()
    if pending:
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
    loop.close()


@contextmanager
def attached(program: Callable[[], None], environment: Mapping[str, str]) -> Iterator[int]:
    """Serve a program and stand-ins, which both see an environment, while the block lasts; give the port."""
    pool = ThreadPoolExecutor(THREADS)
    server = grpc.server(pool)
    stand_ins = StandIns()
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(stand_ins, server)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(_Language(program), server)
    port: int = server.add_insecure_port("127.0.0.1:0")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        server.start()
        try:
            yield port
        finally:
            stand_ins.end(_GRACE_SECONDS)
            server.stop(grace=0.2).wait()
            pool.shutdown(wait=False, cancel_futures=True)
