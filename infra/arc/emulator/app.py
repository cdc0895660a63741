"""The emulator as an ASGI application: all routes, in the order in which they are tried."""

from __future__ import annotations

from starlette.applications import Starlette

from infra.arc.emulator import admin, agent_api, config_plane, entra, registry_routes
from infra.arc.emulator.arm.dispatch import routes as arm_routes
from infra.arc.emulator.world import World


def make_app(world: World) -> Starlette:
    """Return the application for a world.

    Entra's routes come last but for ARM's, which takes every path that no other part knows, in any case.
    """
    return Starlette(
        routes=[
            *admin.routes(world),
            *registry_routes.routes(world),
            *config_plane.routes(world),
            *agent_api.routes(world),
            *entra.routes(world),
            *arm_routes(world),
        ]
    )
