"""Long-running operations: a PUT or DELETE answers at once, and what it asked for ends later.

An operation ends in one of three ways, all of them by the emulator's clock and found out when somebody asks next,
so that a restart changes nothing: by itself when it is due (what Azure does alone), by the agents' report (what
has to happen in the cluster), or as a failure when the agents didn't report in time: Azure keeps what waits for a
cluster for 48 hours (arc_facts.md §3).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from infra.emulator.clock import Clock, parse, text
from infra.emulator.store import Resource, Store

# Long enough that a client which polls sees it running once; the shortest wait a client can be told.
AZURE_SECONDS: Final = 1.0
POLL_SECONDS: Final = 1
AGENTS_LIMIT: Final = timedelta(hours=48)

SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"
CANCELED: Final = "Canceled"

Verb = Literal["create", "update", "delete"]
_STATES: Final[dict[Verb, str]] = {"create": "Creating", "update": "Updating", "delete": "Deleting"}


@dataclass(frozen=True)
class Operation:
    """What a client polls.

    Attributes:
        path: of its status URL; the host is the one that the client used.
        status: `Creating`, `Updating`, `Deleting`, then `Succeeded`, `Failed` or `Canceled`.
        due: when it ends by itself; None: when the agents report.
        expires: when it fails for want of a report.
        wanted_error: what it ends with instead of success, for a fault that was injected.
    """

    id: str
    resource: str
    verb: Verb
    path: str
    status: str
    started: datetime
    due: datetime | None
    expires: datetime | None
    wanted_error: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    ended: datetime | None = None

    @property
    def is_running(self) -> bool:
        """Return whether it goes on."""
        return self.ended is None

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {name: text(value) if isinstance(value, datetime) else value for name, value in vars(self).items()}

    @staticmethod
    def from_json(content: dict[str, Any]) -> Operation:
        """Return what `to_json` wrote."""
        times = ("started", "due", "expires", "ended")
        read: dict[str, Any] = {
            name: parse(value) if name in times and value else value for name, value in content.items()
        }
        return Operation(**read)


def begin(
    store: Store,
    clock: Clock,
    resource: Resource,
    verb: Verb,
    path: str,
    *,
    by_agents: bool,
    seconds: float = AZURE_SECONDS,
    extra_seconds: float = 0.0,
    error: dict[str, Any] | None = None,
) -> Operation:
    """Begin an operation on a resource that was just written; one that still runs there is cancelled.

    Two deletions of one resource go on side by side, and end together.

    Args:
        path: of the status URL, with `{id}` for the operation's id.
        by_agents: it ends when the agents report; an error that was injected ends it without them.
        extra_seconds: that a fault makes it take longer.
    """
    now, new = clock.now(), str(uuid.uuid4())
    running = running_on(store, resource)
    if running is not None and not running.verb == verb == "delete":
        _write(store, replace(running, status=CANCELED, ended=now))
    alone = not by_agents or error is not None
    started = Operation(
        id=new,
        resource=resource.id,
        verb=verb,
        path=path.format(id=new),
        status=_STATES[verb],
        started=now,
        due=now + timedelta(seconds=seconds + extra_seconds) if alone else None,
        expires=None if alone else now + AGENTS_LIMIT,
        wanted_error=error,
    )
    _write(store, started)
    store.put(resource.with_hidden(operation=new))
    return started


def find(store: Store, operation_id: str) -> Operation | None:
    """Return an operation."""
    content = store.operation(operation_id)
    return Operation.from_json(content) if content else None


def running_on(store: Store, resource: Resource) -> Operation | None:
    """Return the operation that still changes a resource."""
    operation = find(store, resource.hidden["operation"]) if "operation" in resource.hidden else None
    return operation if operation is not None and operation.is_running else None


def end(store: Store, clock: Clock, operation: Operation, error: dict[str, Any] | None = None) -> None:
    """End an operation, with an error or well, and let its resource show it.

    A resource whose deletion succeeded is removed with all below it.
    """
    _write(store, replace(operation, status=FAILED if error else SUCCEEDED, error=error, ended=clock.now()))
    resource = store.get(operation.resource)
    if resource is None:
        return
    if operation.verb == "delete" and error is None:
        store.delete(operation.resource)
        _end_below(store, clock, resource)
        return
    shown = resource.with_hidden(operation=None, deleting=None)
    store.put(shown.with_properties(provisioningState=FAILED if error else SUCCEEDED))


def settle(store: Store, clock: Clock) -> None:
    """End every operation whose time has come. The server calls it before each request."""
    now = clock.now()
    for status in _STATES.values():
        for content in store.operations(status):
            operation = find(store, content["id"])  # an earlier one may have ended it
            if operation is None or not operation.is_running:
                continue
            if operation.due is not None and operation.due <= now:
                end(store, clock, operation, operation.wanted_error)
            elif operation.expires is not None and operation.expires <= now:
                store.delete_secret(operation.resource)
                end(store, clock, operation, _expired(operation))


def _end_below(store: Store, clock: Clock, resource: Resource) -> None:
    """End what still ran on a resource that is gone, or below it: deletions have succeeded by that."""
    for status in _STATES.values():
        for content in store.operations(status):
            running = Operation.from_json(content)
            if f"{running.resource.lower()}/".startswith(f"{resource.key}/"):
                ended = SUCCEEDED if running.verb == "delete" else CANCELED
                _write(store, replace(running, status=ended, ended=clock.now()))


def _expired(operation: Operation) -> dict[str, Any]:
    return {
        "code": "ResourceOperationFailure",
        "message": "The resource operation completed with terminal provisioning state 'Failed'.",
        "details": [
            {
                "code": "OperationTimedOut",
                "message": (
                    f"The cluster's Arc agents didn't carry out the operation ({operation.status}) within "
                    f"{AGENTS_LIMIT.total_seconds() / 3600:.0f} hours. Bring the cluster online and try again."
                ),
            }
        ],
    }


def _write(store: Store, operation: Operation) -> None:
    store.put_operation(operation.id, operation.resource, operation.status, operation.to_json())
