"""What any plugin process tells the engine, whatever its resources are: handshake, cancellation, failures."""

from __future__ import annotations

import threading
import traceback
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2, struct_pb2

from infra.errors import UserError
from infra.plugin.engine import EngineLog
from infra.plugin.operation import Operation
from infra.plugin.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2


class _Status(grpc.Status):  # type: ignore[misc]
    """A gRPC status with packed details, the way the engine expects a partial failure."""

    def __init__(self, message: str, details: Any) -> None:
        self.code = grpc.StatusCode.UNKNOWN
        self.details = message
        packed = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message)
        packed.details.add().Pack(details)
        self.trailing_metadata = (("grpc-status-details-bin", packed.SerializeToString()),)


class Running:
    """Counts the operations that run, so that the process can end between them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_until_none(self, timeout: float) -> None:
        """Return when nothing runs, or after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0, timeout)


class Served(provider_pb2_grpc.ResourceProviderServicer):
    """What answers an engine at a port: a plugin, or several."""

    @abstractmethod
    def end(self, grace: float) -> None:
        """Stop what runs at its next step, and wait so many seconds for that."""


class Plugin(Served):
    """The part of the protocol that knows no resource. A subclass answers the rest.

    Attributes:
        log: where to speak; the engine's once it has introduced itself.
        cancelled: set when the engine wants everything to stop.
        running: the operations under way.
    """

    def __init__(self, version: str, connect_log: Callable[[str], EngineLog], log: EngineLog) -> None:
        self._version = version
        self._connect_log = connect_log
        self.log = log
        self.cancelled = threading.Event()
        self.running = Running()

    def Handshake(self, request: Any, context: Any) -> Any:
        """Learn the engine's address; tell it what we understand."""
        if request.engine_address:
            self.log = self._connect_log(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=False, accept_outputs=False
        )

    def Attach(self, request: Any, context: Any) -> Any:
        """Serve an engine that found us already running (PULUMI_DEBUG_PROVIDERS)."""
        self.log = self._connect_log(request.address)
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Return the plugin's version."""
        return plugin_pb2.PluginInfo(version=self._version)

    def Cancel(self, request: Any, context: Any) -> Any:
        """Stop every running operation at its next step."""
        self.cancel()
        return empty_pb2.Empty()

    def cancel(self) -> None:
        """Stop every running operation at its next step."""
        self.cancelled.set()

    def end(self, grace: float) -> None:
        """Stop what runs at its next step, and wait so many seconds for that."""
        self.cancel()
        self.running.wait_until_none(grace)

    def operation(self, request: Any) -> Operation:
        """Return what a request's work needs to know of the engine."""
        return Operation(request.urn, self.log, self.cancelled, getattr(request, "timeout", 0))

    def fail(self, context: Any, verb: str, error: Exception) -> NoReturn:
        """End the call with what the user should read, and never with a traceback."""
        if isinstance(error, UserError):
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        self.log.debug(self._trace(error))
        context.abort(
            grpc.StatusCode.INTERNAL,
            f"{verb} failed with an unexpected {type(error).__name__}: {self.describe(error):.500}. This is a bug "
            "in azlocal; please report it with the traceback that `pulumi up --debug` shows.",
        )
        raise AssertionError("abort raises")

    def describe(self, error: BaseException) -> str:
        """Return what an unexpected error may say, to the user and in the debug log."""
        return str(error)

    def _trace(self, error: BaseException) -> str:
        """Return the traceback of an error and of those behind it, each with what it may say."""
        parts = []
        seen: set[int] = set()
        behind: BaseException | None = error
        while behind is not None and id(behind) not in seen:
            seen.add(id(behind))
            where = "".join(traceback.format_tb(behind.__traceback__))
            summary = f"{type(behind).__name__}: {self.describe(behind)}"
            parts.append(f"Traceback (most recent call last):\n{where}{summary}\n")
            behind = behind.__cause__ or (None if behind.__suppress_context__ else behind.__context__)
        return "\nwhich led to:\n\n".join(reversed(parts))


def abort_init_failed(
    context: Any, id: str, properties: struct_pb2.Struct, inputs: struct_pb2.Struct | None, reasons: Sequence[str]
) -> NoReturn:
    """End the call with a resource that was made but isn't ready: it stays in state, the next run goes on."""
    details = provider_pb2.ErrorResourceInitFailed(id=id, properties=properties, inputs=inputs, reasons=reasons)
    context.abort_with_status(_Status(reasons[0], details))
    raise AssertionError("abort raises")
