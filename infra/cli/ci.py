"""`azlocal ci`: an instance for one run of a pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from infra.cli.errors import ExitCode
from infra.cli.output import StackName, TextOrJson, directory_of, json_text

if TYPE_CHECKING:
    from infra.stack.ci.flow import Request
    from infra.stack.ci.reaping import HostState
    from infra.stack.ci.report import Report

_HELP: Final = """Make an instance for one run of a pipeline, and prove that nothing of it is left afterwards.

A run has an instance of its own, with its own name, networks and state, made from a stack of the project: networks
get prefixes of a range, and every address in them keeps its place. Its files are below .azlocal/ci/RUN. While it
stands, its hosts are leased to it: another run waits, or is refused. A run that is killed loses its hosts when its
lease ends; whoever wants them next first removes what it left, and looks whether all is gone.

\b
Examples:
    azlocal ci up local --wait 30m          prints where kubeconfig and LoadBalancer addresses are
    azlocal ci down                         the same run, by the pipeline's own variables
    azlocal ci lease local                  who has the hosts
    azlocal ci reap local --older-than 6h   what killed and forgotten runs left

Ends with 0 when done, 2 when a rule of the plan is broken or something is left, 1 when it can't be done.
"""


app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=_HELP)

RunName = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="NAME",
        help="The run; absent: $AZLOCAL_CI_RUN, else as the variables of GitHub or GitLab name it, else `here`.",
    ),
]
Within = Annotated[
    str,
    typer.Option("--range", metavar="PREFIX", help="Where the networks of runs may be, such as 10.198.0.0/16."),
]
LeaseTime = Annotated[
    str,
    typer.Option(
        "--lease",
        metavar="TIME",
        help="How long the hosts stay the run's while no command works on it; at least 10m.",
    ),
]
Wait = Annotated[
    str, typer.Option("--wait", metavar="TIME", help="How long to wait for hosts that another run has.")
]
Shown = Annotated[TextOrJson, typer.Option("--format", help="How to print what was made.")]

_LEAST_LEASE: Final = 600


@app.command()
def up(
    context: typer.Context,
    stack: StackName = None,
    run: RunName = None,
    within: Within = "10.198.0.0/16",
    lease: LeaseTime = "2h",
    wait: Wait = "0s",
    output: Shown = TextOrJson.TEXT,
) -> None:
    """Make the run's instance; again after a failure, or a change of the stack's files.

    Prints where kubeconfig and LoadBalancer addresses are, also into $GITHUB_OUTPUT. Writes junit-up.xml, and
    summary-up.md with the address plan and what took how long, also into $GITHUB_STEP_SUMMARY. After a failure the
    logs are beside them, and what was made stands, to be looked at, until `azlocal ci down`. $PULUMI_FLAGS has
    options of pulumi's.
    """
    from infra.stack.ci import flow

    request = _request(context, run, stack, within, lease, wait)
    _do(flow.up, request, output)


@app.command()
def down(context: typer.Context, run: RunName = None, output: Shown = TextOrJson.TEXT) -> None:
    """Take the run's instance away, prove that nothing is left, and give its hosts back.

    A host on which something is left is dirty: no run has it until that is gone.
    """
    from infra.stack.ci import flow

    _do(flow.down, _request(context, run), output)


@app.command()
def rebuild(
    context: typer.Context,
    run: RunName = None,
    lease: LeaseTime = "2h",
    output: Shown = TextOrJson.TEXT,
) -> None:
    """Take the run's instance away and make it again, on the same hosts, which no other run has in between."""
    from infra.stack.ci import flow

    _do(flow.rebuild, _request(context, run, lease=lease), output)


@app.command()
def lease(context: typer.Context, stack: StackName = None, output: Shown = TextOrJson.TEXT) -> None:
    """Say who has each host of a stack: free, busy, dirty or cleaning."""
    from infra.stack.ci.reaping import leases

    states = leases(_project(context), _stack(stack))
    _show_states(states, output)
    if any(state.state == "unknown" for state in states):
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def reap(
    context: typer.Context,
    stack: StackName = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="TIME",
            help="End runs that began before that, too, though their leases count; none that is being worked on.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    output: Shown = TextOrJson.TEXT,
) -> None:
    """Take away what runs left on the hosts of a stack whose leases have ended, whoever ran them; for a timer.

    Only what carries the mark of such a run is removed, and nothing from a host with `protected: true`.
    """
    from infra.stack.ci.reaping import reap_all

    age = None if older_than is None else _seconds(older_than, "--older-than")
    with _only_json_on_stdout(output):
        states = reap_all(_project(context), _stack(stack), age, is_trial=dry_run)
    _show_states(states, output)
    if any(state.state == "unknown" for state in states):
        raise typer.Exit(ExitCode.FAILED)
    if not dry_run and any(state.state == "dirty" for state in states):
        raise typer.Exit(ExitCode.RULE_BROKEN)


def _request(
    context: typer.Context,
    run: str | None,
    stack: str | None = None,
    within: str = "10.198.0.0/16",
    lease: str = "2h",
    wait: str = "0s",
) -> Request:
    from infra.stack.ci.flow import Request
    from infra.stack.ci.isolation import check_run_name, run_name
    from infra.stack.ci.runs import RunFolder

    try:
        networks = IPv4Network(within)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--range") from None
    seconds = _seconds(lease, "--lease")
    if seconds < _LEAST_LEASE:
        raise typer.BadParameter("10m is the least: cleaning a host may take half of it", param_hint="--lease")
    name = check_run_name(run) if run is not None else run_name(os.environ)
    return Request(
        RunFolder(_project(context), name),
        _stack(stack),
        networks,
        int(seconds),
        _seconds(wait, "--wait"),
        tuple(os.environ.get("PULUMI_FLAGS", "").split()),
    )


def _do(verb: Callable[[Request], Report], request: Request, output: TextOrJson) -> None:
    with _only_json_on_stdout(output):
        report = verb(request)
    if output is TextOrJson.JSON:
        typer.echo(json_text(report.to_json()), nl=False)
        return
    if report.kubeconfig:
        typer.echo(f"kubeconfig: {report.kubeconfig}")
    for name, addresses in report.load_balancers.items():
        typer.echo(f"LoadBalancer addresses of cluster {name}: {', '.join(addresses) or 'none'}")


def _show_states(states: list[HostState], output: TextOrJson) -> None:
    if output is TextOrJson.JSON:
        typer.echo(json_text({"hosts": [state.to_json() for state in states]}), nl=False)
        return
    for state in states:
        typer.echo(f"{state.host}: {state.text}")


@contextmanager
def _only_json_on_stdout(output: TextOrJson) -> Iterator[None]:
    """Have what the engine and others print go to standard error, where JSON is to be all there is."""
    if output is not TextOrJson.JSON:
        yield
        return
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def _seconds(text: str, option: str) -> float:
    from infra.spec.auto_scaler import time_of
    from infra.spec.forms import DURATION

    if not DURATION.fits(text):
        raise typer.BadParameter(f"write {DURATION.words}", param_hint=option)
    return time_of(text).total_seconds()


def _project(context: typer.Context) -> Path:
    return Path(os.path.abspath(directory_of(context)))  # noqa: PTH100 - as the user names it, links and all


def _stack(named: str | None) -> str:
    return named or os.environ.get("STACK") or "local"
