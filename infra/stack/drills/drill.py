"""A drill from its beginning to its end: look, decide, ask, break, watch, heal, measure."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from infra.errors import UserError
from infra.kubernetes.api import ClusterError
from infra.kubernetes.load import Client, Clients
from infra.stack.drills import faults, healing, journal, scene
from infra.stack.drills.decision import RESTORES, Break, Drill, decide
from infra.stack.drills.health import Watcher
from infra.stack.drills.outcome import Course, Outcome
from infra.stack.messages import confirmed, say

if TYPE_CHECKING:
    from infra.stack.drills.scene import Scene
    from infra.stack.state import Stack

_RATE: Final = 20
"""Requests in a second, half of them writes: a tenth of a second is what a gap is measured by."""
_WATCHES: Final = 2
_BEFORE_SECONDS: Final = 3.0
_QUIET_SECONDS: Final = 3.0
_HEALTHY_SECONDS: Final = 300.0
HOLD_SECONDS: Final = 10.0
"""How long it stays broken."""


def run(
    stack: Stack,
    drill: Drill,
    *,
    cluster: str | None = None,
    machine: str | None = None,
    hold: float = HOLD_SECONDS,
    yes: bool = False,
) -> Outcome:
    """Run a drill.

    Args:
        stack: The stack.
        drill: Which drill.
        cluster: The cluster that clients use; None: the only one.
        machine: What it is done to; None: see `decide`.
        hold: Seconds until it is healed.
        yes: Whether the user needn't be asked.

    Raises:
        DrillRefused: It isn't run; nothing was touched.
        UserError: It can't be run, or not to its end.
    """
    stack.require()
    if journal.find(stack.directory, stack.name) is not None:
        raise UserError(
            f"a drill broke {stack.name}, and no `up` has healed it yet: first `azlocal up {stack.name}`"
        )
    standing = scene.find(stack, cluster, backups=drill in RESTORES)
    chosen = decide(drill, standing.situation, machine)
    say(f"{chosen.drill} of cluster {chosen.cluster}: {chosen.does}. {chosen.heals}")
    say(f"if this command is killed meanwhile, {_afterwards(stack, chosen)}")
    confirmed(stack.name, "break it", yes=yes)
    client = Client(standing.kubeconfig)
    client.make_namespace()
    try:
        return Outcome.of(chosen, _course(stack, chosen, standing, client, hold))
    finally:
        _clean(client)


def _course(stack: Stack, chosen: Break, standing: Scene, client: Client, hold: float) -> Course:
    clients = Clients(client, f"drill-{time.time_ns()}", _RATE, _WATCHES)
    silent_since: dict[str, float] = {}
    watcher = Watcher(lambda: standing.health.look(silent_since))
    with clients.working() as load:
        time.sleep(_BEFORE_SECONDS)
        if load.failed or not load.acknowledged:
            fault = load.failed[0].fault if load.failed else "no write was acknowledged"
            raise UserError(f"requests fail before anything is broken: {fault}. Nothing was touched")
        journal.begin(
            stack.directory, stack.name, journal.OpenDrill(chosen.drill, faults.fault_of(chosen, standing))
        )
        broke = time.monotonic()
        silent_since |= dict.fromkeys(chosen.machines if chosen.silences else (), time.time())
        try:
            faults.carry_out(chosen, standing)
            say(f"broken; it is healed in {hold:g} s")
            with watcher.watching():
                time.sleep(hold)
                written = set(load.acknowledged)
                healed = healing.heal(stack, chosen, client)
                if healed.restored:
                    with suppress(ClusterError):  # then it is told that nobody knows what is lost
                        clients.forget(written)
                if healed.exit_code == 0:
                    watcher.wait_until_healthy(_HEALTHY_SECONDS)
                    time.sleep(_QUIET_SECONDS)
        except BaseException:
            say(f"the drill ends early: {_afterwards(stack, chosen)}")
            raise
    return Course(broke, healed, load, watcher.looks, _answered(clients.lost), frozenset(clients.untold()))


def _afterwards(stack: Stack, chosen: Break) -> str:
    """Return what becomes of what a drill broke that doesn't come to its end."""
    does = "names the restore that heals" if chosen.snapshot else "heals"
    return f"the next `azlocal up {stack.name}` {does} what it broke"


def _answered(ask: Callable[[], set[str]]) -> frozenset[str] | None:
    try:
        return frozenset(ask())
    except ClusterError:
        return None


def _clean(client: Client) -> None:
    try:
        client.remove_namespace()
    except ClusterError as error:
        say(f"what was written stays in the cluster, until the next drill removes it: {error}")
