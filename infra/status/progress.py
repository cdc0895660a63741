"""Runs: the one that goes on with its phases, what the last one was, and what killed ones have left. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from infra.status.machines import KEYS, STATE
from infra.status.model import LastRun, Phase, RunStatus
from infra.status.seen import Observations, PhaseRecord, StackState
from infra.status.trouble import Trouble


def state_troubles(stack: str, state: StackState) -> Iterator[Trouble]:
    """Say what runs before have left; while one goes on, that is its matter."""
    if state.lock is None and state.unsettled:
        text = "; ".join(state.unsettled)
        yield Trouble(STATE, "wrong", text, f"azlocal up {stack} goes on from there", (), f"runs of {stack}")


def keys_troubles(seen: Observations) -> Iterator[Trouble]:
    """Say why clusters can't be asked, any of them."""
    if seen.keys is not None:
        yield Trouble(KEYS, "unknown", f"can't be read: {seen.keys.why}", "", (), "keys of clusters in state")


def run_status(seen: Observations) -> RunStatus | None:
    """Return the run that goes on."""
    state = seen.state
    if state.lock is None:
        return None
    return RunStatus(
        command=state.lock.command or None,
        owner=state.lock.owner,
        since=_moment(state.lock.since),
        seconds=max(0.0, seen.at.timestamp() - state.lock.since),
        expected_seconds=state.last_alike.seconds if state.last_alike else None,
        phases=tuple(_phases(state)),
    )


def last_run(state: StackState) -> LastRun | None:
    """Return the last run that has ended."""
    run = state.last_run
    if run is None:
        return None
    return LastRun(command=run.command, result=run.result, ended=_moment(run.ended), seconds=run.seconds)


def _phases(state: StackState) -> Iterator[Phase]:
    nothing = PhaseRecord()
    for name in dict.fromkeys((*state.last_phases, *state.phases)):
        now, before = state.phases.get(name, nothing), state.last_phases.get(name, nothing)
        total = max(now.total, before.total)
        through = len(now.seconds)
        if not total or not (through or now.going or before.seconds):
            continue
        is_done = through and not now.going and through >= min(total, len(before.seconds) or total)
        yield Phase(
            name=name,
            state="done" if is_done else "going" if now.going or through else "waiting",
            done=through,
            total=total,
            seconds=max(now.seconds, default=None),
            last_seconds=max(before.seconds, default=None),
        )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
