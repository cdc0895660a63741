"""When every test last passed, those marked `full` too: tests/full_run.json, which `make test FULL=1` writes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

FULL_RUN: Final = Path(__file__).parent / "full_run.json"


def write(passed: Mapping[str, int], path: Path = FULL_RUN) -> None:
    """Note that all tests passed, how many by tier, today, at this commit (`-dirty`: with changes on top)."""
    content = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": _commit(), "passed": dict(passed)}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def told(path: Path = FULL_RUN) -> str:
    """Word it for the end of any run."""
    if not path.exists():
        return "tests marked full never ran: make test FULL=1"
    found = json.loads(path.read_text(encoding="utf-8"))
    return f"last run with the tests marked full (make test FULL=1): {found['date']} at {found['commit']}"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, cwd=FULL_RUN.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "an unknown commit"
