"""`azlocal doctor`: see whether an instance can stand on its hosts, before anything is made there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.errors import ExitCode, unreadable
from infra.cli.output import json_of_unread, json_text, write
from infra.errors import UserError
from infra.stack.messages import say

if TYPE_CHECKING:
    from infra.doctor.survey import Survey, Watch
    from infra.doctor.wanted import Endpoint, WantedHost, WantedInstance
    from infra.spec import Finding

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_HELP = """Look at every host of a stack and say what keeps an instance from standing there.

Asks all hosts at the same time, in little more than a minute at most, and leaves nothing there: access, operating
system, hypervisor (a guest really boots under KVM), hardware, storage, network, DNS, endpoints, leftovers. STACK
may be left out where there is only one.

Exit code 0: nothing failed, perhaps with warnings. 2: something failed. 1: the input can't be read.

\b
Examples:
    azlocal doctor lab
    azlocal doctor lab --host node3
    azlocal doctor lab --offline               a lab without the outside
    azlocal doctor lab --format junit -o doctor.xml
"""


class Format(StrEnum):
    """How results are shown."""

    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"


@app.command(help=_HELP)
def doctor(
    context: typer.Context,
    stack: Annotated[
        str | None,
        typer.Argument(metavar="STACK", help="The stack, as in Pulumi.STACK.yaml.", show_default=False),
    ] = None,
    chosen: Annotated[
        Format | None,
        typer.Option("--format", help="How to show the results; `table` when absent.", show_default=False),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write them there; .json and .xml say the format."),
    ] = None,
    names: Annotated[
        list[str] | None, typer.Option("--host", metavar="NAME", help="Only this host; may be given again.")
    ] = None,
    endpoints: Annotated[
        list[str] | None,
        typer.Option(
            "--endpoint",
            metavar="NAME[:PORT]",
            help="Reach this instead of Azure's endpoints; may be given again.",
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Don't try to reach anything outside.")] = False,
) -> None:
    """Look, judge, report."""
    output = chosen or _format_of(target)
    directory = context.find_root().obj or Path()

    def unread(findings: list[Finding]) -> str | None:
        return json_of_unread({"hosts": [], "site": []}, findings) if output is Format.JSON else None

    with unreadable(unread, target):
        instance = _instance(stack or _only_stack(directory), directory, offline=offline)
    hosts = _hosts(instance, names or [])
    wanted = () if offline else tuple(_endpoint(text) for text in endpoints or []) or instance.outside.endpoints
    try:
        survey = _survey(instance, hosts, wanted)
    except KeyboardInterrupt:
        say("stopped; nothing was changed")
        raise
    _show(survey, output, target)
    if not survey.ok:
        raise typer.Exit(ExitCode.RULE_BROKEN)


def _instance(stack: str, directory: Path, *, offline: bool) -> WantedInstance:
    """Read an instance and plan it; nothing is recorded. Hosts can be seen without a sound plan, too."""
    from infra.doctor.cloud import outside_of
    from infra.doctor.wanted import Outside, wanted_instance
    from infra.plan.instance import plan_instance
    from infra.plan.locks import SiteLocks
    from infra.plan.topology import build_topology
    from infra.spec import SpecError, load_instance

    spec = load_instance(stack, directory)
    outside = Outside(()) if offline else outside_of(spec)
    plan = plan_instance(spec, SiteLocks.of(spec).read())
    try:
        topology = build_topology(spec, plan)
    except SpecError:
        problem = f"the plan isn't sound: `azlocal plan {stack}` says why"
        say(problem)
        return wanted_instance(spec, plan.addresses, None, problem, outside)
    return wanted_instance(spec, plan.addresses, topology, None, outside)


def _only_stack(directory: Path) -> str:
    """Return the one stack that there is.

    Raises:
        UserError: There is none, or several.
    """
    from infra.spec.stacks import azlocal_stacks

    stacks = azlocal_stacks(directory)
    if len(stacks) == 1:
        return stacks[0]
    reason = (
        f"there are the stacks {', '.join(stacks)}: name one"
        if stacks
        else "no Pulumi.STACK.yaml has azlocal: keys"
    )
    raise UserError(f"{directory.resolve()}: {reason}")


def _hosts(instance: WantedInstance, names: list[str]) -> list[WantedHost]:
    there = [host.name for host in instance.hosts]
    for name in instance.lost:
        say(f"{name} isn't asked: the hosts file gives it up (lost: true)")
    unknown = [name for name in names if name not in there]
    if unknown:
        raise UserError(f"no host {', '.join(unknown)}; there are {', '.join(there)}")
    return [host for host in instance.hosts if not names or host.name in names]


def _endpoint(text: str) -> Endpoint:
    from infra.doctor.wanted import HTTPS, Endpoint

    name, _, port = text.partition(":")
    if not name or (port and not (port.isdecimal() and 0 < int(port) < 65536)):
        raise typer.BadParameter(
            f"{text!r} is no endpoint; write it as mcr.microsoft.com:443", param_hint="--endpoint"
        )
    return Endpoint(name, int(port) if port else HTTPS)


def _survey(instance: WantedInstance, hosts: list[WantedHost], endpoints: tuple[Endpoint, ...]) -> Survey:
    from infra.doctor.survey import survey

    with _progress([host.name for host in hosts]) as watch:
        return survey(instance, hosts, endpoints, watch)


@contextmanager
def _progress(hosts: list[str]) -> Iterator[Watch]:
    """Show a line for each host while it is asked, on standard error; a terminal only."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.fields[host]}"),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        tasks = {host: progress.add_task("waiting", total=1, host=host) for host in hosts}

        def watch(host: str, doing: str, *, done: bool = False) -> None:
            progress.update(tasks[host], description=doing, completed=int(done))

        yield watch


def _show(survey: Survey, output: Format, target: Path | None) -> None:
    if output is Format.TABLE and target is None:
        from rich.console import Console

        from infra.doctor.report.table import print_survey

        print_survey(survey, Console())
        return
    write(_rendered(survey, output), target)


def _rendered(survey: Survey, output: Format) -> str:
    match output:
        case Format.TABLE:
            from infra.doctor.report.table import render_survey

            return render_survey(survey)
        case Format.JSON:
            from infra.doctor.report.output import as_json as survey_json

            return json_text(survey_json(survey))
        case Format.JUNIT:
            from infra.doctor.report.output import as_junit

            return as_junit(survey)


def _format_of(target: Path | None) -> Format:
    endings = {".json": Format.JSON, ".xml": Format.JUNIT}
    return endings.get(target.suffix.lower(), Format.TABLE) if target else Format.TABLE
