"""What `azlocal plan --site` shows: the plans of all stacks of a site."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from infra.cli.errors import ExitCode, unreadable
from infra.cli.output import Format, echo_findings, json_of_unread, json_text, write

if TYPE_CHECKING:
    from infra.plan.site import SitePlan
    from infra.spec import Finding

_FORMATS = (Format.TABLE, Format.JSON, Format.MARKDOWN)


def show_site(
    site: str, directory: Path, output: Format, target: Path | None, *, no_lock: bool, frozen: bool
) -> None:
    """Plan every stack of a site, and show the plans one after the other."""
    from infra.plan.site import plan_site

    if output not in _FORMATS:
        raise typer.BadParameter(
            f"--site can't be shown as {output}, which is one stack's; use table, json or markdown",
            param_hint="--format",
        )

    def unread(findings: "list[Finding]") -> str | None:
        return json_of_unread({"site": site, "stacks": {}}, findings) if output is Format.JSON else None

    with unreadable(unread, target):
        site_plan = plan_site(site, directory, no_lock=no_lock, frozen=frozen)
    write(_rendered(site_plan, output), target)
    echo_findings(site_plan.findings)
    if site_plan.unread:
        raise typer.Exit(ExitCode.FAILED)
    if not site_plan.ok:
        raise typer.Exit(ExitCode.RULE_BROKEN)


def _rendered(site_plan: "SitePlan", output: Format) -> str:
    if output is Format.JSON:
        return json_text(site_plan.to_json())
    from infra.plan.report.addresses.output import render

    heading = "stack {}:\n\n" if output is Format.TABLE else "## Stack {}\n\n"
    name: Literal["table", "markdown"] = "table" if output is Format.TABLE else "markdown"
    return "\n".join(heading.format(stack) + render(plan, name) for stack, plan in site_plan.plans.items())
