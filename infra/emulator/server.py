"""The server process: its sockets, its TLS, its log."""

from __future__ import annotations

import argparse
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import uvicorn

from infra.emulator import agent_identity, certificates
from infra.emulator.app import make_app
from infra.emulator.charts import repositories
from infra.emulator.clock import Clock
from infra.emulator.doors import Bounded, Door
from infra.emulator.faults import Faults
from infra.emulator.registry import Registry
from infra.emulator.settings import LOOPBACK, Folder, Settings
from infra.emulator.store import Store
from infra.emulator.tokens import Tokens
from infra.emulator.world import World

_LOG_BYTES: Final = 10_000_000
_GRACE_SECONDS: Final = 1
_IDLE_SECONDS: Final = 75
_LOOK_SECONDS: Final = 1

_LOG: Final = logging.getLogger(__name__)


def main() -> None:
    """Serve a folder until the process is told to end, or the folder is gone."""
    parser = argparse.ArgumentParser(prog="python -m infra.emulator")
    commands = parser.add_subparsers(required=True)
    serving = commands.add_parser("serve", help="serve until SIGTERM, or until the folder is gone")
    serving.add_argument("--folder", type=Path, required=True)
    serve(Folder(parser.parse_args().folder))


def serve(folder: Folder) -> None:
    """Serve an emulator's folder until SIGTERM or SIGINT, or until it is gone."""
    os.umask(0o077)
    settings = folder.settings()
    world = make_world(folder, settings)
    config = uvicorn.Config(
        make_app(world),
        http=Bounded,
        ws="none",
        lifespan="off",
        ssl_certfile=str(folder.server_file),
        ssl_keyfile=str(folder.server_key_file),
        log_config=_log_config(folder.log_file),
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_notify=_LOOK_SECONDS,
    )
    server = uvicorn.Server(config)
    config.callback_notify = _end_without(folder.state_file, server)
    try:
        server.run(sockets=listen(settings))
    finally:
        world.store.close()


def make_world(folder: Folder, settings: Settings) -> World:
    """Return what the handlers work with, read from an emulator's folder."""
    store, client = Store(folder.state_file), folder.client()
    agent_identity.forget_challenges(store)
    return World(
        settings=settings,
        store=store,
        clock=Clock(store),
        faults=Faults(store),
        tokens=Tokens(
            certificates.load_token_key(folder.token_key_file.read_text()),
            settings.tenant_id,
        ),
        registry=Registry(repositories(settings)),
        ca_certificate=folder.ca_file.read_text(),
        admin_token=folder.admin_token(),
        client_secrets={client.client_id: client.client_secret},
    )


def _end_without(state: Path, server: uvicorn.Server) -> Callable[[], Awaitable[None]]:
    """Return what ends a server once its state isn't in its place: removed, moved, or another's.

    Nobody can find such a process to stop it: what is known of it was in the folder. And what it answers would be
    remembered nowhere.
    """
    own = _identity(state)

    async def look() -> None:
        try:
            is_there = _identity(state) == own
        except (FileNotFoundError, NotADirectoryError):
            is_there = False
        except OSError:
            return  # it can't be looked at now, which doesn't say that it is gone
        if not is_there and not server.should_exit:
            _LOG.warning("%s is gone, or isn't what this process opened: it ends", state)
            server.should_exit = True

    return look


def _identity(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_dev, status.st_ino


def listen(settings: Settings) -> list[socket.socket]:
    """Return listening sockets at loopback and the agents' address, and nowhere else."""
    addresses = [LOOPBACK] + ([settings.agent_address] if settings.agent_address else [])
    return [Door(address, settings.port) for address in addresses]


def _log_config(file: Path) -> dict[str, Any]:
    """Return a log that says who asked what and what failed; secrets are in bodies and headers, never in it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {
            "file": {
                "class": "logging.handlers.RotatingFileHandler",
                "filename": str(file),
                "maxBytes": _LOG_BYTES,
                "backupCount": 1,
                "formatter": "line",
            }
        },
        "root": {"handlers": ["file"], "level": "INFO"},
    }
