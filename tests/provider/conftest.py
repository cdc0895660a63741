"""A provider with one kind in memory, served over real gRPC: the protocol's own properties."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2_grpc
from pydantic import Field, ValidationError

from infra.kvm.errors import HostError
from infra.model.base import Model
from infra.plugin.operation import Operation
from infra.provider.kind import InitFailed, Kind, Made
from infra.provider.servicer import Servicer
from infra.resources.contract import IGNORE, REPLACE, UPDATE, Contract, Secret


class ThingInputs(Model):
    name: Annotated[str, REPLACE]
    size: Annotated[int, UPDATE] = 1
    password: Annotated[str | None, UPDATE, Secret()] = None
    note: Annotated[str | None, IGNORE] = None
    options: Annotated[dict[str, str], UPDATE] = Field(default_factory=dict)


class ThingState(ThingInputs):
    serial: str


THING = Contract("azlocal:test:Thing", ThingInputs, ThingState, "A thing.", "{name}")
Contract.registry.pop(THING.token)


class Things(Kind[ThingInputs, ThingState]):
    """Keeps objects in a dict. Some names fail on purpose."""

    contract = THING

    def __init__(self) -> None:
        self.objects: dict[str, ThingState] = {}
        self.started = threading.Event()

    def create(self, op: Operation, inputs: ThingInputs) -> Made[ThingState]:
        op.status("making")
        if inputs.name == "refused":
            raise HostError("the host refuses it; ask somebody")
        if inputs.name == "bug":
            raise KeyError("surprise")
        if inputs.name == "mistyped":
            try:
                ThingState.model_validate({"name": "x", "size": inputs.password, "serial": 1})
            except ValidationError as error:
                raise TypeError("not to be read") from error
        made = Made(inputs.name, ThingState(**inputs.model_dump(), serial="s1"))
        self.objects[inputs.name] = made.state
        if inputs.name == "slow":
            self.started.set()
            op.cancelled.wait(60)
        if inputs.name in ("half", "slow"):
            raise InitFailed(made, "it stands but doesn't answer")
        return made

    def read(self, op: Operation, id: str, old: ThingState | None) -> ThingState | None:
        if id == "unreachable":
            raise HostError("no answer")
        return self.objects.get(id)

    def update(self, op: Operation, id: str, old: ThingState, inputs: ThingInputs) -> ThingState:
        self.objects[id] = ThingState(**inputs.model_dump(), serial=old.serial)
        return self.objects[id]

    def delete(self, op: Operation, id: str, old: ThingState) -> None:
        self.objects.pop(id, None)


@dataclass
class MemoryLog:
    lines: list[tuple[str, str]] = field(default_factory=list)

    def status(self, urn: str, text: str) -> None:
        self.lines.append(("status", text))

    def info(self, urn: str, text: str) -> None:
        self.lines.append(("info", text))

    def warning(self, urn: str, text: str) -> None:
        self.lines.append(("warning", text))

    def debug(self, text: str) -> None:
        self.lines.append(("debug", text))


@dataclass
class Served:
    stub: Any
    kind: Things
    log: MemoryLog
    attached: list[str]


@pytest.fixture
def served() -> Iterator[Served]:
    kind, log, attached = Things(), MemoryLog(), []

    def connect(address: str) -> MemoryLog:
        attached.append(address)
        return log

    kinds: Mapping[str, Things] = {THING.token: kind}
    server = grpc.server(ThreadPoolExecutor(8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer("0.1.0", kinds, connect, log), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Served(provider_pb2_grpc.ResourceProviderStub(channel), kind, log, attached)
    server.stop(grace=None).wait()
