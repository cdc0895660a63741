"""Ask all hosts at the same time, and judge what they say; ends in bounded time whatever a host does."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from infra.doctor.checks import Result, Subject, judge_host, judge_site
from infra.doctor.facts import Access, HostFacts, broken_off, unreached
from infra.doctor.gather import Asked, gather
from infra.doctor.packages import ALL
from infra.doctor.wanted import Endpoint, WantedHost, WantedInstance
from infra.model.work import Work

HOST_SECONDS: Final = 60.0
"""What a host may take in all. A login that nobody answers takes 10 s, a guest that never boots 5 s."""

_GRACE_SECONDS: Final = 10.0


class Watch(Protocol):
    """Is told how it goes on."""

    def __call__(self, host: str, doing: str, *, done: bool = False) -> None:
        """Take what is being done on a host."""


@dataclass(frozen=True, slots=True)
class HostReport:
    """A host, what it is and what the checks found."""

    host: WantedHost
    facts: HostFacts
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """What the doctor found.

    Attributes:
        hosts: In the order of the hosts file.
        site: What concerns all of them.
        seconds: How long it took.
    """

    instance: str
    hosts: tuple[HostReport, ...]
    site: tuple[Result, ...]
    seconds: float

    @property
    def results(self) -> list[Result]:
        """Return all results, those of all hosts last."""
        return [*(result for host in self.hosts for result in host.results), *self.site]

    @property
    def ok(self) -> bool:
        """Return whether nothing failed."""
        return all(result.status != "failed" for result in self.results)


def survey(
    instance: WantedInstance, hosts: Sequence[WantedHost], endpoints: tuple[Endpoint, ...], watch: Watch
) -> Survey:
    """Ask hosts, and judge them.

    Args:
        instance: What they are to carry.
        hosts: Which ones.
        endpoints: What they are to reach outside; none: don't ask.
        watch: Is told how it goes on.
    """
    started = time.monotonic()
    facts = ask_all(instance, hosts, Asked(ALL, endpoints, HOST_SECONDS, instance.runs_kvm), watch)
    subjects = [Subject(facts[host.name], host, instance) for host in hosts]
    return Survey(
        instance.name,
        tuple(HostReport(subject.host, subject.facts, tuple(judge_host(subject))) for subject in subjects),
        tuple(judge_site(subjects)),
        time.monotonic() - started,
    )


def ask_all(
    instance: WantedInstance, hosts: Sequence[WantedHost], asked: Asked, watch: Watch
) -> dict[str, HostFacts]:
    """Return the facts of every host; of one that hangs, those it gave before."""
    facts = {host.name: _unasked("azlocal was stopped before it came to it") for host in hosts}
    cancelled = threading.Event()
    ended: list[threading.Event] = []
    deadline = time.monotonic() + asked.seconds + _GRACE_SECONDS
    try:
        for host in hosts:
            ended.append(_start(host, instance, asked, facts, cancelled, watch))
        _wait(ended, deadline)
    finally:
        cancelled.set()
        # After an interrupt the probes get the time to take their guests and disks away.
        _wait(ended, min(deadline, time.monotonic() + _GRACE_SECONDS))
    return dict(facts)


def _start(
    host: WantedHost,
    instance: WantedInstance,
    asked: Asked,
    facts: dict[str, HostFacts],
    cancelled: threading.Event,
    watch: Watch,
) -> threading.Event:
    """Ask a host in a thread; return what is set when that ends.

    Not the thread: one that is joined counts as ended once the join is interrupted (Python 3.11).
    """
    ended = threading.Event()

    work = Work(cancelled=cancelled, status=lambda doing: watch(host.name, doing))

    def publish(gathered: HostFacts) -> None:
        facts[host.name] = gathered

    def ask() -> None:
        try:
            publish(_silent(asked.seconds))
            gather(host, instance, asked, publish, work)
        except Exception as error:  # noqa: BLE001 - the thread's edge: the report says what became of the host
            publish(_failed(facts[host.name], error))
        finally:
            watch(host.name, "done", done=True)
            ended.set()

    try:
        # A daemon: what hangs inside libvirt, which has no time limits, must not keep the whole from ending.
        threading.Thread(target=ask, name=f"doctor {host.name}", daemon=True).start()
    except RuntimeError as error:  # no room for another thread
        publish(_unasked(str(error)))
        watch(host.name, "done", done=True)
        ended.set()
    return ended


def _silent(seconds: float) -> HostFacts:
    """Return what is known of a host for as long as it says nothing."""
    silent = f"the host said nothing within {seconds:.0f} s"
    return unreached(Access("unreachable", f"{silent}. Does it hang?"), silent)


def _unasked(reason: str) -> HostFacts:
    message = f"the host wasn't asked: {reason}. Run `azlocal doctor` again"
    return unreached(Access("unreachable", message), f"the host wasn't asked: {reason}")


def _failed(known: HostFacts, error: Exception) -> HostFacts:
    """Return the facts of a host where asking itself failed: those it gave before, and why there are no others."""
    reason = f"asking the host failed in azlocal itself ({type(error).__name__}: {error})"
    if known.access.stage == "reached":
        return broken_off(known, reason)
    return unreached(Access("unreachable", f"{reason}. Report it, with the host's connection"), reason)


def _wait(ended: Sequence[threading.Event], deadline: float) -> None:
    for event in ended:
        event.wait(max(0.0, deadline - time.monotonic()))
