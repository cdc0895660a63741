"""`azlocal status`: everything planned against everything that stands, cause first."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from infra.cli.errors import ExitCode
from infra.cli.output import StackName, TableOrJson, console, json_text, write
from infra.cli.stack import on_stack

if TYPE_CHECKING:
    from infra.stack.observing.observer import Observer
    from infra.status.model import Status

_HELP = """Show how an instance is: everything planned against everything that stands, cause first.

Asks state, every host, every cluster and Azure at the same time, and changes nothing. What isn't as planned is
named with what follows from it, and the next command that helps. What doesn't answer in time is unknown, never
fine. While a run goes on: how far it is, and when it was there the last time (where state is in files).

Ends with 0 when everything stands as planned (warnings may be shown), 2 when something doesn't, 1 when nothing
is wrong and not all could be looked at, and 3 while a run goes on. `azlocal show` tells only what state has, and
asks nobody; `azlocal doctor` looks at hosts alone, and longer.

\b
Examples:
    azlocal status lab
    azlocal status lab --watch                          until Ctrl-C
    azlocal status lab --timeout 30s --format json      schemas/status.schema.json says what is in it
"""
_PAUSE: Final = 2.0


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=_HELP)
def status(
    context: typer.Context,
    name: StackName = None,
    watch: Annotated[
        bool, typer.Option("-w", "--watch", help="Look again every few seconds, until Ctrl-C.")
    ] = False,
    output: Annotated[TableOrJson, typer.Option("--format", help="How to show it.")] = TableOrJson.TABLE,
    timeout: Annotated[str, typer.Option("--timeout", metavar="TIME", help="How long a look may take.")] = "10s",
) -> None:
    """Look, and say."""
    from infra.spec.auto_scaler import time_of
    from infra.spec.forms import DURATION

    if not DURATION.fits(timeout) or not (seconds := time_of(timeout).total_seconds()):
        raise typer.BadParameter(f"write {DURATION.words}", param_hint="--timeout")
    if watch and output is TableOrJson.JSON:
        raise typer.BadParameter("it shows a table; take --format json without it", param_hint="--watch")
    if watch and not sys.stdout.isatty():
        raise typer.BadParameter("it needs a terminal", param_hint="--watch")
    with on_stack(context, name, (), makes=False) as (stack, _):
        from infra.stack.observing.observer import Observer

        observer = Observer(stack, seconds)
        if watch:
            _watch(observer)
            return
        seen = observer.look()
        _show(seen, output)
    if seen.exit_code:
        raise typer.Exit(ExitCode(seen.exit_code))


def _show(seen: Status, output: TableOrJson) -> None:
    if output is TableOrJson.JSON:
        write(json_text(seen.to_wire()), None)
        return
    from infra.status.report import rendered

    console().print(rendered(seen))


def _watch(observer: Observer) -> None:
    """Look again and again; an error is shown in the place of a look, as while somebody edits the files."""
    from rich.live import Live
    from rich.text import Text

    from infra.errors import UserError
    from infra.spec.findings import SpecError
    from infra.status.report import rendered

    with Live(console=console(), auto_refresh=False) as live:
        try:
            while True:
                try:
                    live.update(rendered(observer.look()), refresh=True)
                except SpecError as error:
                    live.update(Text("\n".join(map(str, error.findings))), refresh=True)
                except UserError as error:
                    live.update(Text(f"error: {error}"), refresh=True)
                time.sleep(_PAUSE)
        except KeyboardInterrupt:
            return
