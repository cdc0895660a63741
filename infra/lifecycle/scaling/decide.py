"""What is done about a cluster's pools now: one of them grows, or one shrinks, or none. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from infra.lifecycle.scaling.down import scale_down
from infra.lifecycle.scaling.up import scale_up
from infra.lifecycle.scaling.view import Decision, Profile, View


@dataclass(frozen=True)
class Outcome:
    """What comes of a look.

    Attributes:
        decision: The pool that gets another size; None where none does.
        notes: Why nothing else is done, a sentence a pool.
        unneeded: Since when nodes are unneeded, as is to be noted on them; None: they are needed.
    """

    decision: Decision | None
    notes: tuple[str, ...] = ()
    unneeded: Mapping[str, datetime | None] = field(default_factory=dict)


def decide(view: View, profile: Profile) -> Outcome:
    """Return what is done: pods that find no node come before nodes that need no longer be there."""
    grows, notes = scale_up(view, profile)
    if grows is not None:
        return Outcome(grows)
    shrinking = scale_down(view, profile)
    return Outcome(shrinking.decision, (*notes, *shrinking.notes), shrinking.unneeded)
