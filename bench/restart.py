"""Nodes that are stopped and started, or rebooted: seconds until their kubelet has reported itself Ready again."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import libvirt

from bench.cluster import STACK, checkout, kubeconfig, make, start_hypervisor
from bench.result import Limit
from infra.kubernetes.api import ClusterApi, ClusterError

CONTROL_PLANE: Final = f"{STACK}-a-cp-0"
WORKER: Final = f"{STACK}-a-pool1-0"
_TIMES: Final = 3
_LONGEST_SECONDS: Final = 180.0
_QUIET_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Restarts:
    """Every kind of restart with its promise."""

    kinds: tuple[Limit, ...]

    @property
    def holds(self) -> bool:
        """Return whether every promise is kept."""
        return all(one.holds for one in self.kinds)

    def __str__(self) -> str:
        return "\n".join(map(str, self.kinds))


def restart() -> Restarts:
    """Restart the nodes of a cluster of 1 + 1 containers, each kind three times."""
    with tempfile.TemporaryDirectory() as folder:
        copy = checkout(Path(folder) / "checkout")
        start_hypervisor()
        try:
            subprocess.run(make(copy, "up"), check=True, capture_output=True)
            api, containers = ClusterApi(kubeconfig(copy)), libvirt.open("lxc:///system")
            plane, worker = (containers.lookupByName(name) for name in (CONTROL_PLANE, WORKER))
            return Restarts(
                (
                    _measured(api, plane, "a control plane stopped and started", _power, 15),
                    _measured(api, worker, "a worker stopped and started", _power, 10),
                    _measured(api, plane, "a control plane rebooted (virsh reboot)", _reboot, 25),
                    _measured(api, worker, "a worker rebooted (virsh reboot)", _reboot, 25),
                )
            )
        finally:
            subprocess.run(make(copy, "down"), check=True, capture_output=True)


def _power(domain: libvirt.virDomain) -> None:
    domain.destroy()
    domain.create()


def _reboot(domain: libvirt.virDomain) -> None:
    domain.reboot()


def _measured(
    api: ClusterApi,
    domain: libvirt.virDomain,
    name: str,
    restart: Callable[[libvirt.virDomain], None],
    limit: float,
) -> Limit:
    seconds = []
    for _ in range(_TIMES):
        time.sleep(_QUIET_SECONDS)
        began, started = datetime.now(UTC), time.monotonic()
        restart(domain)
        while not _is_back(api, domain.name(), began):
            if time.monotonic() - started > _LONGEST_SECONDS:
                raise TimeoutError(f"{name}: it isn't Ready after {_LONGEST_SECONDS:.0f} s")
            time.sleep(0.1)
        seconds.append(time.monotonic() - started)
    return Limit(name, seconds, limit)


def _is_back(api: ClusterApi, node: str, since: datetime) -> bool:
    """Return whether a node is Ready by what its kubelet has said since then."""
    try:
        status = api.get(f"/api/v1/nodes/{node}")["status"]["conditions"]
    except ClusterError:
        return False
    (ready,) = (one for one in status if one["type"] == "Ready")
    # Told in whole seconds: what is told of the second in which it was stopped doesn't count.
    return ready["status"] == "True" and datetime.fromisoformat(ready["lastHeartbeatTime"]) > since
