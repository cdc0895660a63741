"""`azlocal plan`, and what else is done with the files alone: neither engine nor hosts are needed.

Imports inside the commands are deliberate: `azlocal plan` answers in a fraction of a second, so no command
pays for another's libraries.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.errors import ExitCode, unreadable
from infra.cli.firewall import ONLY_OF_FIREWALLS, Shown, show_firewall
from infra.cli.output import Format, echo_findings, write
from infra.cli.site import show_site
from infra.cli.views import check_loss, find_losses, show_explanation, show_placement, show_release, show_sizes
from infra.errors import UserError

if TYPE_CHECKING:
    from infra.effects.older import Older
    from infra.plan.addresses.diff import Changes
    from infra.plan.instance import Plan
    from infra.spec import Finding, InstanceSpec

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def plan(
    context: typer.Context,
    stack: Annotated[
        str | None,
        typer.Argument(metavar="STACK", help="The stack, as in Pulumi.STACK.yaml.", show_default=False),
    ] = None,
    site: Annotated[
        str | None, typer.Option("--site", metavar="SITE", help="Plan all stacks of a site at once, instead.")
    ] = None,
    chosen: Annotated[
        Shown | None,
        typer.Option("--format", help="How to show the plan; `table` when absent.", show_default=False),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write it there; the ending says the format."),
    ] = None,
    no_lock: Annotated[
        bool, typer.Option("--no-lock", help="Plan as if nothing had been given out, and record nothing.")
    ] = False,
    frozen: Annotated[
        bool | None,
        typer.Option(
            "--frozen/--no-frozen",
            help="Refuse to change the lock file; the default where CI=true.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="OLD.json|REVISION", help="Say what differs from that plan, and why."),
    ] = None,
    question: Annotated[
        str | None,
        typer.Option(
            "--explain", metavar="ADDRESS|NAME", help="Say all there is to know of one; records nothing."
        ),
    ] = None,
    size: Annotated[
        bool, typer.Option("--size", help="Only say what networks are needed; reads Pulumi.STACK.yaml alone.")
    ] = False,
    placement: Annotated[
        bool,
        typer.Option("--placement", help="Show which host each machine is on, and why, instead of addresses."),
    ] = False,
    without: Annotated[
        str | None,
        typer.Option("--without", metavar="HOST|all", help="The same, with what the loss of that host leaves."),
    ] = None,
    firewall: Annotated[
        bool,
        typer.Option("--firewall", help="Show which connections firewalls have to let through, instead."),
    ] = False,
) -> None:
    """Plan every address of a stack and every machine's host, and check the plan.

    Checks it against every published rule of Azure Local and AKS, and reports all faults at once.

    Reads Pulumi.STACK.yaml, hosts/SITE.yaml and netplans/SITE.yaml; needs neither engine nor hosts.
    Addresses given out are recorded in netplans/SITE.lock.yaml, so that nobody is ever renumbered, and machines'
    hosts in hosts/SITE.lock.yaml, so that nobody moves without a reason: commit both.
    With --site, every stack of the site is planned beside the others, and recorded where all are sound; `json` is
    then {site, ok, stacks: {STACK: its plan}, findings}, and `svg` and `html` are for one stack only.
    `html` is a map of every subnet for a browser, `svg` one picture, `markdown` a comment on a pull request.
    With --firewall, `csv` is a line for each connection, `nftables` a chain for a router between the networks.

    Exit code 0: sound. 2: a rule is broken. 1: the input can't be read.

    \b
    Examples:
        azlocal plan local
        azlocal plan lab --format json | jq '.networks[].pool'
        azlocal plan lab --no-lock
        azlocal plan lab -o map.html
        azlocal plan lab --against origin/main --format markdown
        azlocal plan lab --explain 10.220.32.26
        azlocal plan --site lab                all stacks of a site, against each other
        azlocal plan lab --placement -o hosts.html
        azlocal plan lab --without node2       what survives that; `all` for each host
        azlocal plan lab --size                what networks to ask for, and a netplan to start from
        azlocal plan lab --firewall            every connection, for the firewall team
        azlocal plan lab --firewall -o lab.csv
    """
    from infra.spec import load_instance

    is_frozen = _in_ci() if frozen is None else frozen
    if site is not None:
        if stack is not None or size or placement or firewall or {question, against, without} != {None}:
            refused = "it goes with --format, --output, --no-lock and --frozen only, and without a STACK"
            raise typer.BadParameter(refused, param_hint="--site")
        show_site(
            site, context.obj, _of_plans(chosen or _shown_of(target)), target, no_lock=no_lock, frozen=is_frozen
        )
        return
    if stack is None:
        raise typer.BadParameter("name one, or all of a site's with --site SITE", param_hint="STACK")
    is_placement = placement or without is not None
    if is_placement and (size or question is not None or against is not None):
        raise typer.BadParameter("it doesn't go with --size, --explain or --against", param_hint="--placement")
    shown = chosen or _shown_of(target)
    if firewall:
        if is_placement or size or {question, against} != {None}:
            raise typer.BadParameter("it goes with --format and --output only", param_hint="--firewall")
        show_firewall(stack, context.obj, shown, target)
        return
    output = _of_plans(shown)
    if size:
        show_sizes(context.obj, stack, output, target)
        return

    def unread(findings: "list[Finding]") -> str | None:
        if output is Format.TABLE:
            return None
        from infra.plan.instance import nothing_planned

        return _rendered(nothing_planned(stack, findings), output, None)

    with unreadable(unread, target):
        spec = load_instance(stack, context.obj)
        if question is not None:
            show_explanation(question, spec, output, use_lock=not no_lock)
            return
        check_loss(spec, without)
        older = _older(against, spec, use_lock=not no_lock) if against is not None else None
        planned = _planned(spec, no_lock=no_lock, frozen=is_frozen)
        losses = find_losses(planned, without)
    changes = _changes(older, planned, spec, against) if older is not None and against is not None else None
    if is_placement:
        show_placement(planned, losses, output, target)
    elif output is Format.TABLE and target is None:
        _print_tables(planned, changes)
    else:
        write(
            _rendered(planned, output, changes, _resources(planned, spec) if output is Format.JSON else None),
            target,
        )
    echo_findings(planned.findings)
    if not planned.ok:
        raise typer.Exit(ExitCode.RULE_BROKEN)


@app.command()
def release(
    context: typer.Context,
    stack: Annotated[str, typer.Argument(metavar="STACK", help="The instance whose addresses are freed.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Only these: clusters, names of the plan, patterns: 'a-*'."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Free what the lock file holds for an instance that is gone, or parts of one.

    A site can carry several instances, and their addresses stay theirs until they are freed. Frees them in
    netplans/SITE.lock.yaml, where they are used again last, and machines' places in hosts/SITE.lock.yaml.
    Only free what nothing runs at any more. What Pulumi.STACK.yaml still asks for stays, and is named: its next
    plan would take it again.

    \b
    Examples:
        azlocal release ci-1234 --yes          a stack that was removed
        azlocal release lab b                  all of cluster b, once it is removed from Pulumi.lab.yaml
        azlocal release lab b-vip              one address, so that its hostIP can change
    """
    from infra.plan.releasing import carry_out, plan_release

    freed = plan_release(context.obj, stack, names or ())
    show_release(freed)
    if not yes:
        typer.confirm("Free them?", abort=True)
    carry_out(freed, context.obj)


@app.command()
def rules(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[RULE]...", help="Only these, as findings name them.")
    ] = None,
) -> None:
    """List the rules that a plan and its exports are checked against, each with its source.

    Sources are the codes of Microsoft's documents and API specifications; `azlocal` marks rules of our own.

    \b
    Examples:
        azlocal rules
        azlocal rules aks-pool-too-small vip-in-pool
    """
    known = rule_texts()
    unknown = set(names or ()) - {id for id, *_ in known}
    if unknown:
        raise UserError(f"no such rule: {', '.join(sorted(unknown))}; `azlocal rules` lists them")
    for name, severity, source, text in known:
        if not names or name in names:
            typer.echo(f"{name}  ({severity}; {source})\n    {text}")


@app.command()
def schema(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a schema is out of date.")
    ] = False,
) -> None:
    """Write the JSON schemas of the input files, and of what `azlocal status` says.

    They go into schemas/, where the first line of each input file names them for editors.

    \b
    Examples:
        azlocal schema
        azlocal schema --check
    """
    from infra.spec.schema import json_schemas
    from infra.status.schema import status_schema

    folder = context.obj / "schemas"
    stale = []
    for name, content in {**json_schemas(), "status.schema.json": status_schema()}.items():
        path, text = folder / name, json.dumps(content, indent=2, sort_keys=True) + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            folder.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if check and stale:
        raise UserError(f"out of date under schemas/: {', '.join(stale)}; run `azlocal schema`")


def rule_texts() -> list[tuple[str, str, str, str | None]]:
    """Return every rule's name, severity, source and text, by name."""
    from infra.azure_import.report import IMPORT_RULES
    from infra.export.rules import EXPORT_RULES
    from infra.plan.rules import RULES

    rules = [*RULES, *EXPORT_RULES.values()]
    texts = [(rule.id, rule.severity, rule.source, rule.check.__doc__) for rule in rules]
    return sorted([*texts, *((rule.id, rule.severity, rule.source, rule.text) for rule in IMPORT_RULES.values())])


def _planned(spec: "InstanceSpec", *, no_lock: bool, frozen: bool) -> "Plan":
    from infra.plan.instance import plan_instance, record_instance

    return plan_instance(spec) if no_lock else record_instance(spec, frozen=frozen)


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def _print_tables(planned: "Plan", changes: "Changes | None") -> None:
    from infra.plan.report.addresses.plain import plain_tables, plain_width

    width = plain_width() if changes is None else None
    text = plain_tables(planned, width) if width is not None else None
    if text is not None:
        typer.echo(text, nl=False)
        return
    from rich.console import Console

    from infra.plan.report.addresses.table import print_changes, print_tables

    console = Console()
    print_tables(planned, console)
    if changes is not None:
        print_changes(changes, console)


def _of_plans(shown: Shown) -> Format:
    """Return the format of a plan; one that only connections have is refused."""
    if shown in ONLY_OF_FIREWALLS:
        raise typer.BadParameter(f"{shown} goes with --firewall only", param_hint="--format")
    return Format(shown.value)


def _shown_of(target: Path | None) -> Shown:
    endings = {
        ".json": Shown.JSON,
        ".md": Shown.MARKDOWN,
        ".svg": Shown.SVG,
        ".html": Shown.HTML,
        ".csv": Shown.CSV,
        ".nft": Shown.NFTABLES,
    }
    return endings.get(target.suffix.lower(), Shown.TABLE) if target else Shown.TABLE


def _rendered(
    planned: "Plan",
    output: Format,
    changes: "Changes | None",
    resources: list[dict[str, Any]] | None = None,
) -> str:
    from infra.plan.report.addresses.output import render

    return render(planned, output.value, changes, resources)


def _resources(planned: "Plan", spec: "InstanceSpec") -> list[dict[str, Any]] | None:
    """Return what resources are told by the plan, for a later plan to be compared with."""
    from infra.effects.records import records_of

    records = records_of(spec, planned)
    return None if records is None else [record.to_json() for record in records]


def _older(named: str, spec: "InstanceSpec", *, use_lock: bool) -> "Older":
    from infra.effects.older import read_older

    return read_older(named, spec.name, spec.directory, use_lock=use_lock)


def _changes(older: "Older", planned: "Plan", spec: "InstanceSpec", against: str) -> "Changes":
    from dataclasses import replace

    from infra.effects.older import effects_of
    from infra.plan.addresses.diff import compare

    changes = compare(older.addresses, planned.addresses, spec, against)
    return replace(changes, effects=effects_of(older, planned, spec))
