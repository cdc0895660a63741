"""A small client of the upstream cluster-autoscaler's protocol for cloud providers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc

from infra.stack.external_grpc.protocol import MESSAGES, SERVICE


class Client:
    """Calls as upstream does; the answer's message, or the status that it was refused with."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def __call__(self, method: str, **fields: Any) -> Any:
        request = MESSAGES[f"{method}Request"]
        call = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=MESSAGES[f"{method}Response"].FromString,
        )
        try:
            return call(request(**fields), timeout=5)
        except grpc.RpcError as error:
            return SimpleNamespace(code=error.code(), text=error.details())

    def nodes(self, id: str) -> dict[str, int]:
        """Return a pool's instances and their states."""
        answer = self("NodeGroupNodes", id=id)
        return {one.id: one.status.instanceState for one in answer.instances}


def channel_to(port: int, folder: Path, *, known: bool = True) -> grpc.Channel:
    pair = [(folder / name).read_bytes() if known else None for name in ("client.key", "client.crt")]
    credentials = grpc.ssl_channel_credentials((folder / "ca.crt").read_bytes(), *pair)
    return grpc.secure_channel(f"127.0.0.1:{port}", credentials)
