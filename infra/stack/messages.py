"""What is told beside what the engine tells."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Tell the user what is done and why."""
    sys.stdout.flush()
    print(f"azlocal: {text}", file=sys.stderr)  # noqa: T201
