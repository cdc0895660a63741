"""What isn't as planned, arranged by cause: a host before its machines, a machine before its node. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from infra.status.model import Level, Reason

Key: TypeAlias = tuple[str, ...]
"""What something is about: `("machine", "lab-a-cp-0")`."""

_RANK: Final[dict[Level, int]] = {"wrong": 0, "unknown": 1, "warning": 2}


@dataclass(frozen=True)
class Trouble:
    """Something that isn't as planned.

    Attributes:
        key: What it is about.
        level: How bad it is.
        text: What is the matter.
        remedy: What helps.
        causes: What it may only follow from, the first that is in trouble counts.
        subject: What it is about, for people; drawn from the key where it is empty.
    """

    key: Key
    level: Level
    text: str
    remedy: str = ""
    causes: tuple[Key, ...] = ()
    subject: str = ""


def arrange(troubles: Sequence[Trouble]) -> tuple[Reason, ...]:
    """Return the causes, the worst first, each with what follows from it.

    Args:
        troubles: Each after everything that it may follow from, so that nothing is its own cause.
    """
    first: dict[Key, int] = {}
    below: dict[int | None, list[int]] = defaultdict(list)
    for number, trouble in enumerate(troubles):
        below[next((first[key] for key in trouble.causes if key in first), None)].append(number)
        first.setdefault(trouble.key, number)

    def reasons(numbers: Iterable[int]) -> tuple[Reason, ...]:
        return tuple(_reason(troubles[number], reasons(below[number])) for number in numbers)

    roots = reasons(below[None])
    return tuple(sorted(roots, key=lambda reason: _RANK[worst([reason])]))


def worst(reasons: Iterable[Reason]) -> Level:
    """Return the worst level among reasons and all that follows from them; a warning where there are none."""
    return min((reason.level for reason in each_of(reasons)), key=_RANK.__getitem__, default="warning")


def each_of(reasons: Iterable[Reason]) -> Iterator[Reason]:
    """Yield reasons and all that follows from them."""
    for reason in reasons:
        yield reason
        yield from each_of(reason.consequences)


def _reason(trouble: Trouble, consequences: tuple[Reason, ...]) -> Reason:
    return Reason(
        subject=trouble.subject or " ".join(trouble.key),
        level=trouble.level,
        text=trouble.text,
        remedy=trouble.remedy,
        consequences=consequences,
    )
