"""A plan as text in any format; each format's module is imported when it is asked for."""

import json
from typing import TYPE_CHECKING, Any, Literal

from infra.plan.instance import Plan

if TYPE_CHECKING:
    from infra.plan.addresses.diff import Changes

FormatName = Literal["table", "json", "markdown", "svg", "html"]


def render(
    plan: Plan,
    name: FormatName,
    changes: "Changes | None" = None,
    resources: list[dict[str, Any]] | None = None,
) -> str:
    """Return the plan, and what differs from an older one, as text.

    Args:
        plan: The plan.
        name: The format.
        changes: What differs from an older plan.
        resources: What resources are told by the plan; only JSON has it, for plans that come later.
    """
    match name:
        case "json":
            more = {"changes": changes.to_json()} if changes else {}
            return json_text(plan.to_json() | more | ({} if resources is None else {"resources": resources}))
        case "markdown":
            from infra.plan.report.addresses.markdown import render_markdown

            return render_markdown(plan, changes)
        case "svg":
            from infra.plan.report.addresses.picture import render_svg

            return render_svg(plan, changes)
        case "html":
            from infra.plan.report.addresses.page import render_html

            return render_html(plan, changes)
        case "table":
            from infra.plan.report.addresses.table import render_tables

            return render_tables(plan, changes)


def json_text(content: dict[str, Any]) -> str:
    """Return JSON as people and git like it."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
