"""What a check is, and the register of all of them.

To add a check, write one function that judges a host, in the module it belongs to::

    @check("tpm", source="SYS")
    def tpm(subject: Subject) -> Verdict:
        '''TPM 2.0.'''

The docstring's first line is the check's title. Sources are the codes of azure_local_facts.md §0; `azlocal`
marks what azlocal itself needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from infra.doctor.facts import HostFacts, Hypervisor, Unknown
from infra.doctor.wanted import WantedHost, WantedInstance

T = TypeVar("T")

Status = Literal["ok", "warning", "failed", "skipped"]

GIB: Final = 1 << 30
GB: Final = 10**9


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found.

    Attributes:
        seen: What was seen, with the value; of a skipped check, why it was.
        remedy: What to do about it; empty when there is nothing to do.
    """

    status: Status
    seen: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """A verdict with the check it comes from.

    Attributes:
        check: The check's id, which stays the same for ever.
        section: What it is about: the name of the check's module.
        title: What should hold, in a few words.
        source: Where that is written.
        host: The host; None for what concerns all of them.
    """

    check: str
    section: str
    title: str
    source: str
    host: str | None
    status: Status
    seen: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A host to judge: what it is, what it is to carry, and what it is part of."""

    facts: HostFacts
    host: WantedHost
    instance: WantedInstance


@dataclass(frozen=True, slots=True)
class HostCheck:
    """A check of one host."""

    id: str
    section: str
    title: str
    source: str
    judge: Callable[[Subject], Verdict]


@dataclass(frozen=True, slots=True)
class SiteCheck:
    """A check of all hosts together."""

    id: str
    section: str
    title: str
    source: str
    judge: Callable[[Sequence[Subject]], Verdict]


HOST_CHECKS: Final[list[HostCheck]] = []
SITE_CHECKS: Final[list[SiteCheck]] = []


class Skip(Exception):
    """The check can't be made; the message says why."""


def check(
    id: str, *, source: str = "azlocal"
) -> Callable[[Callable[[Subject], Verdict]], Callable[[Subject], Verdict]]:
    """Register a check of one host."""

    def register(judge: Callable[[Subject], Verdict]) -> Callable[[Subject], Verdict]:
        HOST_CHECKS.append(HostCheck(id, _section(judge), _title(judge), source, judge))
        return judge

    return register


def site_check(
    id: str, *, source: str = "azlocal"
) -> Callable[[Callable[[Sequence[Subject]], Verdict]], Callable[[Sequence[Subject]], Verdict]]:
    """Register a check of all hosts together."""

    def register(judge: Callable[[Sequence[Subject]], Verdict]) -> Callable[[Sequence[Subject]], Verdict]:
        SITE_CHECKS.append(SiteCheck(id, _section(judge), _title(judge), source, judge))
        return judge

    return register


def _title(judge: Callable[..., Verdict]) -> str:
    return (judge.__doc__ or judge.__name__).splitlines()[0].removesuffix(".")


def _section(judge: Callable[..., Verdict]) -> str:
    return judge.__module__.rpartition(".")[2]


def ok(seen: str) -> Verdict:
    """Return that all is well."""
    return Verdict("ok", seen)


def warning(seen: str, remedy: str) -> Verdict:
    """Return that it works, and not as it should."""
    return Verdict("warning", seen, remedy)


def failed(seen: str, remedy: str) -> Verdict:
    """Return that the instance can't stand there so."""
    return Verdict("failed", seen, remedy)


def known(fact: T | Unknown) -> T:
    """Return a fact.

    Raises:
        Skip: It couldn't be learned.
    """
    if isinstance(fact, Unknown):
        raise Skip(fact.reason)
    return fact


def hypervisor_of(subject: Subject) -> Hypervisor:
    """Return what libvirt says.

    Raises:
        Skip: It says nothing; why is the check `libvirt`'s to tell, once.
    """
    hypervisor = subject.facts.hypervisor
    if isinstance(hypervisor, Unknown) and subject.facts.access.stage == "reached":
        raise Skip("libvirt there doesn't answer")
    return known(hypervisor)


def skip_unless(condition: object, reason: str) -> None:
    """Go on only where a check has something to say.

    Raises:
        Skip: It has not.
    """
    if not condition:
        raise Skip(reason)


def is_coming(subject: Subject, *steps: str) -> bool:
    """Return whether `up` will prepare the host by one of these steps."""
    preparation = subject.facts.preparation
    if isinstance(preparation, Unknown) or preparation.faults or not subject.host.prepare:
        return False
    return any(id in steps for id, _ in preparation.steps)


def gib(size: int) -> str:
    """Write bytes in GiB as people read them."""
    value = size / GIB
    return f"{value:.1f} GiB" if value < 10 else f"{value:,.0f} GiB"


def printable(text: str) -> str:
    """Return a text fit for a terminal and for XML: hosts may say anything, escape sequences too."""
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


def listed(names: Sequence[str], most: int = 6) -> str:
    """Write names one after the other, the first few of many."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
