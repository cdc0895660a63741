"""What every command of `azlocal` says the same way: exit codes, JSON, files, findings."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from infra.spec import Finding

EXIT_UNREADABLE = 1
EXIT_RULE_BROKEN = 2


class Format(StrEnum):
    """How the plan is shown."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    SVG = "svg"
    HTML = "html"


def directory_of(context: typer.Context) -> Path:
    """Return the project's folder, as `azlocal -C` names it."""
    found: Path = context.find_root().obj or Path()
    return found


@contextmanager
def unreadable(
    rendered: "Callable[[list[Finding]], str | None]" = lambda _: None, target: Path | None = None
) -> Iterator[None]:
    """Turn input that can't be read into its findings and an exit code.

    Args:
        rendered: Returns what stands instead of the output that isn't there, in the format that was asked for;
            None where people read it, who have the findings.
        target: The file that it is written to; None: standard output.
    """
    from infra.spec import SpecError

    try:
        yield
    except SpecError as error:
        text = rendered(error.findings)
        if text is not None:
            write(text, target)
        echo_findings(error.findings)
        raise typer.Exit(EXIT_UNREADABLE) from None


@contextmanager
def errors() -> Iterator[None]:
    """Turn what a user can remedy into a message and an exit code."""
    from infra.errors import UserError
    from infra.ssh import ShellError

    try:
        with unreadable():
            yield
    except (UserError, ShellError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(EXIT_UNREADABLE) from None


def json_of_unread(content: dict[str, Any], findings: Iterable["Finding"]) -> str:
    """Return the JSON of a result that isn't there: what it says of it, and the findings."""
    return json_text({**content, "ok": False, "findings": as_json(findings)})


def json_text(content: dict[str, Any]) -> str:
    """Return JSON as people and scripts read it."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write(text: str, target: Path | None) -> None:
    """Write text to a file, or to standard output."""
    if target is None:
        typer.echo(text, nl=False)
        return
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        typer.echo(f"error: {target} can't be written: {error.strerror}; name another file with -o", err=True)
        raise typer.Exit(EXIT_UNREADABLE) from None


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
        said = [f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in sorted(counts.items())]
        typer.echo(", ".join(said), err=True)
