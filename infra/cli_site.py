"""What `azlocal plan --site` shows: the plans of all stacks of a site."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from infra.cli_output import (
    EXIT_RULE_BROKEN,
    EXIT_UNREADABLE,
    Format,
    echo_findings,
    json_of_unread,
    json_text,
    unreadable,
    write,
)

if TYPE_CHECKING:
    from infra.site_planning import SitePlan
    from infra.spec import Finding

_FORMATS = (Format.TABLE, Format.JSON, Format.MARKDOWN)


def show_site(
    site: str, directory: Path, output: Format, target: Path | None, *, no_lock: bool, frozen: bool
) -> None:
    """Plan every stack of a site, and show the plans one after the other."""
    from infra.site_planning import plan_site

    if output not in _FORMATS:
        raise typer.BadParameter(
            f"--site can't be shown as {output}, which is one stack's; use table, json or markdown",
            param_hint="--format",
        )

    def unread(findings: "list[Finding]") -> str | None:
        return json_of_unread({"site": site, "stacks": {}}, findings) if output is Format.JSON else None

    with unreadable(unread, target):
        found = plan_site(site, directory, no_lock=no_lock, frozen=frozen)
    write(_rendered(found, output), target)
    echo_findings(found.findings)
    if found.unread:
        raise typer.Exit(EXIT_UNREADABLE)
    if not found.ok:
        raise typer.Exit(EXIT_RULE_BROKEN)


def _rendered(found: "SitePlan", output: Format) -> str:
    if output is Format.JSON:
        return json_text(found.to_json())
    from infra.addresses.report.output import render

    heading = "stack {}:\n\n" if output is Format.TABLE else "## Stack {}\n\n"
    name: Literal["table", "markdown"] = "table" if output is Format.TABLE else "markdown"
    return "\n".join(heading.format(stack) + render(plan, name) for stack, plan in found.plans.items())
