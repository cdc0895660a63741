"""`python3 -m agent ROLE`: the command of every container of the agents' chart."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from . import health, loop
from .errors import FatalError
from .settings import SERVICE_ACCOUNT, read_settings

log = logging.getLogger("agent")

_HEALTH_PORT = 8080


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
    parser.add_argument("role")
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
            from .roles import ROLES, Agent  # most agents stand there, and start twice as fast without

            if options.role not in ROLES:
                parser.error(f"no agent is called {options.role}; those that work are {', '.join(sorted(ROLES))}")
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
