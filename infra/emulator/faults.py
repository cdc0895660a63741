"""Faults that a test or a curious operator asks for: which of Azure's bad days come, and how often."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from infra.emulator.http import Refusal
from infra.emulator.store import Store

Kind = Literal[
    "throttle", "status", "slow", "slowOperation", "failOperation", "dropHeartbeats", "expireCertificate"
]

_THROTTLED: Final = "The request is being throttled as the limit has been reached for operation type."


class Fault(BaseModel):
    """One thing that goes wrong for requests that match.

    Attributes:
        kind: throttle: 429 with Retry-After. status: `status_code` with an error body. slow: the answer takes
            `seconds` longer. slowOperation: what Azure does alone after a PUT or DELETE takes `seconds` longer.
            failOperation: it ends `Failed` with `code` and `message`. dropHeartbeats: agents' heartbeats aren't
            taken. expireCertificate: done at once, to every cluster whose id matches `path`.
        method: a glob, `P*` for PUT, PATCH and POST.
        path: a regular expression that the request's path contains, in any case; for dropHeartbeats and
            expireCertificate the cluster's ARM id.
        operation: a glob of Azure's action, such as `Microsoft.Kubernetes/connectedClusters/write`.
        count: how many times it happens; None: until it is cleared.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:8])
    kind: Kind
    method: str = "*"
    path: str = ""
    operation: str = "*"
    count: Annotated[int, Field(gt=0)] | None = None
    retry_after: Annotated[int, Field(ge=0)] = 1
    status_code: Annotated[int, Field(ge=400, lt=600)] = 500
    code: str = "InternalServerError"
    message: str = "The emulator was asked for this error."
    seconds: Annotated[float, Field(ge=0)] = 5.0

    @field_validator("path")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return value

    def matches(self, method: str, path: str, operation: str) -> bool:
        """Return whether a request meets it."""
        return (
            fnmatch(method.upper(), self.method.upper())
            and re.search(self.path, path, re.IGNORECASE) is not None
            and fnmatch(operation.lower(), self.operation.lower())
        )

    def refusal(self) -> Refusal:
        """Return the error that `throttle` and `status` answer with."""
        if self.kind == "throttle":
            return Refusal(429, "TooManyRequests", _THROTTLED, headers={"Retry-After": str(self.retry_after)})
        return Refusal(self.status_code, self.code, self.message)


class Faults:
    """The faults that are planted now. They survive a restart, and each counts down as it happens."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[Fault]:
        """Return them, the oldest first."""
        return [Fault.model_validate(content) for content in self._store.faults().values()]

    def plant(self, fault: Fault) -> Fault:
        """Let it happen from now on."""
        self._store.put_fault(fault.id, fault.model_dump(by_alias=True))
        return fault

    def clear(self, fault_id: str | None = None) -> int:
        """Take one away, or all; return how many were there."""
        ended = [fault for fault in self.all() if fault_id in (None, fault.id)]
        for fault in ended:
            self._store.delete_fault(fault.id)
        return len(ended)

    def met(self, kind: Kind, method: str, path: str, operation: str) -> Fault | None:
        """Return the oldest fault of a kind that a request meets, and count it."""
        return next(
            self._happening(lambda fault: fault.kind == kind and fault.matches(method, path, operation)), None
        )

    def _happening(self, applies: Callable[[Fault], bool]) -> Iterator[Fault]:
        for fault in filter(applies, self.all()):
            if fault.count == 1:
                self._store.delete_fault(fault.id)
            elif fault.count is not None:
                self.plant(fault.model_copy(update={"count": fault.count - 1}))
            yield fault
