"""How a plugin is served: a port, a pool of threads, and the end of its process when the engine has ended."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import grpc

from infra.plugin.engine import EngineLog, GrpcEngineLog
from infra.plugin.proto import provider_pb2_grpc
from infra.plugin.protocol import Plugin, Served

THREADS: Final = 64
"""Operations at once: sixteen hosts with a few each. Blocking calls wait here, not in the engine."""
_CONTROL_THREADS: Final = 4  # so that Cancel is heard while every operation's thread is busy
_GRACE_SECONDS: Final = 4.0  # below the five after which the engine kills
_MAX_MESSAGE: Final = 400 * 1024 * 1024  # the engine's own limit


class NoEngine:
    """Stands in until an engine has attached: to a plugin started by hand, or to one in its program's process."""

    def status(self, urn: str, text: str) -> None:
        """Drop the text: there is no row to show it in."""

    info = status
    warning = status

    def debug(self, text: str) -> None:
        """Print for whoever started the plugin."""
        print(text, file=sys.stderr)  # noqa: T201


def serve(make: Callable[[EngineLog], Plugin], arguments: Sequence[str]) -> None:
    """Print the port, answer the engine, end the process when told to stop or when the engine is gone.

    Args:
        make: builds the plugin, given where to log.
        arguments: the command line; the engine's address is its last positional word.
    """
    positional = [word for word in arguments if not word.startswith("-")]
    end = _End()
    with listening(make(GrpcEngineLog(positional[-1]) if positional else NoEngine())) as port:
        print(port, flush=True)  # noqa: T201 - the engine reads the port from here
        end.wait()
    # A thread may still block in libvirt; what it was doing is adopted by the next run.
    os._exit(0)


@contextmanager
def listening(plugin: Served) -> Iterator[int]:
    """Yield the port at which a plugin is served; what it still does afterwards ends as on a Cancel."""
    pool = ThreadPoolExecutor(THREADS + _CONTROL_THREADS, thread_name_prefix="operation")
    limits = [(f"grpc.max_{way}_message_length", _MAX_MESSAGE) for way in ("receive", "send")]
    server = grpc.server(pool, options=limits)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(plugin, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        # Where Ctrl-C reached the whole process group, or the engine was killed, operations still run.
        plugin.end(_GRACE_SECONDS)
        server.stop(grace=0.2).wait()
        pool.shutdown(wait=False, cancel_futures=True)


class _End:
    """The end of this process's work: a signal, or the end of who started it (a `kill -9` of the CLI)."""

    def __init__(self) -> None:
        """Listen from now on."""
        self._parent = os.getppid()
        woken, self._wake = socket.socketpair()
        for end in (woken, self._wake):
            end.setblocking(False)
        # The engine closes a plugin with SIGINT and waits five seconds for it to go. The handlers do nothing:
        # what is waited for is the byte that each signal with a handler writes.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._events = select.poll()
        self._events.register(woken, select.POLLIN)
        self._woken = woken
        self._step: int | None = None
        try:
            self._events.register(os.pidfd_open(self._parent), select.POLLIN)
        except (AttributeError, OSError):  # an old kernel, a sandbox that forbids it, or a parent that is gone
            self._step = 500

    def wait(self) -> None:
        """Return at the end."""
        # Who is another's child by now has missed the end of its parent.
        while os.getppid() == self._parent and not self._events.poll(self._step):
            pass
