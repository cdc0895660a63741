"""What every command of `azlocal` says the same way: JSON, files, findings."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.counting import counted
from infra.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from infra.spec import Finding

_ENDLESS = 10_000
"""Columns of a file: lines that aren't for a terminal are never folded."""


class Format(StrEnum):
    """How the plan is shown."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    SVG = "svg"
    HTML = "html"


class TableOrJson(StrEnum):
    """How a result is shown: for people, or for scripts."""

    TABLE = "table"
    JSON = "json"


class TextOrJson(StrEnum):
    """How a result is shown that is no table."""

    TEXT = "text"
    JSON = "json"


StackName = Annotated[str | None, typer.Argument(metavar="[STACK]", help="The stack; absent: $STACK, else local.")]
"""The argument of commands that take a stack and no options of pulumi's."""


def directory_of(context: typer.Context) -> Path:
    """Return the project's folder, as `azlocal -C` names it."""
    folder: Path = context.find_root().obj or Path()
    return folder


def console() -> "Console":
    """Return standard output for tables: folded to a terminal alone, and plain where NO_COLOR says so."""
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))
    terminal = Console(highlight=False, markup=False, color_system=None if plain else "auto")
    return terminal if terminal.is_terminal else Console(highlight=False, markup=False, width=_ENDLESS)


def json_of_unread(content: dict[str, Any], findings: Iterable["Finding"]) -> str:
    """Return the JSON of a result that isn't there: what it says of it, and the findings."""
    return json_text({**content, "ok": False, "findings": as_json(findings)})


def json_text(content: dict[str, Any]) -> str:
    """Return JSON as people and scripts read it."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write(text: str, target: Path | None) -> None:
    """Write text to a file, or to standard output.

    Raises:
        UserError: The file can't be written.
    """
    if target is None:
        typer.echo(text, nl=False)
        return
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{target} can't be written: {error.strerror}; name another file with -o") from None


def as_json(findings: Iterable["Finding"]) -> list[dict[str, str]]:
    """Return the JSON objects of findings."""
    return [finding.to_json() for finding in findings]


def echo_findings(findings: Sequence["Finding"]) -> None:
    """Print every finding to standard error, and how many there are of each severity."""
    colours = {"error": "red", "warning": "yellow", "info": "blue"}
    for finding in findings:
        severity = typer.style(finding.severity, colours[finding.severity], bold=True)
        typer.echo(severity + str(finding).removeprefix(finding.severity), err=True)
    counts = Counter(finding.severity for finding in findings)
    if counts:
        parts = [counted(count, severity) for severity, count in sorted(counts.items())]
        typer.echo(", ".join(parts), err=True)
