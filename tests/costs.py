"""The costs of tests as they were last recorded (tests/costs.json): for the order of files, and as the budget.

`make test` fails when a tier takes a fifth more processor time than its budget. Raising a budget is a line in a
diff; `make costs` writes the file from the last run of all tiers.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from tests.recording import Cost, read_record

COSTS: Final = Path(__file__).parent / "costs.json"
TOLERANCE: Final = 1.2
"""How many times its budget a tier may take: other machines, busier days."""

_WORTH_NAMING: Final = 5.0
"""Files that take fewer seconds decide nothing about the order."""


@cache
def _recorded() -> dict[str, dict[str, float]]:
    recorded: dict[str, dict[str, float]] = json.loads(COSTS.read_text(encoding="utf-8"))
    return recorded


def file_seconds() -> Mapping[str, float]:
    """Return how long each file with expensive tests takes, in seconds."""
    return _recorded()["fileSeconds"]


def budgets() -> Mapping[str, float]:
    """Return each tier's budget in seconds of processor time."""
    return _recorded()["tierCpuSeconds"]


def over_budget(tier: str, cpu_seconds: float, budgets: Mapping[str, float]) -> str | None:
    """Return what is wrong with a tier's processor time, or None."""
    budget = budgets.get(tier)
    if budget is None or cpu_seconds <= budget * TOLERANCE:
        return None
    return (
        f"took {cpu_seconds:.0f} s of processor time, budget {budget:.0f} s; make it cheaper, or raise the budget "
        "in tests/costs.json"
    )


def write(record: Iterable[Cost], path: Path = COSTS) -> None:
    """Write what the tests of a run cost, for the next runs to be held to."""
    seconds: defaultdict[str, float] = defaultdict(float)
    tiers: defaultdict[str, float] = defaultdict(float)
    for cost in record:
        seconds[cost.test.partition("::")[0]] += cost.seconds
        tiers[cost.tier] += cost.cpu_seconds
    content = {
        "tierCpuSeconds": {tier: round(value) for tier, value in sorted(tiers.items())},
        "fileSeconds": {file: round(value) for file, value in sorted(seconds.items()) if value >= _WORTH_NAMING},
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(cost for path in map(Path, sys.argv[1:]) for cost in read_record(path))
