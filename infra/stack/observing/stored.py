"""What a stack's state tells of an instance, and of the run that goes on."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from infra.resources.host import HOST
from infra.resources.machine import MACHINE
from infra.resources.network import NETWORK
from infra.stack.settle import Unsettled, is_dead, resources_of
from infra.stack.state import Run, Stack
from infra.status.seen import Lock, PastRun, PhaseRecord, StackState, StateHost, StateMachine

_OURS: Final = "azlocal:index:"
_PHASES: Final[Mapping[str, tuple[str, ...]]] = {
    "hosts and networks": (
        f"{_OURS}StackIdentity",
        HOST.token,
        NETWORK.token,
        f"{_OURS}AddressProbe",
        f"{_OURS}ArcEmulator",
    ),
    "node images": (f"{_OURS}Image",),
    "machines": (f"{_OURS}ClusterIdentity", f"{_OURS}NodePlacement", MACHINE.token),
    "API servers": (f"{_OURS}ControlPlane",),
    "add-ons": ("kubernetes:", f"{_OURS}Cluster", f"{_OURS}SnapshotSchedule"),
    "Azure Arc": (
        *(f"{_OURS}ArcRegistration", f"{_OURS}ConnectedCluster", f"{_OURS}Extension"),
        *(f"{_OURS}FluxConfiguration", f"{_OURS}CustomLocation", f"{_OURS}TokenIssuer", f"{_OURS}DataCollection"),
    ),
}
"""The parts of a run, in their order, each with the types of its resources."""
_COMMANDS: Final[Mapping[str, str]] = {
    "update": "azlocal up",
    "destroy": "azlocal down",
    "refresh": "azlocal refresh",
    "resource-import": "pulumi import",
}
"""What a run is to the user, by the engine's kind of it."""
_VERBS: Final[Mapping[str, str]] = {
    "up": "update",
    "update": "update",
    "destroy": "destroy",
    "refresh": "refresh",
    "import": "resource-import",
}
"""The kind of a run, by the word of the engine's command."""
_RUNS: Final = 50


def state_of(stack: Stack, deployment: Mapping[str, Any]) -> StackState:
    """Return what a stack's state tells.

    Args:
        stack: The stack.
        deployment: What its state has.

    Raises:
        EngineFailed: The engine doesn't say which runs there were.
    """
    locks = list(stack.locks())
    living = [lock for lock in locks if not is_dead(lock)]
    runs = stack.runs(_RUNS)
    machines, hosts = machines_of(stack.name, deployment), hosts_of(deployment)
    last = past(runs[0]) if runs else None
    if not living:
        unsettled = Unsettled.of(stack, deployment, asks_hosts=False).reasons()
        if locks:
            unsettled.insert(0, "the run that locked this stack is gone (killed?)")
        return StackState(machines, hosts, None, tuple(unsettled), last)
    verb = verb_of(living[0])
    kind = _VERBS.get(verb, "")
    alike = next((run for run in runs if run.kind == kind and run.result == "succeeded" and run.changes), None)
    begun, makes = _since(living[0]), kind in ("update", "")
    return StackState(
        machines,
        hosts,
        Lock(f"{living[0].get('username')} on {living[0].get('hostname')}", begun, _COMMANDS.get(kind, "")),
        last_run=last,
        last_alike=past(alike) if alike else None,
        phases=phases_of(deployment, begun) if makes else {},
        last_phases=phases_of(stack.deployment_after(alike), alike.started, alike.ended)
        if makes and alike
        else {},
    )


def past(run: Run) -> PastRun:
    """Return a run as a user knows it."""
    return PastRun(_COMMANDS.get(run.kind, f"pulumi {run.kind}"), run.result, run.ended, run.seconds)


def machines_of(instance: str, deployment: Mapping[str, Any]) -> dict[str, StateMachine]:
    """Return the machines that a state has, less those that are only to be deleted. Pure."""
    machines = {}
    for made in _outputs(deployment, MACHINE.token):
        first_boot = made.get("firstBoot") or {}
        node = first_boot.get("node") or {}
        machines[str(made["name"])] = StateMachine(
            connection=str(made.get("connection", "")),
            version=str(node.get("version", "")),
            address=str(first_boot.get("address", "")),
            role=str(node.get("role", "")),
            cluster=str(node.get("cluster", "")).removeprefix(f"{instance}-"),
            started=float(made.get("started") or 0),
        )
    return machines


def hosts_of(deployment: Mapping[str, Any]) -> dict[str, StateHost]:
    """Return the hosts that a state has, by connection. Pure."""
    networks: dict[str, set[str]] = defaultdict(set)
    for network in _outputs(deployment, NETWORK.token):
        networks[str(network["connection"])].add(str(network["name"]))
    return {
        str(host["connection"]): StateHost(
            str(host["name"]),
            str(host.get("bootId") or ""),
            str(host.get("machineType") or ""),
            frozenset(networks[str(host["connection"])]),
        )
        for host in _outputs(deployment, HOST.token)
        if not host.get("lost")
    }


def phases_of(deployment: Mapping[str, Any], begun: float, ended: float = float("inf")) -> dict[str, PhaseRecord]:
    """Return how far the parts of a run are, from when each resource was made or changed. Pure.

    Args:
        deployment: State, as it is in the run, or at its end.
        begun: When the run began, in seconds since 1970.
        ended: When it ended, in whole seconds as the engine's history has it.
    """
    pending = [operation["resource"] for operation in deployment.get("pending_operations") or ()]
    phases = {}
    for name, types in _PHASES.items():
        resources = [each for each in resources_of(deployment) if _is_of(each, types) and not each.get("delete")]
        going = [each for each in pending if _is_of(each, types)]
        moments = [moment - begun for each in resources if begun <= (moment := _changed(each)) < ended + 1]
        there = {each["urn"] for each in resources}
        total = len(resources) + len({each["urn"] for each in going} - there)
        if total:
            phases[name] = PhaseRecord(tuple(sorted(moments)), len(going), total)
    return phases


def verb_of(lock: Mapping[str, Any], processes: Path = Path("/proc")) -> str:
    """Return what the engine's command was told to do that holds a lock; empty where that can't be seen.

    Args:
        lock: The lock.
        processes: Where the kernel tells of processes.
    """
    if lock.get("hostname") != socket.gethostname():
        return ""
    try:
        words = (processes / str(int(lock["pid"])) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except (OSError, KeyError, ValueError):
        return ""
    return next((word for word in words[1:] if word in _VERBS), "")


def _is_of(resource: Mapping[str, Any], types: Iterable[str]) -> bool:
    """Return whether a resource is of one of some types; one that ends in a colon stands for a package's."""
    token = str(resource["type"])
    return any(token.startswith(type) if type.endswith(":") else token == type for type in types)


def _changed(resource: Mapping[str, Any]) -> float:
    moment = resource.get("modified") or resource.get("created")
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0


def _since(lock: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(lock["timestamp"])).timestamp()


def _outputs(deployment: Mapping[str, Any], token: str) -> Iterator[Mapping[str, Any]]:
    for resource in resources_of(deployment):
        if resource["type"] == token and resource.get("outputs") and not resource.get("delete"):
            yield resource["outputs"]
