"""The plugin's process: a port, a pool of threads, and an end when the engine has ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from infra.provider.engine import EngineLog, GrpcEngineLog
from infra.provider.plugin import Plugin

if TYPE_CHECKING:
    from infra.provider.servicer import AnyKind

THREADS: Final = 64
"""Operations at once: sixteen hosts with a few each. Blocking calls wait here, not in the engine."""
_CONTROL_THREADS: Final = 4  # so that Cancel is heard while every operation's thread is busy
_GRACE_SECONDS: Final = 4.0  # below the five after which the engine kills
_MAX_MESSAGE: Final = 400 * 1024 * 1024  # the engine's own limit


class _NoEngine:
    """Stands in until an engine has attached (a plugin started by hand)."""

    def status(self, urn: str, text: str) -> None:
        """Drop the text: there is no row to show it in."""

    info = status
    warning = status

    def debug(self, text: str) -> None:
        """Print for whoever started the plugin by hand."""
        print(text, file=sys.stderr)  # noqa: T201


def serve(kinds: Mapping[str, AnyKind], arguments: Sequence[str]) -> None:
    """Serve azlocal's own kinds (by type token); see `serve_plugin`."""
    from infra.provider.servicer import Servicer  # another plugin needn't wait for our kinds' models

    serve_plugin(lambda log: Servicer(version("azlocal"), kinds, GrpcEngineLog, log), arguments)


def serve_plugin(make: Callable[[EngineLog], Plugin], arguments: Sequence[str]) -> None:
    """Print the port, answer the engine, return when told to stop or when the engine is gone.

    Args:
        make: builds the plugin, given where to log.
        arguments: the command line; the engine's address is its last positional word.
    """
    positional = [word for word in arguments if not word.startswith("-")]
    log: EngineLog = GrpcEngineLog(positional[-1]) if positional else _NoEngine()
    pool = ThreadPoolExecutor(THREADS + _CONTROL_THREADS, thread_name_prefix="operation")
    server = grpc.server(
        pool,
        options=[
            ("grpc.max_receive_message_length", _MAX_MESSAGE),
            ("grpc.max_send_message_length", _MAX_MESSAGE),
        ],
    )
    servicer = make(log)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201 - the engine reads the port from here
    stop = threading.Event()
    # The engine closes a plugin with SIGINT and waits five seconds for it to go.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _wait_for_end(stop)
    # Where Ctrl-C reached the whole process group, operations still run: they end as on a Cancel.
    servicer.cancel()
    servicer.running.wait_until_none(_GRACE_SECONDS)
    server.stop(grace=0.2).wait()
    # A thread may still block in libvirt; what it was doing is adopted by the next run.
    os._exit(0)


def _wait_for_end(stop: threading.Event) -> None:
    """Return on a signal, or once the process that started us is no more (a `kill -9` of the CLI)."""
    parent = os.getppid()
    while not stop.wait(0.5):
        if os.getppid() != parent:
            return
