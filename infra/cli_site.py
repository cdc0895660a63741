"""What `azlocal plan --site` shows: the plans of all stacks of a site."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from infra.cli_output import (
    EXIT_RULE_BROKEN,
    EXIT_UNREADABLE,
    Format,
    as_json,
    echo_findings,
    json_text,
    write,
)

if TYPE_CHECKING:
    from infra.site_planning import SitePlan

_FORMATS = (Format.TABLE, Format.JSON, Format.MARKDOWN)


def show_site(
    site: str, directory: Path, output: Format, target: Path | None, *, no_lock: bool, frozen: bool
) -> None:
    """Plan every stack of a site, and show the plans one after the other."""
    from infra.site_planning import plan_site
    from infra.spec import SpecError

    if output not in _FORMATS:
        raise typer.BadParameter(
            f"--site can't be shown as {output}, which is one stack's; use table, json or markdown",
            param_hint="--format",
        )
    try:
        found = plan_site(site, directory, no_lock=no_lock, frozen=frozen)
    except SpecError as error:
        if output is Format.JSON:
            write(
                json_text({"site": site, "ok": False, "stacks": {}, "findings": as_json(error.findings)}), target
            )
        echo_findings(error.findings)
        raise typer.Exit(EXIT_UNREADABLE) from None
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
