"""What a run does when: moments by name, with the processor time of the whole machine between them."""

from __future__ import annotations

import json
import os
import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_LOOK_SECONDS: Final = 0.2
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Phase:
    """What went on from one moment to the next.

    Attributes:
        name: What had come true at its end.
        seconds: How long it took.
        cpu: Processor seconds of the whole machine meanwhile; as many as there are processors is all there is.
    """

    name: str
    seconds: float
    cpu: float


@dataclass
class Recording:
    """What was seen of one run.

    Attributes:
        started: On the wall clock, which cluster and engine tell, too.
        busy: Moments with the processor seconds that the machine had used until then.
        events: Moments with what the engine said then.
    """

    started: float = field(default_factory=time.time)
    ended: float = 0.0
    busy: list[tuple[float, float]] = field(default_factory=list)
    events: list[tuple[float, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Return how long the run took."""
        return self.ended - self.started

    def cpu_until(self, moment: float) -> float:
        """Return the processor seconds used from the beginning until a moment."""
        after = bisect_right(self.busy, (moment, float("inf")))
        return self.busy[min(after, len(self.busy)) - 1][1] - self.busy[0][1] if after else 0.0

    def made(self, *kinds: str) -> float | None:
        """Return when the last resource of these kinds had been made, None where none was."""
        found = [moment for moment, event in self.events if _made(event) in kinds]
        return max(found, default=None)

    def resources(self) -> int:
        """Return how many resources the engine made."""
        return sum(1 for _, event in self.events if _made(event))

    def phases(self, moments: Iterable[tuple[str, float | None]]) -> list[Phase]:
        """Return what lies between moments, by their time; one that never came is left out."""
        known = sorted(((moment, name) for name, moment in moments if moment is not None))
        found, before = [], self.started
        for moment, name in known:
            cpu = self.cpu_until(moment) - self.cpu_until(before)
            found.append(Phase(name, moment - before, cpu))
            before = moment
        return found


def _made(event: Mapping[str, Any]) -> str:
    """Return the kind of the resource whose making an event ends; empty for every other event."""
    told = event.get("resOutputsEvent", {}).get("metadata", {})
    return str(told.get("type", "")) if told.get("op") == "create" else ""


@contextmanager
def recorded(log: Path) -> Iterator[Recording]:
    """Watch this machine's processors, and the engine's events in a file that it writes meanwhile."""
    recording, ended = Recording(), threading.Event()
    watcher = threading.Thread(target=_watch, args=(recording, log, ended))
    watcher.start()
    try:
        yield recording
    finally:
        recording.ended = time.time()
        ended.set()
        watcher.join()


def _watch(recording: Recording, log: Path, ended: threading.Event) -> None:
    read, is_last = 0, False
    while not is_last:
        is_last = ended.wait(_LOOK_SECONDS) if recording.busy else False
        now = time.time()
        recording.busy.append((now, busy_seconds(Path("/proc/stat").read_text(encoding="ascii"))))
        if log.exists():
            whole, _, _ = log.read_bytes()[read:].rpartition(b"\n")
            read += len(whole) + 1 if whole else 0
            recording.events += [(now, json.loads(line)) for line in whole.splitlines()]


def busy_seconds(stat: str) -> float:
    """Return the processor seconds that /proc/stat tells of: all but idling and waiting for disks."""
    user, nice, system, _idle, _waiting, *interrupts = (int(word) for word in stat.split("\n", 1)[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / _TICKS


def table(phases: Sequence[Phase]) -> str:
    """Return phases as lines: when each ended, how long it took, how busy the machine was."""
    lines, at = [f"  {'until':>7} {'seconds':>8} {'cpu s':>6} {'busy':>5}"], 0.0
    cpus = os.cpu_count() or 1
    for phase in phases:
        at += phase.seconds
        busy = phase.cpu / (phase.seconds * cpus) if phase.seconds else 0.0
        lines.append(f"  {at:7.1f} {phase.seconds:8.1f} {phase.cpu:6.1f} {busy:5.0%}  {phase.name}")
    return "\n".join(lines)
