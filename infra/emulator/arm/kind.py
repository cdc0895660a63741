"""What all kinds of resources share: how a PUT, PATCH, DELETE and GET go, around what each kind decides itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from infra.emulator import operations
from infra.emulator.arm.call import Call, not_found
from infra.emulator.http import JSON, Answer, Refusal, Request
from infra.emulator.operations import AGENTS_LIMIT, POLL_SECONDS, Operation, Verb
from infra.emulator.shapes import Object, check_request
from infra.emulator.store import Resource
from infra.emulator.world import World

_RETRY: Final = {"Retry-After": str(POLL_SECONDS)}


class Kind(ABC):
    """One kind of ARM resource.

    Attributes:
        type: as Azure spells it.
        parents: what it has to hang on, in lower case; empty: a resource group.
        by_agents: a cluster's agents end its operations, not Azure alone.
        operation_path: of its operations' status, with `{id}` for the operation and `{resource}`, `{location}`.
        operation_version: the query of the status URL; None: the version that the client used.
        asynchronous: a PUT begins an operation; else it ends at once.
        pending_put: the `provisioningState` of a new resource; None: as its operation's status.
    """

    type: ClassVar[str]
    parents: ClassVar[frozenset[str]] = frozenset()
    by_agents: ClassVar[bool] = False
    operation_path: ClassVar[str] = ""
    operation_version: ClassVar[str | None] = None
    asynchronous: ClassVar[bool] = True
    pending_put: ClassVar[str | None] = None

    @abstractmethod
    def shape(self) -> Object:
        """Return the shape of its body, as a PUT sends it and as an answer has it."""

    def patch_shape(self) -> Object | None:
        """Return the shape of a PATCH's body; None: it can't be patched."""
        return None

    @abstractmethod
    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return the resource that a PUT wants, with all that Azure adds; the body was checked against the shape.

        Raises:
            Refusal: Azure would not have it.
        """

    def patched(self, call: Call, body: JSON, existing: Resource) -> Resource:
        """Return the resource as a PATCH wants it.

        Raises:
            Refusal: Azure would not have it.
        """
        raise NotImplementedError

    def shown(self, world: World, resource: Resource) -> JSON:
        """Return the body as GET shows it now."""
        del world
        return resource.body

    def deletion_waits(self, call: Call) -> bool:
        """Return whether a DELETE ends when the agents have carried it out, rather than by itself."""
        del call
        return False

    def act(self, call: Call, resource: Resource, action: str) -> Answer:
        """Answer a POST to a resource.

        Raises:
            Refusal: there is no such action.
        """
        del resource
        raise Refusal(
            404,
            "InvalidResourceType",
            f"The resource type '{call.type.name}/{action}' could not be found in the namespace "
            f"'{call.provider.namespace}' for api version '{call.version}'.",
        )

    # What the verbs do with it

    def get(self, call: Call) -> Answer:
        """Answer a GET."""
        return Answer(200, self.shown(call.world, call.require()))

    def list(self, call: Call) -> Answer:
        """Answer a GET of a collection: below a cluster, a resource group or the subscription."""
        resources = call.world.store.under(call.target.scope, self.type)
        return Answer(
            200, {"value": [self.shown(call.world, resource) for resource in resources], "nextLink": None}
        )

    def put(self, call: Call) -> Answer:
        """Answer a PUT: 201 for a new resource, 200 for one that was there."""
        existing = call.existing
        body = check_request(self.shape(), call.request.json())
        self._require_parent(call)
        self._require_idle(call, existing)
        resource = call.world.store.put(self.build(call, body, existing))
        status = 201 if existing is None else 200
        if not self.asynchronous:
            return Answer(status, self.shown(call.world, resource))
        verb: Verb = "create" if existing is None else "update"
        return self._begin(call, resource, verb, status)

    def patch(self, call: Call) -> Answer:
        """Answer a PATCH."""
        shape = self.patch_shape()
        if shape is None:
            raise method_not_allowed(call.request, call.full_type)
        existing = call.require()
        body = check_request(shape, call.request.json())
        self._require_idle(call, existing)
        resource = call.world.store.put(self.patched(call, body, existing))
        if self.patches_at_once(call):
            return Answer(200, self.shown(call.world, resource))
        return self._begin(call, resource, "update", 202)

    def patches_at_once(self, call: Call) -> bool:
        """Return whether a PATCH ends at once."""
        del call
        return not self.asynchronous

    def delete(self, call: Call) -> Answer:
        """Answer a DELETE: 204 where nothing is there, else 202; a second one joins one that ends by itself."""
        existing = call.existing
        if existing is None:
            return Answer(204)
        if not self.asynchronous:
            call.world.store.delete(existing.id)
            return Answer(200)
        running = operations.running_on(call.world.store, existing)
        if running is not None and running.verb == "delete" and running.due is not None:
            return Answer(202, None, self._headers(call, running, with_location=True))
        resource = self.deleting(call, existing)
        operation = self._operation(call, resource, "delete", by_agents=self.deletion_waits(call))
        return Answer(202, None, self._headers(call, operation, with_location=True))

    def deleting(self, call: Call, existing: Resource) -> Resource:
        """Return a resource as its deletion leaves it for now, written."""
        marked = existing.with_hidden(deleting=str(call.world.clock.now()))
        return call.world.store.put(marked.with_properties(provisioningState="Deleting"))

    def _begin(self, call: Call, resource: Resource, verb: Verb, status: int) -> Answer:
        operation = self._operation(call, resource, verb, by_agents=self.by_agents)
        written = call.world.store.get(resource.id) or resource
        pending = (self.pending_put if verb == "create" else None) or operation.status
        written = call.world.store.put(written.with_properties(provisioningState=pending))
        headers = self._headers(call, operation, with_location=status == 202)
        return Answer(status, self.shown(call.world, written), headers)

    def _operation(self, call: Call, resource: Resource, verb: Verb, *, by_agents: bool) -> Operation:
        faults, request = call.world.faults, call.request
        action = f"{self.type}/{'delete' if verb == 'delete' else 'write'}"
        slow = faults.met("slowOperation", request.method, request.path, action)
        failing = faults.met("failOperation", request.method, request.path, action)
        location = str(resource.body.get("location") or call.world.settings.location)
        return operations.begin(
            call.world.store,
            call.world.clock,
            resource,
            verb,
            self.operation_path.format(id="{id}", resource=resource.id, location=location),
            by_agents=by_agents,
            extra_seconds=slow.seconds if slow else 0.0,
            error={"code": failing.code, "message": failing.message} if failing else None,
        )

    def _headers(self, call: Call, operation: Operation, *, with_location: bool) -> dict[str, str]:
        version = self.operation_version or urlencode({"api-version": call.version})
        url = f"{call.request.base_url}{operation.path}?{version}"
        headers = {"Azure-AsyncOperation": url, **_RETRY}
        if operation.expires is not None:
            headers["x-ms-async-operation-timeout"] = f"PT{AGENTS_LIMIT.total_seconds() / 3600:.0f}H"
        if with_location:
            headers["Location"] = f"{url}&result=true"
        return headers

    def _require_parent(self, call: Call) -> None:
        if not self.parents:
            return
        parent = call.world.store.get(call.target.scope)
        if parent is None or "deleting" in parent.hidden:
            *_, namespace, kind, name = call.target.scope.split("/")
            raise not_found(f"{namespace}/{kind}/{name}", call.target.group)

    def _require_idle(self, call: Call, existing: Resource | None) -> None:
        running = operations.running_on(call.world.store, existing) if existing is not None else None
        if running is not None:
            raise Refusal(
                409,
                "AnotherOperationInProgress",
                f"Another operation ({running.status}) is in progress on '{running.resource}', begun at "
                f"{running.started:%Y-%m-%d %H:%M:%S} UTC. Wait for it to end, and try again.",
            )


def method_not_allowed(request: Request, full_type: str) -> Refusal:
    """Return the 405 for a verb that a type doesn't have."""
    return Refusal(
        405,
        "UnsupportedHttpMethod",
        f"The http method '{request.method}' is not supported for resources of type '{full_type}'.",
    )


def without_nulls(given: JSON) -> JSON:
    """Return an object without properties that are null: a PUT says by them that it says nothing."""
    return {name: value for name, value in given.items() if value is not None}


def merged(old: JSON, new: JSON) -> JSON:
    """Return an object with another's properties merged in: JSON Merge Patch (RFC 7396), as ARM's PATCH does."""
    result: dict[str, Any] = dict(old)
    for name, value in new.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            there = result.get(name)
            result[name] = merged(there if isinstance(there, dict) else {}, value)
        else:
            result[name] = value
    return result
