"""What a benchmark says."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """Seconds of ours against those of the yardstick, pair by pair; without a limit where nothing is promised."""

    name: str
    ours: list[float]
    yardstick: list[float]
    limit: float | None = None

    @property
    def ratio(self) -> float:
        """Return the median of the pairs' ratios: robust where the machine's speed drifts."""
        return median(a / b for a, b in zip(self.ours, self.yardstick, strict=True))

    @property
    def holds(self) -> bool:
        """Return whether the ratio is within its limit."""
        return self.limit is None or self.ratio <= self.limit

    def __str__(self) -> str:
        ours = " ".join(f"{value:.2f}" for value in self.ours)
        yardstick = " ".join(f"{value:.2f}" for value in self.yardstick)
        verdict = f"limit {self.limit}: {'holds' if self.holds else 'IS MISSED'}" if self.limit else "no limit"
        head = f"{self.name}: {self.ratio:.2f} ({verdict})"
        return f"{head}\n  ours {ours} s, yardstick {yardstick} s"


@dataclass(frozen=True)
class Limit:
    """Seconds of ours against a promise in seconds, which means something only with the machine it ran on."""

    name: str
    ours: list[float]
    limit: float

    @property
    def seconds(self) -> float:
        """Return the median run."""
        return median(self.ours)

    @property
    def holds(self) -> bool:
        """Return whether the median run is within the limit."""
        return self.seconds <= self.limit

    def __str__(self) -> str:
        runs = " ".join(f"{1000 * value:.0f}" for value in self.ours)
        verdict = "holds" if self.holds else "IS MISSED"
        head = f"{self.name}: {1000 * self.seconds:.0f} ms (limit {1000 * self.limit:.0f} ms: {verdict})"
        return f"{head}\n  runs {runs} ms, on {machine()}"


@dataclass(frozen=True)
class Count:
    """How often something went wrong that never should."""

    name: str
    wrong: int
    of: int

    @property
    def holds(self) -> bool:
        """Return whether it never did."""
        return not self.wrong

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.wrong} of {self.of} (none is promised: {'holds' if self.holds else 'IS MISSED'})"
        )


def machine() -> str:
    """Say what this machine is, and how busy it is."""
    return f"{hardware()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"


def hardware() -> str:
    """Say how many processors of which kind this machine has."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = names[0] if names else platform.machine()
    return f"{os.cpu_count()} x {model}"
