"""Run what is missing on a host, each step proven by reading the facts again."""

from __future__ import annotations

from typing import Final

from infra.kvm.errors import HostError
from infra.kvm.preparation.facts import PreparationFacts, read_facts
from infra.kvm.preparation.guard import Reach, Trial, change_network
from infra.kvm.preparation.netplan import Design
from infra.kvm.preparation.standing import read_standing
from infra.kvm.preparation.steps import LOCK_SECONDS, Plan, Step, plan
from infra.kvm.preparation.wanted import Wanted
from infra.model.work import Work
from infra.ssh import CommandError, Shell

_COMMAND_SECONDS: Final = 1800.0
"""For one command: packages over a slow line."""

_LOCK_PAUSE: Final = 2.0
_LOCKED: Final = "Could not get lock"


class PreparationError(HostError):
    """A host can't be prepared; the message names the step, the command and the remedy."""


def prepare(shell: Shell, reach: Reach, wanted: Wanted, work: Work, login: str | None = None) -> Plan:
    """Bring a host to what is wanted; where nothing is missing, nothing is done.

    Args:
        shell: As root.
        reach: Opens another connection to the same host.
        wanted: What the host is to have.
        work: Told what is being done; ends it.
        login: Who logs in, where it isn't root.

    Returns:
        The steps that were run, and what was left as it is.

    Raises:
        PreparationError: it can't be done.
        NetworkRolledBack: the network's change was taken back.
        ShellError: the host doesn't answer.
    """
    done: list[Step] = []
    while True:
        facts = read_facts(shell, wanted, login)
        missing = plan(facts, wanted)
        if missing.faults:
            raise PreparationError(f"{shell.host} can't be prepared: {'; '.join(missing.faults)}.")
        if not missing.steps:
            return Plan(tuple(done), notes=missing.notes)
        step = missing.steps[0]
        if step.id in {earlier.id for earlier in done}:
            raise PreparationError(
                f"{shell.host}: step {step.id!r} was run and its work isn't there: {step.why}. {step.remedy}."
            )
        work.status(f"preparing: {step.why}")
        _run(shell, reach, facts, wanted, step, work)
        done.append(step)


def withdraw(shell: Shell, reach: Reach, wanted: Wanted, work: Work) -> bool:
    """Take away what `prepare` made of the host's network; packages stay. Return whether there was something.

    Raises:
        NetworkRolledBack: the host wouldn't have been reached without it.
    """
    if not shell.exists(wanted.netplan_path) and not shell.exists(wanted.port_path):
        return False
    facts = read_facts(shell, wanted)
    standing = read_standing(facts, wanted)
    if standing.faults:
        return False  # somebody else's
    stale = tuple(name for name in (*standing.bridges, *standing.vlans) if name in facts.links)
    work.status(f"removing {wanted.netplan_path}")
    change_network(reach, Trial(facts, wanted, Design(stale=stale)), work)
    return True


def _run(
    shell: Shell,
    reach: Reach,
    facts: PreparationFacts,
    wanted: Wanted,
    step: Step,
    work: Work,
) -> None:
    if step.network is not None:
        change_network(reach, Trial(facts, wanted, step.network), work)
    for command in step.commands:
        try:
            _run_unlocked(shell, command, work)
        except CommandError as error:
            raise PreparationError(f"preparation stopped at step {step.id!r}: {error}. {step.remedy}.") from error


def _run_unlocked(shell: Shell, command: tuple[str, ...], work: Work) -> None:
    """Run a command; wait where another package manager holds the lists' lock, for which apt has no time-out."""
    within = work.within(LOCK_SECONDS)
    while True:
        try:
            shell.run(command, timeout=_COMMAND_SECONDS)
        except CommandError as error:
            if _LOCKED not in error.stderr or not within.remaining or work.cancelled.wait(_LOCK_PAUSE):
                raise
            work.status("waiting for another package manager on the host")
        else:
            return
