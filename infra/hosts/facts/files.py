"""Many small files in one command, and which paths there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from infra.hosts.facts.fact import Fact

Files = Mapping[str, str]
"""Content by path; a file that isn't there or can't be read is missing."""


def contents(paths: Iterable[str]) -> Fact[Files]:
    """Return the fact of what files hold; the command fails when one is missing, having printed the others."""
    return Fact(
        ("grep", "--text", "--no-messages", "--with-filename", "", *paths), parse_contents, must_succeed=False
    )


def existing(paths: Iterable[str]) -> Fact[frozenset[str]]:
    """Return the fact of which paths there are; the command fails when one is missing."""
    return Fact(("stat", "--format=%n", "--", *paths), lambda text: frozenset(text.split()), must_succeed=False)


def listing(*search: str) -> Fact[list[str]]:
    """Return the fact of what `find` prints; a folder that isn't there holds nothing."""
    return Fact(("find", *search), str.split, must_succeed=False)


def parse_contents(text: str) -> Files:
    """Read each line after its path and a colon, which no path of ours has in it."""
    lines: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        path, _, content = line.partition(":")
        lines[path].append(content)
    return {path: "\n".join(rows) for path, rows in lines.items()}


def number(files: Files, path: str) -> int | None:
    """Return a file's one number, None where the file is missing."""
    return int(files[path]) if files.get(path, "").strip() else None


def flag(files: Files, path: str) -> bool | None:
    """Return a kernel switch, which is written 0 or 1, N or Y; None where the file is missing."""
    text = files.get(path, "").strip().upper()
    return {"0": False, "N": False, "1": True, "Y": True}.get(text)
