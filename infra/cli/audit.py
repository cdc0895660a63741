"""`azlocal audit`: what stands of an instance, what is left of it, and what is missing."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.errors import ExitCode
from infra.cli.output import StackName, json_text, write
from infra.cli.stack import on_stack

if TYPE_CHECKING:
    from infra.audit.model import Audit

_HELP = """Look at every host and at Azure: what is left of an instance, what is missing, what is in its way.

Objects are known by azlocal's marks, and by the difference to an inventory that the first `up` took of each host
before it made anything. What came since without anybody's mark is listed; with --strict it counts as wrong.
Nothing is changed, unless --clean is given: that removes what carries the stack's mark and its state doesn't have.

Ends with 0 when all is as it is to be, 2 when something is left, missing or in the way, and 1 when a host or Azure
couldn't be looked at.

\b
Examples:
    azlocal audit lab
    azlocal audit lab --format junit -o audit.xml     for CI
    azlocal audit lab --clean                         asks for the stack's name first
"""


class Format(StrEnum):
    """How the result is shown."""

    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=_HELP)
def audit(
    context: typer.Context,
    name: StackName = None,
    chosen: Annotated[
        Format | None,
        typer.Option("--format", help="How to show the result; `table` when absent.", show_default=False),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write it there; .json and .xml say the format."),
    ] = None,
    hosts: Annotated[
        list[str] | None, typer.Option("--host", metavar="NAME", help="Only this host; may be given again.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Whatever came since the inventory without a mark is wrong, too.")
    ] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove what carries the stack's mark and its state doesn't have.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before --clean.")] = False,
) -> None:
    """Look, and say."""
    output = chosen or _format_of(target)
    target = target.absolute() if target else None
    with on_stack(context, name, (), makes=False) as (stack, _):
        from infra.stack.auditing import run

        result, scopes = run.audit(stack, hosts=hosts or (), strict=strict)
        if clean:
            from infra.stack.auditing.cleaning import clean as remove

            if remove(stack, result, scopes, yes=yes):
                result, _scopes = run.audit(stack, hosts=hosts or (), strict=strict)
        write(_rendered(result, output), target)
    if result.exit_code:
        raise typer.Exit(ExitCode(result.exit_code))


def _rendered(result: Audit, output: Format) -> str:
    from infra.audit.report import as_json, as_junit, as_table

    match output:
        case Format.TABLE:
            return as_table(result)
        case Format.JSON:
            return json_text(as_json(result))
        case Format.JUNIT:
            return as_junit(result)


def _format_of(target: Path | None) -> Format:
    endings = {".json": Format.JSON, ".xml": Format.JUNIT}
    return endings.get(target.suffix.lower(), Format.TABLE) if target else Format.TABLE
