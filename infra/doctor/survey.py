"""Ask all hosts at the same time, and judge what they say; ends in bounded time whatever a host does."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from infra.doctor.checks import Result, Subject, judge_host, judge_site
from infra.doctor.facts import Access, HostFacts, unreached
from infra.doctor.gather import Asked, gather
from infra.doctor.packages import ALL
from infra.doctor.wanted import Endpoint, WantedHost, WantedInstance

HOST_SECONDS: Final = 60.0
"""What a host may take in all. A login that nobody answers takes 10 s, a guest that never boots 5 s."""

_GRACE_SECONDS: Final = 10.0
_STEP: Final = 0.1


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
        return [*(one for host in self.hosts for one in host.results), *self.site]

    @property
    def ok(self) -> bool:
        """Return whether nothing failed."""
        return all(one.status != "failed" for one in self.results)


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
    facts = ask_all(instance, hosts, Asked(ALL, endpoints, HOST_SECONDS, instance.runs_vms), watch)
    subjects = [Subject(facts[host.name], host, instance) for host in hosts]
    return Survey(
        instance.name,
        tuple(HostReport(one.host, one.facts, tuple(judge_host(one))) for one in subjects),
        tuple(judge_site(subjects)),
        time.monotonic() - started,
    )


def ask_all(
    instance: WantedInstance, hosts: Sequence[WantedHost], asked: Asked, watch: Watch
) -> dict[str, HostFacts]:
    """Return the facts of every host; of one that hangs, those it gave before."""
    late = unreached(
        Access("unreachable", f"the host said nothing within {asked.seconds:.0f} s. Does it hang?"),
        f"the host said nothing within {asked.seconds:.0f} s",
    )
    facts = {host.name: late for host in hosts}
    cancelled = threading.Event()
    threads = [_start(host, instance, asked, facts, cancelled, watch) for host in hosts]
    deadline = time.monotonic() + asked.seconds + _GRACE_SECONDS
    try:
        _wait(threads, deadline)
    except KeyboardInterrupt:
        _stop(threads, cancelled)
        raise
    cancelled.set()
    return dict(facts)


def _start(
    host: WantedHost,
    instance: WantedInstance,
    asked: Asked,
    facts: dict[str, HostFacts],
    cancelled: threading.Event,
    watch: Watch,
) -> threading.Thread:
    def publish(found: HostFacts) -> None:
        facts[host.name] = found

    def ask() -> None:
        try:
            gather(host, instance, asked, publish, lambda doing: watch(host.name, doing), cancelled)
        finally:
            watch(host.name, "done", done=True)

    # A daemon: what hangs inside libvirt, which has no time limits, must not keep the whole from ending.
    thread = threading.Thread(target=ask, name=f"doctor {host.name}", daemon=True)
    thread.start()
    return thread


def _stop(threads: Sequence[threading.Thread], cancelled: threading.Event) -> None:
    """Give the probes the time to take their guests and disks away."""
    cancelled.set()
    _wait(threads, time.monotonic() + _GRACE_SECONDS)


def _wait(threads: Sequence[threading.Thread], deadline: float) -> None:
    for thread in threads:
        while thread.is_alive() and time.monotonic() < deadline:
            thread.join(_STEP)
