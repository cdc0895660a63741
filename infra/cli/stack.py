"""`azlocal up`, `preview`, `refresh`, `down` and their like: the engine's runs, and what goes around them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.output import StackName, directory_of
from infra.stack import verbs
from infra.stack.at_work import at_work
from infra.stack.environment import Chosen
from infra.stack.state import Stack

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_PULUMI = {"ignore_unknown_options": True}
"""Options that are none of ours are the engine's."""

Named = Annotated[
    str | None, typer.Option("-s", "--stack", metavar="STACK", help="The stack, as in Pulumi.STACK.yaml.")
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="STACK PULUMI-OPTIONS",
        help="The stack; absent: $STACK, else local. Then options of pulumi's, after those of $PULUMI_FLAGS.",
    ),
]

_LOOK = (verbs.refresh, verbs.outputs)
"""Verbs for stacks that are there."""

_HELP = {
    "up": """Make the instance: from the YAML files to running clusters; again, after a change.

    Builds the node image where it is missing, starts libvirt where nobody else does, puts in order what a killed
    or failed run left, runs `pulumi up`, and shows what was made. Ends as pulumi does.

    State, its passphrase and an SSH key are kept in .azlocal beside Pulumi.yaml, unless you have chosen others:
    PULUMI_BACKEND_URL or a login of pulumi's, PULUMI_CONFIG_PASSPHRASE, azlocal:sshPublicKeys or ~/.ssh.

    \b
    Examples:
        azlocal up                            the stack `local`
        azlocal up lab --expect-no-changes    pulumi's own options follow
    """,
    "preview": """Show what `up` would change, and the address plan, without touching a host.

    Ends as pulumi does; the node image is built where it is missing, since machines are planned by its content.

    \b
    Examples:
        azlocal preview lab
        azlocal preview lab --expect-no-changes
    """,
    "refresh": """Look at the real machines and show what was changed by hand; `up` repairs it.

    \b
    Examples:
        azlocal refresh lab
    """,
    "down": """Take everything of the instance away again; its configuration stays.

    Also what a killed run left and state doesn't know. Where nothing else needs it, libvirt that azlocal started
    ends, too. Ends as pulumi does.

    \b
    Examples:
        azlocal down lab
    """,
    "outputs": """Print the stack's outputs: machines, addresses, clusters, the plan.

    \b
    Examples:
        azlocal outputs lab --json
    """,
    "adopt": """Go on with an instance whose Pulumi state was lost: nothing that stands is replaced.

    Looks at every host of the stack, reads each cluster's authorities and keys from one of its control planes (by
    SSH, with the stack's login key), and writes a new state by an `up`. Hosts refuse the state that had it before.

    Needed are the stack's files as they were, with the .lock.yaml files, and the login key. What isn't had again:
    an own passphrase's secrets in Pulumi.STACK.yaml, and the history that Helm keeps of azlocal's own releases.

    \b
    Examples:
        azlocal adopt lab             says what it found, and asks
        azlocal adopt lab --yes       for scripts
    """,
    "autoscale": """Add nodes to pools where pods find none, and remove those that no pod needs.

    Looks every 10 seconds at the clusters whose pools have `enableAutoScaling: true`, and runs `azlocal up` with
    another number of nodes for a pool, within its minCount and maxCount: one run at a time, each with its reason.
    It is azlocal's own loop, made after the upstream cluster-autoscaler, whose image isn't needed. Run it where
    you would run `azlocal up`: as a service, or with --once from a timer. What it has to remember is on the nodes.

    A pool grows when pods are Pending as Unschedulable and one more of its nodes would take them. It shrinks when
    its last node has been needed by no pod for ten minutes. Only the last can go: machines are numbered, and the
    highest number is removed. It says what keeps a node: a pod without a controller, a disruption budget.
    `autoScalerProfile` of a cluster has the times and thresholds, by Azure's names.

    Ends in order at Ctrl-C or SIGTERM, with 0; a run that is under way is stopped, and the next one goes on.

    With --serve the upstream cluster-autoscaler decides: azlocal is its cloud provider `externalgrpc` then. Only
    who has a certificate of .azlocal/autoscaler may call, since calls make and remove nodes; the loopback is
    enough where upstream runs on this machine. Nodes get provider ids, and all but a pool's last an annotation
    by which upstream leaves them.

    \b
    Examples:
        azlocal autoscale lab --cluster a --serve 127.0.0.1:8086
        azlocal autoscale lab                        until it is stopped
        azlocal autoscale lab --cluster a --once     for a timer: one look, and what is due
        azlocal autoscale lab --interval 1m
    """,
    "settle": """Put a stack in order after a run that was killed or failed, for who then uses the bare `pulumi`.

    Drops the lock of a run that is gone, looks whether what it was making stands, and after a failed run, or where
    a host was restarted, at what stands. `up` and `down` do that first by themselves.

    \b
    Examples:
        azlocal settle lab && pulumi up --stack lab
        azlocal settle lab --before-destroy && pulumi destroy --stack lab
    """,
}


def _command(verb: Callable[..., int]) -> Callable[..., None]:
    """Return the command that does what a verb does, with options for the engine."""

    def command(context: typer.Context, words: Words = None, stack: Named = None) -> None:
        with on_stack(context, stack, words, makes=verb not in _LOOK) as (chosen, options):
            raise typer.Exit(verb(chosen, *options))

    return command


for _verb in (verbs.up, verbs.preview, verbs.refresh, verbs.down, verbs.outputs):
    app.command(_verb.__name__, help=_HELP[_verb.__name__], context_settings=_PULUMI)(_command(_verb))


@app.command(help=_HELP["adopt"], context_settings=_PULUMI)
def adopt(
    context: typer.Context,
    words: Words = None,
    stack: Named = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Adopt."""
    with on_stack(context, stack, words) as (chosen, options):
        rest = [option for option in options if option != "--yes"]  # as PULUMI_FLAGS=--yes has it
        raise typer.Exit(verbs.adopt(chosen, *rest, yes=yes or len(rest) < len(options)))


@app.command(help=_HELP["settle"])
def settle(
    context: typer.Context,
    name: StackName = None,
    before_destroy: Annotated[
        bool,
        typer.Option("--before-destroy", help="Find what state doesn't know, so that a destroy takes it away."),
    ] = False,
) -> None:
    """Put the stack in order."""
    with on_stack(context, name, ()) as (chosen, _):
        raise typer.Exit(verbs.settle(chosen, before_destroy=before_destroy))


@app.command(help=_HELP["autoscale"])
def autoscale(
    context: typer.Context,
    name: StackName = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="NAME", help="Only this cluster; absent: all that scale.")
    ] = None,
    interval: Annotated[
        str | None,
        typer.Option("--interval", metavar="TIME", help="Between two looks; absent: scan-interval, 10s."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, do what is due, and end.")] = False,
    serve: Annotated[
        str | None,
        typer.Option("--serve", metavar="HOST:PORT", help="Serve the upstream cluster-autoscaler, instead."),
    ] = None,
) -> None:
    """Scale."""
    from infra.spec.auto_scaler import time_of
    from infra.spec.forms import DURATION

    if interval is not None and not DURATION.fits(interval):
        raise typer.BadParameter(f"write {DURATION.words}", param_hint="--interval")
    if serve is not None and (once or interval is not None):
        raise typer.BadParameter("it goes with --cluster only", param_hint="--serve")
    seconds = time_of(interval).total_seconds() if interval else None
    with on_stack(context, name, (), makes=False) as (chosen, options):
        from infra.stack.autoscale import Autoscaler
        from infra.stack.command import Signals

        with Signals().noted() as signals:
            scaler = Autoscaler(chosen, cluster, signals, options)
            if serve is not None:
                from infra.stack.external_grpc.loop import Served

                raise typer.Exit(Served(scaler).run(serve))
            raise typer.Exit(scaler.once() if once else scaler.run(seconds))


@app.command()
def show(
    context: typer.Context,
    name: StackName = None,
) -> None:
    """Show the machines of an instance, its clusters and their connections, as `up` does at its end.

    It is what state has: nobody is asked. `azlocal status` asks everybody.
    """
    with on_stack(context, name, (), makes=False) as (chosen, _):
        raise typer.Exit(verbs.show(chosen))


@app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def ssh(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="MACHINE COMMAND", help="Absent: names them.")
    ] = None,
    stack: Named = None,
) -> None:
    """Log in to a machine, or run a command there; its host key is the one that the stack names.

    Ends as ssh does.

    \b
    Examples:
        azlocal ssh local-a-cp-0
        azlocal ssh -s lab lab-a-cp-0 sudo crictl ps
    """
    with on_stack(context, stack, (), makes=False) as (chosen, _):
        raise typer.Exit(verbs.ssh(chosen, *(words or ())))


@app.command()
def env(context: typer.Context, stack: Named = None) -> None:
    """Print what azlocal chooses, for a shell that uses the bare `pulumi`: eval "$(azlocal env)"."""
    chosen = choose(context, stack)
    for line in chosen.exports():
        typer.echo(line)


def choose(context: typer.Context, stack: str | None, *, makes: bool = True) -> Chosen:
    """Choose the state and the like for a stack, in this process's environment, before pulumi is asked.

    Args:
        context: The command's.
        stack: Its name; None: the environment's, else local.
        makes: Whether state, passphrase and SSH key are made where there are none.
    """
    directory = Path(os.path.abspath(directory_of(context)))  # noqa: PTH100 - as the user names it, links and all
    chosen = Chosen(stack or os.environ.get("STACK") or "local", directory, os.environ, makes)
    chosen.make()
    return chosen


@contextmanager
def on_stack(
    context: typer.Context, stack: str | None, words: Sequence[str] | None, *, makes: bool = True
) -> Iterator[tuple[Stack, list[str]]]:
    """Yield the stack in its chosen environment, and the options for the engine; its file is kept as it was."""
    options = list(words or ())
    if stack is None and options and not options[0].startswith("-"):
        stack = options.pop(0)
    with at_work(choose(context, stack, makes=makes)) as here:
        yield here, [*os.environ.get("PULUMI_FLAGS", "").split(), *options]
