"""What a drill does to machines and hosts: each only to what carries the stack's mark, or to a lab's host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Final

from infra.errors import UserError
from infra.guest import renewal_configuration
from infra.kvm.connection import Hosts
from infra.kvm.machines import owned_machines
from infra.model.work import Work
from infra.provider.kinds.host_owner import pool_name
from infra.ssh import ShellError
from infra.stack.drills import lab_hosts
from infra.stack.drills.decision import Break, Drill
from infra.stack.drills.journal import Fault, Lack
from infra.stack.drills.scene import Scene
from infra.stack.messages import say

_EXPIRE: Final = files("infra.kubernetes").joinpath("files", "expire-certificates.sh")
_ENDED: Final = "1m0s"
"""kubeadm counts from five minutes ago: what lives for one of them has ended."""
_COMMAND_SECONDS: Final = 120.0
_TAKES: Final[Mapping[Drill, Lack]] = {"lose-host": "power", "cut-cable": "cable"}


def fault_of(chosen: Break, scene: Scene) -> Fault | None:
    """Return what a drill takes from a lab's host, which has to be given back; None where it takes nothing."""
    if chosen.drill not in _TAKES:
        return None
    host = scene.lab_hosts[chosen.host]
    return Fault(host.lab, host.name, _TAKES[chosen.drill])


def carry_out(chosen: Break, scene: Scene) -> None:
    """Break it.

    Raises:
        UserError: It can't be done, or can't be done completely.
    """
    _EFFECTS[chosen.drill](chosen, scene)


def _destroy(chosen: Break, scene: Scene) -> None:
    hosts = Hosts()
    for connection in {scene.connections[scene.machines[name].host] for name in chosen.machines}:
        with hosts.session(connection, Work(status=say)) as session:
            for machine in owned_machines(session, pool_name(scene.mark.instance), scene.mark):
                if machine.name in chosen.machines:
                    machine.remove()


def _kill_api_server(chosen: Break, scene: Scene) -> None:
    (name,) = chosen.machines
    _run(scene, name, "pkill", "-KILL", "-x", "kube-apiserver")


def _expire(chosen: Break, scene: Scene) -> None:
    script = _EXPIRE.read_bytes()

    def expire(name: str) -> None:
        version = _run(scene, name, "kubeadm", "version", "--output", "short").strip()
        _run(scene, name, "sh", "-s", "--", renewal_configuration(version, _ENDED), input=script)

    with ThreadPoolExecutor(len(chosen.machines)) as pool:
        list(pool.map(expire, chosen.machines))


def _take(chosen: Break, scene: Scene) -> None:
    lab_hosts.take(scene.lab_hosts[chosen.host], _TAKES[chosen.drill])


def _run(scene: Scene, machine: str, *command: str, input: bytes | None = None) -> str:
    """Run a command as root on a machine.

    Raises:
        UserError: It can't be logged in to, or the command fails.
    """
    try:
        with scene.login(machine) as shell:
            return shell.run(["sudo", *command], input=input, timeout=_COMMAND_SECONDS).stdout
    except ShellError as error:
        raise UserError(f"{machine}: {error}. See that `azlocal ssh {machine}` logs in there") from error


_EFFECTS: Final[Mapping[Drill, Callable[[Break, Scene], None]]] = {
    "lose-control-plane": _destroy,
    "lose-quorum": _destroy,
    "kill-api-server": _kill_api_server,
    "expire-certificates": _expire,
    "lose-host": _take,
    "cut-cable": _take,
}
