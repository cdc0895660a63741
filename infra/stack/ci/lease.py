"""Which run of a pipeline has a host, and what may be done about it. Pure.

The states are those of boskos (kubernetes-sigs/boskos). A host without a lease is free; a run makes it busy; it is
dirty when the run ends without proof that nothing is left, or is heard of no more; who cleans it has it meanwhile.
Only the host's own clock is compared: pipelines run on machines whose clocks differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from infra.model.base import Model

State = Literal["busy", "dirty", "cleaning"]

INSTANCE: Final = re.compile(r"ci[0-9][0-9a-z]{4}")
"""What instances of runs are called; whatever a lease says, nothing of another instance is removed for it."""
_LEAST_PARTS: Final = 3
"""Of a storage directory: the root, a folder, the instance."""
QUIET_SECONDS: Final = 180
"""A run whose lease was renewed within so many seconds is being worked on: three renewals."""


def _own(instance: str) -> str:
    if not INSTANCE.fullmatch(instance):
        raise ValueError("no instance of a run")
    return instance


class Remains(Model):
    """What a run may leave on a host, so that anybody can clean it without the run's files.

    Attributes:
        holder: The run's secret: who has it may go on with the run.
        run: The run's name.
        owner: For people: who ran it, and where.
        instance: The name of its instance.
        directory: The instance's storage directory on the host.
        machines: The names of all its machines, on whichever host.
        networks: The bridge of each of its networks, by libvirt's name.
    """

    holder: str
    run: str
    owner: str
    instance: Annotated[str, AfterValidator(_own)]
    directory: str
    machines: tuple[str, ...] = ()
    networks: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_directory(self) -> Remains:
        parts = self.directory.split("/")
        if parts[0] or ".." in parts or len(parts) < _LEAST_PARTS or parts[-1] != self.instance:
            raise ValueError("no storage directory of the instance")
        return self


class Lease(Model):
    """Who has a host.

    Attributes:
        format: Of the record.
        state: See the module.
        holder: Whose it is: the secret of a run that works, or of one that cleans.
        owner: For people: who runs that, and where.
        since: When its run got the host, in seconds of the host's clock.
        renewed: When it was last heard of.
        seconds: For how long it counts from then.
        remains: What is on the host, or may be.
    """

    format: Literal["azlocal/lease-1"] = "azlocal/lease-1"
    state: State
    holder: str
    owner: str
    since: int
    renewed: int
    seconds: Annotated[int, Field(gt=0)]
    remains: Remains

    @property
    def ends(self) -> int:
        """Return when it ends unless it is renewed."""
        return self.renewed + self.seconds

    def is_alive(self, now: int) -> bool:
        """Return whether somebody works on the host, or may."""
        return self.state != "dirty" and now < self.ends


class Claimant(Model):
    """A run that wants hosts, or one that cleans them.

    Attributes:
        holder: Its secret.
        owner: For people: who runs it, and where.
        seconds: For how long its lease counts without being renewed.
    """

    holder: str
    owner: str
    seconds: Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class Decision:
    """What becomes of a host's lease.

    Attributes:
        verdict: What that means for the claimant: the host is granted, or to be cleaned first; it stays whose it
            is (refused); the claimant has lost it; it has given it back, free or dirty.
        lease: The lease that the host has afterwards; None: it is free.
        why: Why it is refused, for people.
    """

    verdict: Literal["granted", "clean", "refused", "lost", "free", "dirty"]
    lease: Lease | None
    why: str = ""


def acquire(standing: Lease | None, claimant: Claimant, remains: Remains, now: int) -> Decision:
    """Decide who has a host when a run wants it.

    Args:
        standing: The lease that the host has; None: it is free.
        claimant: The run.
        remains: What the run is going to make there.
        now: The host's clock.
    """
    if standing is None:
        return Decision("granted", _lease("busy", claimant, remains, now))
    if standing.is_alive(now) and standing.holder != claimant.holder:
        return Decision("refused", standing, described(standing, now))
    if standing.remains.holder == claimant.holder:  # what is there, the run's own state knows
        return Decision("granted", _lease("busy", claimant, remains, now, since=standing.since))
    return Decision("clean", _lease("cleaning", claimant, standing.remains, now))


def reap(standing: Lease | None, claimant: Claimant, now: int, older_than: float | None = None) -> Decision:
    """Decide whether what a run has on a host is taken away, whoever started the run.

    Args:
        standing: The lease that the host has.
        claimant: Who would clean.
        now: The host's clock.
        older_than: Seconds; a run that began before that is ended though its lease counts, unless it is being
            worked on.
    """
    if standing is None:
        return Decision("refused", None, "free")
    if standing.is_alive(now):
        is_old = older_than is not None and standing.state == "busy" and now - standing.since >= older_than
        if not is_old or now - standing.renewed < QUIET_SECONDS:
            why = described(standing, now) + ("; it is being worked on" if is_old else "")
            return Decision("refused", standing, why)
    return Decision("clean", _lease("cleaning", claimant, standing.remains, now))


def renew(standing: Lease | None, claimant: Claimant, now: int) -> Decision:
    """Decide whether the claimant still has a host, and has it for longer now."""
    if standing is None or standing.holder != claimant.holder:
        return _lost(standing, now)
    state: State = "busy" if standing.state == "dirty" else standing.state
    changes = {"state": state, "renewed": now, "seconds": claimant.seconds}
    return Decision("granted", standing.model_copy(update=changes))


def finish_cleaning(
    standing: Lease | None, claimant: Claimant, remains: Remains | None, now: int, *, is_clean: bool
) -> Decision:
    """Decide who has a host after it was cleaned.

    Args:
        standing: The lease that the host has.
        claimant: Who cleaned it.
        remains: What the claimant is going to make there; None: it only cleaned.
        now: The host's clock.
        is_clean: Whether an audit found nothing left.
    """
    if standing is None or standing.holder != claimant.holder:
        return _lost(standing, now)
    if not is_clean:
        return Decision("dirty", _dirtied(standing))
    if remains is None:
        return Decision("free", None)
    return Decision("granted", _lease("busy", claimant, remains, now))


def release(standing: Lease | None, claimant: Claimant, now: int, *, is_clean: bool) -> Decision:
    """Decide who has a host when its run has ended: nobody, where an audit found nothing left."""
    if standing is None or standing.holder != claimant.holder:
        return _lost(standing, now)
    return Decision("free", None) if is_clean else Decision("dirty", _dirtied(standing))


def _lost(standing: Lease | None, now: int) -> Decision:
    return Decision("lost", standing, described(standing, now))


def _dirtied(standing: Lease) -> Lease:
    return standing.model_copy(update={"state": "dirty", "holder": standing.remains.holder})


def described(standing: Lease | None, now: int) -> str:
    """Say for people who has a host."""
    if standing is None:
        return "free"
    run = f"run {standing.remains.run} ({standing.remains.instance}) of {standing.remains.owner}"
    if standing.state == "dirty":
        return f"dirty: {run} may have left something; `azlocal ci reap` cleans it"
    if not standing.is_alive(now):
        return (
            f"dirty: {run} was last heard of {_ago(now - standing.renewed)}, and its lease has ended; "
            "`azlocal ci reap` cleans it"
        )
    ends = f"heard of {_ago(now - standing.renewed)}, its lease ends in {time_text(standing.ends - now)}"
    if standing.state == "cleaning":
        return f"{standing.owner} cleans what run {standing.remains.run} left; {ends}"
    return f"busy: {run} has it for {time_text(now - standing.since)}; {ends}"


def time_text(seconds: float) -> str:
    """Write a time for people, to the minute where it is longer: `50 s`, `2 h 5 min`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def read_lease(content: bytes) -> Lease | None:
    """Return the lease that a host's file has; None where it can't be read by this version."""
    try:
        return Lease.model_validate_json(content)
    except ValidationError:
        return None


def _lease(state: State, claimant: Claimant, remains: Remains, now: int, since: int | None = None) -> Lease:
    return Lease(
        state=state,
        holder=claimant.holder,
        owner=claimant.owner,
        since=now if since is None else since,
        renewed=now,
        seconds=claimant.seconds,
        remains=remains,
    )


def _ago(seconds: float) -> str:
    return f"{time_text(seconds)} ago"
