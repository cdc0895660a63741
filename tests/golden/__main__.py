"""Record golden outputs, or compare what this checkout gives with a record.

    python -m tests.golden record DIR     with the commit before a change
    python -m tests.golden compare DIR    with the change: exit code 1, and a diff, where anything differs

Needs neither engine nor hosts. See docs/golden.md.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import tempfile
from itertools import islice
from pathlib import Path

from tests.golden.outputs import outputs

SHOWN_FILES = 3
SHOWN_LINES = 60


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=["record", "compare"])
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args(arguments)
    if asked.command == "record":
        return _record(asked.folder)
    return _compare(asked.folder)


def _record(folder: Path) -> int:
    if folder.exists() and any(folder.iterdir()):
        sys.stderr.write(f"error: {folder} isn't empty; name another folder\n")
        return 2
    count = 0
    for name, text in outputs():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        count += 1
    say(f"{count} files recorded in {folder}")
    return 0


def _compare(folder: Path) -> int:
    with tempfile.TemporaryDirectory() as now:
        _record(Path(now))
        differing = differences(folder, Path(now))
        for name in differing:
            say(f"differs: {name}")
        for name in differing[:SHOWN_FILES]:
            texts = _lines(folder / name) or [], _lines(Path(now) / name) or []
            for line in islice(
                difflib.unified_diff(*texts, f"then/{name}", f"now/{name}", lineterm=""), SHOWN_LINES
            ):
                say(line)
    say(f"{len(differing)} files differ" if differing else "no file differs")
    return 1 if differing else 0


def differences(then: Path, now: Path) -> list[str]:
    """Return the names of files that differ, or that only one of two folders has."""
    files = {str(one.relative_to(folder)) for folder in (then, now) for one in folder.rglob("*") if one.is_file()}
    return sorted(name for name in files if _lines(then / name) != _lines(now / name))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _lines(path: Path) -> list[str] | None:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
