"""The way back to the engine: its log, and the status text in a resource's row."""

from __future__ import annotations

import sys
from typing import Any, Protocol

import grpc

from infra.plugin.proto import engine_pb2, engine_pb2_grpc

_INFO = engine_pb2.LogSeverity.INFO
_WARNING = engine_pb2.LogSeverity.WARNING
_DEBUG = engine_pb2.LogSeverity.DEBUG


class EngineLog(Protocol):
    """Where a kind says what it is doing."""

    def status(self, urn: str, text: str) -> None:
        """Show `text` in the resource's row until the next one replaces it."""

    def info(self, urn: str, text: str) -> None:
        """Print `text` under the resource, permanently."""

    def warning(self, urn: str, text: str) -> None:
        """Print `text` under the resource, permanently, marked as a warning."""

    def debug(self, text: str) -> None:
        """Keep `text` for `pulumi -v`: the details behind an unexpected error."""


class GrpcEngineLog:
    """Speaks to the engine that started or attached to this plugin."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub: Any = engine_pb2_grpc.EngineStub(self._channel)

    def status(self, urn: str, text: str) -> None:
        """Show `text` in the resource's row until the next one replaces it."""
        self._send(_INFO, urn, text, ephemeral=True)

    def info(self, urn: str, text: str) -> None:
        """Print `text` under the resource, permanently."""
        self._send(_INFO, urn, text)

    def warning(self, urn: str, text: str) -> None:
        """Print `text` under the resource, permanently, marked as a warning."""
        self._send(_WARNING, urn, text)

    def debug(self, text: str) -> None:
        """Keep `text` for `pulumi -v`."""
        self._send(_DEBUG, "", text)

    def _send(
        self, severity: engine_pb2.LogSeverity.ValueType, urn: str, text: str, *, ephemeral: bool = False
    ) -> None:
        request = engine_pb2.LogRequest(severity=severity, urn=urn, message=text, ephemeral=ephemeral)
        try:
            self._stub.Log(request, timeout=5)
        except grpc.RpcError as error:
            # A lost log line must not fail the operation it reports on; the engine shows stderr with -v.
            print(f"engine log unreachable ({error}): {text}", file=sys.stderr)  # noqa: T201
