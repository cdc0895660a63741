"""`azlocal rotate-keys`: another key for clusters' Secrets."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.output import StackName
from infra.cli.stack import on_stack
from infra.stack import verbs

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_HELP = """Give clusters another key, by which their Secrets are encrypted in etcd, and take the old one away.

In Kubernetes' order: every control plane learns to read by the new key, then writes by it, then every Secret is
written again, then the old key is removed. API servers start again one at a time, three times each, and each
answers before the next one's turn: a cluster with a single control plane is without its API for the seconds of
each restart. Its pods run on. A snapshot is taken before.

Whatever kills it, the same command goes on where it was; every API server reads every Secret all the while. All
control planes have to run. State keeps the old key, so that `azlocal restore` can read older snapshots.

`up` and `preview` say when a key is older than 30 days, the time after which Azure Local changes it; with --due
this command, run from a timer, changes those alone.

\b
Examples:
    azlocal rotate-keys lab                  of all clusters of the stack `lab`
    azlocal rotate-keys lab --cluster a
    azlocal rotate-keys lab --due            for a timer
"""


@app.command("rotate-keys", help=_HELP)
def rotate_keys(
    context: typer.Context,
    name: StackName = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="Of this cluster only, by its name in the stack.")
    ] = None,
    due: Annotated[
        bool,
        typer.Option("--due", help="Only keys older than 30 days, and what was interrupted."),
    ] = False,
) -> None:
    """Rotate."""
    with on_stack(context, name, (), makes=False) as (stack, _):
        raise typer.Exit(verbs.rotate_keys(stack, cluster, only_due=due))
