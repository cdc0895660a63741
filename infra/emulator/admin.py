"""The emulator's own API: clock, faults, state. For this machine only, and for who may read its token."""

from __future__ import annotations

import hmac
import math
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from starlette.routing import Route

from infra.emulator import clock as clock_module
from infra.emulator.connectivity import CLUSTERS, record_certificate, status_of
from infra.emulator.faults import Fault
from infra.emulator.http import JSON, Answer, Refusal, Request
from infra.emulator.limits import BODY_BYTES
from infra.emulator.operations import Operation
from infra.emulator.routes import ADMIN, Handler, route
from infra.emulator.world import World

_LONGEST_DAYS = 3650


def routes(world: World) -> list[Route]:
    """Return the admin API's routes."""
    known: list[tuple[str, Handler, list[str]]] = [
        ("clock", _clock, ["GET", "POST"]),
        ("faults", _faults, ["GET", "POST", "DELETE"]),
        ("faults/{id}", _clear_fault, ["DELETE"]),
        ("state", _state, ["GET"]),
    ]
    return [
        route(world, f"{ADMIN}{path}", _guarded(handler), methods, body_bytes=BODY_BYTES)
        for path, handler, methods in known
    ]


def _guarded(handler: Handler) -> Handler:
    def guarded(world: World, request: Request) -> Answer:
        if not request.on_loopback:
            raise Refusal(403, "Forbidden", "The emulator's own API answers at 127.0.0.1 only.")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(token.encode(), world.admin_token.encode()):
            raise Refusal(401, "Unauthorized", "The emulator's own API wants the token in its file admin-token.")
        return handler(world, request)

    return guarded


def _clock(world: World, request: Request) -> Answer:
    if request.method == "POST":
        world.clock.advance(timedelta(seconds=_seconds(request.json().get("advanceSeconds"))))
    return Answer(
        200,
        {"now": clock_module.text(world.clock.now()), "offsetSeconds": world.clock.offset().total_seconds()},
    )


def _seconds(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not 0 <= value <= _LONGEST_DAYS * 86400:
        raise Refusal(
            400, "BadRequest", f"advanceSeconds has to be a number from 0 to {_LONGEST_DAYS} days: {value!r}"
        )
    return float(value)


def _faults(world: World, request: Request) -> Answer:
    if request.method == "DELETE":
        return Answer(200, {"cleared": world.faults.clear()})
    if request.method == "GET":
        return Answer(200, {"value": [planted.model_dump(by_alias=True) for planted in world.faults.all()]})
    try:
        fault = Fault.model_validate(request.json())
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, detail['loc']))}: {detail['msg']} (got {detail['input']!r})"
            for detail in error.errors()
        )
        raise Refusal(400, "BadRequest", faults) from None
    if fault.kind == "expireCertificate":
        return Answer(200, {**fault.model_dump(by_alias=True), "clusters": _expire(world, fault)})
    return Answer(200, world.faults.plant(fault).model_dump(by_alias=True))


def _expire(world: World, fault: Fault) -> list[str]:
    met = [cluster for cluster in world.store.of_type(CLUSTERS) if fault.matches("*", cluster.id, "*")]
    if not met:
        raise Refusal(404, "NotFound", f"No connected cluster's id matches {fault.path!r}.")
    for cluster in met:
        record_certificate(world.store, cluster, world.clock.now())
    return [cluster.id for cluster in met]


def _clear_fault(world: World, request: Request) -> Answer:
    fault = request.path_parameters["id"]
    if not world.faults.clear(fault):
        raise Refusal(404, "NotFound", f"No fault has the id {fault!r}; `azlocal emulator fault list` shows them.")
    return Answer(200, {"cleared": 1})


def _state(world: World, _request: Request) -> Answer:
    now = world.clock.now()
    resources: list[JSON] = []
    for resource in world.store.under(f"/subscriptions/{world.settings.subscription_id}"):
        shown = {
            "id": resource.id,
            "type": resource.type,
            "provisioningState": resource.properties.get("provisioningState"),
        }
        if resource.type == CLUSTERS:
            shown["connectivityStatus"] = status_of(resource, now)
        resources.append(shown)
    operations = [Operation.from_json(content) for content in world.store.operations()]
    running = [
        {"id": operation.id, "resource": operation.resource, "status": operation.status}
        for operation in operations
        if operation.is_running
    ]
    return Answer(200, {"now": clock_module.text(now), "resources": resources, "operations": running})
