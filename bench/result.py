"""What a benchmark says."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """Seconds of ours against seconds of the yardstick, pair by pair."""

    name: str
    ours: list[float]
    yardstick: list[float]
    limit: float

    @property
    def ratio(self) -> float:
        """Return the median of the pairs' ratios: robust where the machine's speed drifts."""
        return median(a / b for a, b in zip(self.ours, self.yardstick, strict=True))

    @property
    def holds(self) -> bool:
        """Return whether the ratio is within its limit."""
        return self.ratio <= self.limit

    def __str__(self) -> str:
        ours = " ".join(f"{value:.1f}" for value in self.ours)
        yardstick = " ".join(f"{value:.1f}" for value in self.yardstick)
        verdict = "holds" if self.holds else "IS MISSED"
        head = f"{self.name}: {self.ratio:.2f} (limit {self.limit}: {verdict})"
        return f"{head}\n  ours {ours} s, yardstick {yardstick} s"
