"""How a handler becomes a route of the server: faults, time, one transaction, and the marks on every answer."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from email.utils import format_datetime
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.requests import Request as RawRequest
from starlette.responses import Response
from starlette.routing import Route

from infra.emulator import operations
from infra.emulator.http import Answer, Refusal, Request
from infra.emulator.limits import OPEN_BODY_BYTES
from infra.emulator.settings import LOOPBACK
from infra.emulator.world import World

MARK: Final = "x-ms-azlocal-emulator"
ADMIN: Final = "/_emulator/"
_CLIENT_REQUEST: Final = "x-ms-client-request-id"

_log = logging.getLogger(__name__)

Handler = Callable[[World, Request], Answer]
Action = Callable[[Request], str]


def no_action(_request: Request) -> str:
    """Name no action of Azure's: faults can meet these requests by method and path only."""
    return ""


def route(
    world: World,
    path: str,
    handler: Handler,
    methods: Sequence[str],
    action: Action = no_action,
    *,
    body_bytes: int = OPEN_BODY_BYTES,
) -> Route:
    """Return a route that answers by a handler.

    Args:
        path: Starlette's pattern; its names reach the handler as `request.path_parameters`.
        action: names Azure's action of a request, which faults can match.
        body_bytes: the longest body that is read; more than a little only where the caller has to show by a header
            who they are.
    """

    async def respond(raw: RawRequest) -> Response:
        request = _bodiless_request(raw)
        try:
            async with world.bodies.of(raw, body_bytes, on_loopback=request.on_loopback) as body:
                request = replace(request, body=body)
                answer = await _answer(world, handler, request, action(request))
        except Refusal as refusal:
            answer = refusal.answer()
        except ClientDisconnect:
            answer = Answer(400)  # which nobody hears
        return _response(answer, request, world.clock.now())

    return Route(path, respond, methods=list(methods))


def _bodiless_request(raw: RawRequest) -> Request:
    """Return a request without its body."""
    server = raw.scope.get("server") or ("", 0)
    return Request(
        method=raw.method,
        path=raw.url.path,
        path_parameters={name: str(value) for name, value in raw.path_params.items()},
        query={name.lower(): value for name, value in raw.query_params.items()},
        headers={name.lower(): value for name, value in raw.headers.items()},
        body=b"",
        base_url=f"https://{raw.headers.get('host', raw.url.netloc)}",
        on_loopback=server[0] == LOOPBACK,
    )


async def _answer(world: World, handler: Handler, request: Request, action: str) -> Answer:
    try:
        if request.path.startswith(ADMIN):
            with world.store.transaction():
                return handler(world, request)
        slow = world.faults.met("slow", request.method, request.path, action)
        if slow is not None:
            await asyncio.sleep(slow.seconds)
        fault = world.faults.met("throttle", request.method, request.path, action) or world.faults.met(
            "status", request.method, request.path, action
        )
        if fault is not None:
            raise fault.refusal()
        with world.store.transaction():
            operations.settle(world.store, world.clock)
            return handler(world, request)
    except Refusal as refusal:
        return refusal.answer()
    except sqlite3.OperationalError as error:
        # The file is held or the disk is full: what a client of Azure calls a bad moment.
        _log.exception("the store failed")
        return Refusal(503, "ServiceUnavailable", f"The emulator's state can't be written: {error}").answer()


def _response(answer: Answer, request: Request, now: datetime.datetime) -> Response:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    request_id = str(uuid.uuid4())
    headers |= {
        # The emulator's time: who judges how old something is goes by it, and not by a clock that wasn't advanced.
        "date": format_datetime(now, usegmt=True),
        MARK: "1",
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": request.headers.get("x-ms-correlation-request-id", request_id),
        "cache-control": "no-cache",
    }
    if _CLIENT_REQUEST in request.headers:
        headers[_CLIENT_REQUEST] = request.headers[_CLIENT_REQUEST]
    if answer.body is None:
        return Response(b"", answer.status, headers)
    if isinstance(answer.body, bytes):
        return Response(answer.body, answer.status, headers)
    content = json.dumps(answer.body).encode()
    return Response(content, answer.status, {"content-type": "application/json; charset=utf-8", **headers})
