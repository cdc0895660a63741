"""The emulator as an ASGI application: all routes, in the order in which they are tried."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.emulator import admin, agent_api, config_plane, entra, issuers, registry_routes
from infra.emulator.arm.dispatch import routes as arm_routes
from infra.emulator.routes import MARK
from infra.emulator.world import World


def make_app(world: World) -> Starlette:
    """Return the application for a world.

    Entra's routes come last but for ARM's, which takes every path that no other part knows, in any case.
    """
    return Starlette(
        exception_handlers={HTTPException: _refused, Exception: _failed},
        routes=[
            *admin.routes(world),
            *registry_routes.routes(world),
            *config_plane.routes(world),
            *agent_api.routes(world),
            *issuers.routes(world),
            *entra.routes(world),
            *arm_routes(world),
        ],
    )


async def _refused(_request: Request, error: Exception) -> Response:
    """Answer a path that exists with a verb that it hasn't."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _error(status, "UnsupportedHttpMethod" if status == 405 else "NotFound", str(error))


async def _failed(_request: Request, _error_: Exception) -> Response:
    """Answer a fault of the emulator's own; the log has it."""
    return _error(500, "InternalServerError", "The emulator failed; its log says more.")


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, {MARK: "1"})
