"""What each test costs: seconds, and seconds of processor time of the test's processes and of its machines.

A line of JSON per test goes to the file that `make test` names in AZLOCAL_TEST_RECORD; scripts/tiers.py reads it
for its table and holds it to the budget. With pytest-xdist the workers measure and the controller writes.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import pytest

from tests.marks import FULL, tier_of

RECORD_VARIABLE: Final = "AZLOCAL_TEST_RECORD"
OWN_LABS: Final[set[str]] = set()
"""The labs of this process, whose processor time counts (see tests/lab/conftest.py)."""

_CPU: Final = "cpu_seconds"
_TIER: Final = "tier"
_FULL: Final = "full"
_SAMPLE_SECONDS: Final = 1.0


Reporting = Generator[None, pytest.TestReport, pytest.TestReport]
"""What a wrapper of pytest_runtest_makereport is: it gets the report, and hands it on."""


@dataclass(frozen=True)
class Cost:
    """What one test did and cost.

    Attributes:
        test: pytest's name of it.
        tier: its marker.
        outcome: the worst of its set-up, call and tear-down.
        seconds: of all three.
        cpu_seconds: processor time of its processes and machines meanwhile.
        reason: why it was skipped, or the failure as pytest shows it: here at once, there after the last test.
        full: whether it is marked so.
    """

    test: str
    tier: str
    outcome: str
    seconds: float
    cpu_seconds: float
    reason: str = ""
    full: bool = False


class Processors:
    """Processor time of this process, its ended children and the machines of its instances, in seconds.

    Machines are libvirt's children, so their control groups are asked; a group that goes takes its count along,
    so a thread remembers each group's last value. A daemon that outlives its starter isn't counted.
    """

    def __init__(self, groups: Path = Path("/sys/fs/cgroup")) -> None:
        self._groups = groups
        self._seen: dict[Path, float] = {}
        self._ended = Event()

    def start(self) -> None:
        """Look at the machines' groups until `stop`."""
        Thread(target=self._look, daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def seconds(self) -> float:
        """Return all processor time so far."""
        self._sample()
        own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in own) + sum(self._seen.values())

    def _look(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        for group in machine_groups(self._groups):
            try:
                self._seen[group] = max(self._seen.get(group, 0.0), _usage(group))
            except (OSError, StopIteration):
                continue  # it went meanwhile


def machine_groups(top: Path) -> Iterator[Path]:
    """Return the control groups of this worker's machines and lab hosts, in cgroup v1 or v2."""
    accounts = top / "cpuacct" if (top / "cpuacct").is_dir() else top
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    instance = os.environ.get("AZLOCAL_TEST_INSTANCE", "e2e") + worker
    yield from accounts.glob(f"machine*/*-{instance}-*")
    for lab in OWN_LABS:
        yield from accounts.glob(f"azlocal-lab/{lab}")


def _usage(group: Path) -> float:
    if (group / "cpuacct.usage").exists():
        return int((group / "cpuacct.usage").read_text()) / 1e9
    lines = (group / "cpu.stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("usage_usec")) / 1e6


class Measure:
    """Notes in each report of a worker what its phase cost in processor time."""

    def __init__(self) -> None:
        self._processors = Processors()
        self._before = self._processors.seconds()

    def pytest_sessionstart(self) -> None:
        self._processors.start()

    def pytest_sessionfinish(self) -> None:
        self._processors.stop()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Reporting:
        report = yield
        now = self._processors.seconds()
        report.user_properties = [
            *report.user_properties,
            (_CPU, now - self._before),
            (_TIER, tier_of(item)),
            (_FULL, item.get_closest_marker(FULL) is not None),
        ]
        self._before = now
        return report


class Record:
    """Writes a line per test, on the side that sees every report."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._phases: dict[str, list[pytest.TestReport]] = {}
        self._started = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        phases = self._phases.setdefault(report.nodeid, [])
        phases.append(report)
        if report.when == "teardown":
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(cost_of(self._phases.pop(report.nodeid)))) + "\n")


def cost_of(phases: list[pytest.TestReport]) -> Cost:
    """Sum up a test's set-up, call and tear-down."""
    properties: list[dict[str, Any]] = [dict(phase.user_properties) for phase in phases]
    worst = min(phases, key=lambda phase: ("failed", "skipped", "passed").index(phase.outcome))
    reason = worst.longreprtext if worst.failed else ""
    if worst.skipped and isinstance(worst.longrepr, tuple):
        reason = worst.longrepr[2]
    return Cost(
        test=phases[0].nodeid,
        tier=str(properties[0].get(_TIER, "unit")),
        outcome=worst.outcome,
        seconds=round(sum(phase.duration for phase in phases), 2),
        cpu_seconds=round(sum(found.get(_CPU, 0.0) for found in properties), 2),
        reason=reason,
        full=bool(properties[0].get(_FULL)),
    )


def read_record(path: Path) -> list[Cost]:
    """Read what a run wrote; empty where it died before its first test."""
    if not path.exists():
        return []
    return [Cost(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
