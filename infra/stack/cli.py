"""`azlocal adopt`: a new state for what stands, where the old one is lost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_HELP = """Go on with an instance whose Pulumi state was lost: nothing that stands is made anew.

Looks at every host of the stack, reads each cluster's authorities and keys from one of its control planes (by SSH,
with the stack's login key), and writes a new state by an `up`. Hosts refuse the state that had it before.

Needed are the stack's files as they were, with the .lock.yaml files, and the login key. What isn't had again: an
own passphrase's secrets in Pulumi.STACK.yaml, and the history that Helm keeps of azlocal's own releases.

Uses the Pulumi backend of the environment: `make adopt STACK=lab`, or `eval "$(make env)"` first.

\b
Examples:
    azlocal adopt lab             says what it found, and asks
    azlocal adopt lab --yes       for scripts
"""


@app.command(help=_HELP)
def adopt(
    context: typer.Context,
    stack: Annotated[str, typer.Argument(metavar="STACK", help="The stack, as in Pulumi.STACK.yaml.")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Adopt."""
    from infra.stack.__main__ import main
    from infra.stack.state import Stack

    os.chdir(context.find_root().obj or Path())  # the engine's run is that of its current folder
    raise typer.Exit(main("adopt", Stack.here(stack), ["--yes"] if yes else []))
