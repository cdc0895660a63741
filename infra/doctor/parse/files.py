"""Many small files in one command: `grep --with-filename '' FILE…`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

Files = Mapping[str, str]
"""Content by path; a file that isn't there or can't be read is missing."""


def argv(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that prints the files; it fails when one is missing, having printed the others."""
    return ("grep", "--text", "--no-messages", "--with-filename", "", *paths)


def parse(output: str) -> Files:
    """Read what it printed: each line after its path and a colon, which no path of ours has in it."""
    lines: dict[str, list[str]] = defaultdict(list)
    for line in output.splitlines():
        path, _, content = line.partition(":")
        lines[path].append(content)
    return {path: "\n".join(found) for path, found in lines.items()}


def number(files: Files, path: str) -> int | None:
    """Return a file's one number, None where the file is missing."""
    return int(files[path]) if files.get(path, "").strip() else None


def flag(files: Files, path: str) -> bool | None:
    """Return a kernel switch, which is written 0 or 1, N or Y; None where the file is missing."""
    text = files.get(path, "").strip().upper()
    return {"0": False, "N": False, "1": True, "Y": True}.get(text)
