"""`azlocal kubeconfig`: a cluster's kubeconfig, from the stack's encrypted outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.output import directory_of
from infra.cli.stack import choose
from infra.stack.messages import say

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_HELP = """Print a cluster's kubeconfig, or merge it into your own.

The kubeconfig is an administrator's, and a secret of the stack: `pulumi stack output kubeconfig --show-secrets`.
Its contexts are named STACK-CLUSTER.

\b
Examples:
    azlocal kubeconfig a --merge                kubectl uses cluster a from now on
    azlocal kubeconfig a > lab.kubeconfig       to a file (mind who may read it)
    azlocal kubeconfig --stack lab              all clusters of another stack
"""


@app.command(help=_HELP)
def kubeconfig(
    context: typer.Context,
    cluster: Annotated[str | None, typer.Argument(help="The cluster's name; absent: all of them.")] = None,
    stack: Annotated[str, typer.Option(envvar="STACK", help="The stack.")] = "local",
    merge: Annotated[bool, typer.Option("--merge", help="Put it into your kubeconfig and switch to it.")] = False,
    file: Annotated[Path | None, typer.Option(help="With --merge: another file than kubectl's own.")] = None,
) -> None:
    """Print or merge."""
    from infra.kubernetes.kubeconfig import default_file, merge_into_file, select_cluster
    from infra.stack.command import stack_output

    choose(context, stack, makes=False)
    text = stack_output(stack, directory_of(context), "kubeconfig")
    if cluster is not None:
        text = select_cluster(text, f"{stack}-{cluster}")
    if not merge:
        typer.echo(text, nl=False)
        return
    target = file or default_file()
    merge_into_file(target, text)
    say(f"{target} has {f'cluster {cluster}' if cluster else 'all clusters'} of {stack}")
