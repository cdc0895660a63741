"""When the tests marked `full` last passed, file by file: tests/full_run.json, which `make test FULL=1` writes.

All of them take longer than most machines are idle, so that a file can be run again alone, on a later commit:
`make test-e2e FULL=1 PYTEST_FLAGS=tests/e2e/test_upgrade.py`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from infra.counting import counted
from tests.marks import FULL
from tests.recording import Cost

TESTS: Final = Path(__file__).parent
FULL_RUN: Final = TESTS / "full_run.json"
_MARKED: Final = re.compile(rf"^(pytestmark = .*|\s*@)pytest\.mark\.{FULL}\b", re.MULTILINE)


def write(record: Iterable[Cost], flags: Sequence[str] = (), path: Path = FULL_RUN) -> None:
    """Note which files with such tests passed, today, at this commit (`-dirty`: with changes on top).

    Args:
        record: What each test of the run did.
        flags: What else pytest was told; where that chooses among a file's tests, nothing is noted.
        path: Where it is noted.
    """
    if not all(flag.endswith(".py") for flag in flags):
        return
    content = _read(path)
    of_file = sorted(record, key=_file)
    for file, group in groupby(of_file, key=_file):
        costs = list(group)
        if any(cost.full for cost in costs) and all(cost.outcome == "passed" for cost in costs):
            content[file] = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": _commit(), "passed": len(costs)}
    path.write_text(json.dumps(dict(sorted(content.items())), indent=2) + "\n", encoding="utf-8")


def told(path: Path = FULL_RUN, tests: Path = TESTS) -> str:
    """Word it for the end of any run."""
    content = _read(path)
    dates = sorted(entry["date"] for entry in content.values())
    marked = {str(file.relative_to(tests.parent)) for file in tests.rglob("test_*.py") if _has_full(file)}
    never = sorted(marked - content.keys())
    parts = (
        [f"tests marked full: {counted(len(content), 'file')} passed, the first of them on {dates[0]}"]
        if dates
        else []
    )
    parts += [f"never passed: {', '.join(never)} (make test FULL=1)"] if never else []
    return "; ".join(parts) or "no test is marked full"


def _file(cost: Cost) -> str:
    return cost.test.partition("::")[0]


def _has_full(file: Path) -> bool:
    return _MARKED.search(file.read_text(encoding="utf-8")) is not None


def _read(path: Path) -> dict[str, dict[str, Any]]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "an unknown commit"
