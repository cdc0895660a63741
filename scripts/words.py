"""`python -m scripts.words`, a part of `make lint`: holds text and names to "Words" in docs/architecture.md.

Text that people read, in strings, docstrings and Markdown, has none of `BANNED`. Names that say nothing are
counted in words.json: a count may fall (write the new one there), and never grows.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
BANNED: Final = re.compile(r"\b(anew|mend|mends|mended|mending|to be had|whilst|shall)\b", re.IGNORECASE)
EMPTY_NAMES: Final = ("anew", "asked", "born", "found", "given", "kept", "mended", "one", "said", "told", "whole")
COUNTS: Final = Path(__file__).with_name("words.json")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield a file's strings, or a Markdown file's lines, each with its line."""
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from enumerate(content.splitlines(), 1)
        return
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def empty_names(path: Path) -> Counter[str]:
    """Count the names that a file gives, to variables, parameters, functions or classes, and that say nothing."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.arg):
            names.append(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
    return Counter(plain for name in names if (plain := name.strip("_").lower()) in EMPTY_NAMES)


def faults() -> Iterator[str]:
    """Yield a line for each banned word, and for each name that is given more often than before."""
    product = sorted((ROOT / "infra").rglob("*.py"))
    for path in [*product, ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for line, text in texts(path):
            if match := BANNED.search(text):
                yield f"{path.relative_to(ROOT)}:{line}: {match[0]!r} is no word of ours (docs/architecture.md)"
    counted: Counter[str] = sum((empty_names(path) for path in product), Counter())
    allowed: dict[str, int] = json.loads(COUNTS.read_text(encoding="utf-8"))
    for name in EMPTY_NAMES:
        if counted[name] > allowed.get(name, 0):
            yield f"infra has {counted[name]} names {name!r}, {allowed.get(name, 0)} before: say what it holds"
        elif counted[name] < allowed.get(name, 0):
            yield f"infra has only {counted[name]} names {name!r}: write that into scripts/words.json"


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    lines = list(faults())
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
