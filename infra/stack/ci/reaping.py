"""`azlocal ci lease` and `reap`: who has the hosts of a stack, and what runs left there."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from infra.errors import UserError
from infra.kvm.claim import who_is_here
from infra.spec import load_instance
from infra.ssh import ShellError
from infra.stack.ci.flow import hosts_of
from infra.stack.ci.holding import Holding, RunHost
from infra.stack.ci.lease import Claimant, described, reap
from infra.stack.ci.runs import RunFolder
from infra.stack.messages import say

_SECONDS: Final = 1800


@dataclass(frozen=True)
class HostState:
    """Who has a host, or what became of it.

    Attributes:
        host: Its name.
        state: As boskos has it, or that it doesn't answer.
        text: The same for people.
        run: The run that has it, or left something there; empty where it is free.
        instance: That run's instance.
        renewed_ago: How many seconds ago that run was heard of.
        ends_in: In how many seconds its lease ends; less than 0: it has ended.
    """

    host: str
    state: Literal["free", "busy", "dirty", "cleaning", "unknown"]
    text: str
    run: str = ""
    instance: str = ""
    renewed_ago: int = 0
    ends_in: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of it."""
        if not self.run:
            return {"host": self.host, "state": self.state, "text": self.text}
        return {
            "host": self.host,
            "state": self.state,
            "text": self.text,
            "run": self.run,
            "instance": self.instance,
            "renewedSecondsAgo": self.renewed_ago,
            "endsInSeconds": self.ends_in,
        }


def leases(project: Path, stack: str) -> list[HostState]:
    """Return who has each host of a stack.

    Raises:
        SpecError: The stack's files can't be read.
    """
    return [_state(holding, host) for holding, host in _each(project, stack)]


def reap_all(project: Path, stack: str, older_than: float | None, *, is_trial: bool) -> list[HostState]:
    """Take away what runs have on the hosts of a stack that are over, or older than wanted.

    Args:
        project: The project's folder.
        stack: The stack.
        older_than: Seconds; None: only runs whose leases have ended.
        is_trial: Whether it is only said what would go.

    Raises:
        SpecError: The stack's files can't be read.
    """
    for holding, host in _each(project, stack):
        try:
            _reap(project, holding, host, older_than, is_trial=is_trial)
        except (ShellError, UserError) as error:
            say(f"{host.name}: {error}")
    return leases(project, stack)


def _reap(project: Path, holding: Holding, host: RunHost, older_than: float | None, *, is_trial: bool) -> None:
    seen = holding.look(host)
    decision = reap(seen.lease, holding.claimant, seen.now, older_than)
    if decision.verdict != "clean" or seen.lease is None:
        say(f"{host.name} is left: {decision.why}")
        return
    if is_trial:
        say(
            f"{host.name}: what run {seen.lease.remains.run} has there would go: {described(seen.lease, seen.now)}"
        )
        return
    folder = RunFolder(project, seen.lease.remains.run)
    record = folder.read()
    if record is not None and record.holder == seen.lease.remains.holder:
        say(f"{host.name}: run {folder.run} is taken down, by the state that is in {folder.path}")
        azlocal = [sys.executable, "-P", "-m", "infra.cli"]
        if subprocess.call([*azlocal, "-C", str(project), "ci", "down", "--run", folder.run]) == 0:
            return
        older_than = None  # its age doesn't count where a command may be working on it
    holding.reap(host, older_than)


def _each(project: Path, stack: str) -> Iterator[tuple[Holding, RunHost]]:
    claimant = Claimant(holder=secrets.token_hex(16), owner=who_is_here(), seconds=_SECONDS)
    for host in hosts_of(load_instance(stack, project)):
        with closing(Holding([host], claimant)) as holding:
            yield holding, host


def _state(holding: Holding, host: RunHost) -> HostState:
    try:
        seen = holding.look(host)
    except (ShellError, UserError) as error:
        return HostState(host.name, "unknown", str(error))
    lease = seen.lease
    if lease is None:
        return HostState(host.name, "free", "free")
    return HostState(
        host.name,
        lease.state if lease.is_alive(seen.now) else "dirty",
        described(lease, seen.now),
        lease.remains.run,
        lease.remains.instance,
        seen.now - lease.renewed,
        lease.ends - seen.now,
    )
