"""`python3 -m agent ROLE`: the command of every container of the agents' chart."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from . import credential, health, kube, loop, wire
from .aad_proxy import AadProxy
from .clock import Clock
from .config_agent import ConfigAgent
from .data_plane import DataPlane
from .errors import FatalError
from .extension_manager import ExtensionManager
from .helm import Helm
from .identity_operator import IdentityOperator
from .metadata import MetadataOperator, ResourceSync
from .settings import SERVICE_ACCOUNT, Settings, read_settings

log = logging.getLogger("agent")

_HEALTH_PORT = 8080


class Agent:
    """What the roles are made of."""

    def __init__(self, role: str, settings: Settings, stopping: threading.Event) -> None:
        self.settings = settings
        self.stopping = stopping
        self.clock = Clock()
        self.api = kube.Api(settings.api_server, settings.service_account, f"azure-arc-{role}")
        self.wire = wire.Wire(wire.trust(settings.extra_ca))
        self.service = DataPlane(
            settings, self.wire, self.clock, lambda: credential.load(self.api, settings.namespace)
        )


ROLES: dict[str, Callable[[Agent], loop.Step]] = {
    "clusteridentityoperator": lambda a: IdentityOperator(a.settings, a.api, a.wire, a.clock).step,
    "cluster-metadata-operator": lambda a: MetadataOperator(a.settings, a.api).step,
    "resource-sync-agent": lambda a: ResourceSync(a.settings, a.api, a.service).step,
    "kube-aad-proxy": lambda a: AadProxy(a.settings, a.api).step,
    "config-agent": lambda a: ConfigAgent(a.settings, a.api, a.service, a.clock).step,
    "extension-manager": lambda a: (
        ExtensionManager(a.settings, a.api, a.service, Helm(a.settings, a.stopping)).step
    ),
}
# Their work has no meaning without Azure; their deployments are there because users look for them.
IDLE = frozenset(
    {
        "controller-manager",
        "metrics-agent",
        "flux-logs-agent",
        "clusterconnect-agent",
        "extension-events-collector",
        "logcollector",
        "guard",
    }
)


def main(arguments: list[str] | None = None) -> int:
    """Run one agent until it is told to end; return the exit code."""
    parser = argparse.ArgumentParser(prog="agent", description="One of the emulated Azure Arc agents.")
    parser.add_argument("role", choices=sorted({*ROLES, *IDLE}))
    parser.add_argument("--service-account", type=Path, default=SERVICE_ACCOUNT, metavar="FOLDER")
    parser.add_argument("--health-port", type=int, default=_HEALTH_PORT, metavar="PORT")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    state = health.Health()
    server = health.serve(state, options.health_port)
    log.info("%s of azlocal's emulator begins", options.role)
    try:
        if options.role in IDLE:
            loop.idle(state, stopping)
        else:
            settings = read_settings(folder=options.service_account)
            loop.repeat(ROLES[options.role](Agent(options.role, settings, stopping)), state, stopping)
    except FatalError as error:
        log.critical("%s", error)
        return 1
    finally:
        server.shutdown()
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
