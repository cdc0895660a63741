"""`azlocal plan --firewall`: the connections of an instance, for those who run firewalls."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from infra.cli.errors import ExitCode, unreadable
from infra.cli.output import echo_findings, json_of_unread, json_text, write

if TYPE_CHECKING:
    from infra.firewall.flow import Flow
    from infra.spec import Finding


class Shown(StrEnum):
    """How a plan is shown, or its connections: `infra.cli.output.Format`, and what only these have."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    SVG = "svg"
    HTML = "html"
    CSV = "csv"
    NFTABLES = "nftables"


ONLY_OF_FIREWALLS: Final = frozenset({Shown.CSV, Shown.NFTABLES})
_OF_FIREWALLS: Final = (Shown.TABLE, Shown.JSON, Shown.CSV, Shown.NFTABLES)


def show_firewall(stack: str, directory: Path, output: Shown, target: Path | None) -> None:
    """Show every connection that an instance needs, by a plan that records nothing."""
    from infra.firewall.flows import flows_of
    from infra.plan.instance import plan_instance
    from infra.plan.locks import SiteLocks
    from infra.spec import load_instance

    if output not in _OF_FIREWALLS:
        refused = f"--firewall can't be shown as {output}; use {', '.join(_OF_FIREWALLS)}"
        raise typer.BadParameter(refused, param_hint="--format")

    def unread(findings: "list[Finding]") -> str | None:
        return json_of_unread({"instance": stack, "connections": []}, findings) if output is Shown.JSON else None

    with unreadable(unread, target):
        spec = load_instance(stack, directory)
        planned = plan_instance(spec, SiteLocks.of(spec).read())
    if planned.ok:
        _show(spec.name, flows_of(spec, planned), output, target)
    elif output is Shown.JSON:
        write(json_of_unread({"instance": stack, "connections": []}, planned.findings), target)
    echo_findings(planned.findings)
    if not planned.ok:
        raise typer.Exit(ExitCode.RULE_BROKEN)


def _show(instance: str, flows: "list[Flow]", output: Shown, target: Path | None) -> None:
    from rich.console import Console

    from infra.firewall.text import as_json, print_tables, render_csv, render_nftables, render_tables

    match output:
        case Shown.JSON:
            write(json_text(as_json(instance, flows)), target)
        case Shown.CSV:
            write(render_csv(flows), target)
        case Shown.NFTABLES:
            write(render_nftables(instance, flows), target)
        case _ if target is None and sys.stdout.isatty():
            print_tables(flows, Console())
        case _:
            write(render_tables(flows), target)
