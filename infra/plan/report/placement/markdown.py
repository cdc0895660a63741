"""The placement as Markdown, for a comment on a pull request."""

from collections.abc import Mapping, Sequence

from infra.counting import counted
from infra.plan.instance import Plan
from infra.plan.placement.loss import Loss
from infra.plan.placement.plan import Placement, gib, memory_of
from infra.plan.report.addresses.markdown import escape, findings_section, mark_of
from infra.plan.report.placement.view import Column, build_columns, loss_line, loss_lines, survives, title, verdict

_BAR_CELLS = 20
_MOST_ROWS = 250


def render_markdown(plan: Plan, losses: Sequence[Loss], addresses: Mapping[str, str]) -> str:
    """Return a line, the hosts, the machines, the moves, what losses do, and the findings."""
    placement = plan.placement
    parts = [
        f"### {mark_of(is_good=plan.is_sound('placement'))} Placement {escape(verdict(plan))}",
        escape(title(placement)),
        _hosts(placement),
        _moves(placement),
        _machines(placement),
        _losses(losses, addresses),
        findings_section(plan.findings_about("placement")),
    ]
    return "\n\n".join(part for part in parts if part).rstrip() + "\n"


def _hosts(placement: Placement) -> str:
    lines = ["| Host | Memory | | Machines |", "|---|---|---|---|"]
    for column in build_columns(placement, ()):
        machines = ", ".join(escape(placed.machine.owner) for placed in column.machines[:_MOST_ROWS])
        lines.append(f"| {escape(column.room.name)} | {_bar(column)} | {escape(column.line)} | {machines} |")
    return "\n".join(lines)


def _bar(column: Column) -> str:
    total = column.room.memory_mib
    if total is None:
        return ""
    used = min(_BAR_CELLS, -(-column.used_mib * _BAR_CELLS // total))
    held = min(_BAR_CELLS, -(-(column.used_mib + memory_of(column.held)) * _BAR_CELLS // total))
    return f"<code>{'█' * used}{'▒' * (held - used)}{'░' * (_BAR_CELLS - held)}</code>"


def _moves(placement: Placement) -> str:
    return "\n".join(f"- {escape(str(move))}" for move in placement.moves[:_MOST_ROWS])


def _machines(placement: Placement) -> str:
    listed = [*placement.placed, *placement.held]
    rows = [
        (placed.machine.owner, placed.host, gib(placed.machine.memory_mib), placed.why)
        for placed in listed[:_MOST_ROWS]
    ]
    lines = [
        f"<details><summary>{counted(len(placement.placed), 'machine')}, and what is held</summary>",
        "",
        "| Machine | Host | GiB | Why |",
        "|---|---|---|---|",
        *(f"| {' | '.join(escape(text) for text in row)} |" for row in rows),
    ]
    if len(listed) > _MOST_ROWS:
        lines += ["", f"and {len(listed) - _MOST_ROWS:,} more: `--format json` has all."]
    return "\n".join([*lines, "", "</details>"])


def _losses(losses: Sequence[Loss], addresses: Mapping[str, str]) -> str:
    lines = []
    for loss in losses:
        mark = mark_of(is_good=survives(loss))
        lines.append(f"- {mark} without **{escape(loss.host)}**: {escape(loss_line(loss))}")
        lines += (
            [f"  - {escape(line)}" for line in loss_lines(loss, addresses)[:_MOST_ROWS]]
            if len(losses) == 1
            else []
        )
    return "\n".join(["#### What a host's loss leaves", "", *lines]) if lines else ""
