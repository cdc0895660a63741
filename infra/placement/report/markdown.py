"""The placement as Markdown, for a comment on a pull request."""

from collections.abc import Mapping, Sequence

from infra.addresses.report.markdown import escape, findings_section, mark_of
from infra.addresses.report.words import plural
from infra.placement.loss import Loss
from infra.placement.plan import Placement, gib, memory_of
from infra.placement.report.view import Column, build_columns, loss_line, loss_lines, survives, title, verdict

_BAR_CELLS = 20
_MOST_ROWS = 250


def render_markdown(placement: Placement, losses: Sequence[Loss], addresses: Mapping[str, str]) -> str:
    """Return a line, the hosts, the machines, the moves, what losses do, and the findings."""
    parts = [
        f"### {mark_of(is_good=placement.ok)} Placement {escape(verdict(placement))}",
        escape(title(placement)),
        _hosts(placement),
        _moves(placement),
        _machines(placement),
        _losses(losses, addresses),
        findings_section(placement.findings),
    ]
    return "\n\n".join(part for part in parts if part).rstrip() + "\n"


def _hosts(placement: Placement) -> str:
    lines = ["| Host | Memory | | Machines |", "|---|---|---|---|"]
    for column in build_columns(placement, ()):
        machines = ", ".join(escape(one.demand.owner) for one in column.machines[:_MOST_ROWS])
        lines.append(f"| {escape(column.room.name)} | {_bar(column)} | {escape(column.line)} | {machines} |")
    return "\n".join(lines)


def _bar(column: Column) -> str:
    whole = column.room.memory_mib
    if whole is None:
        return ""
    used = min(_BAR_CELLS, -(-column.used_mib * _BAR_CELLS // whole))
    held = min(_BAR_CELLS, -(-(column.used_mib + memory_of(column.held)) * _BAR_CELLS // whole))
    return f"<code>{'█' * used}{'▒' * (held - used)}{'░' * (_BAR_CELLS - held)}</code>"


def _moves(placement: Placement) -> str:
    return "\n".join(f"- {escape(str(one))}" for one in placement.moves[:_MOST_ROWS])


def _machines(placement: Placement) -> str:
    listed = [*placement.placed, *placement.held]
    rows = [(one.demand.owner, one.host, gib(one.demand.memory_mib), one.why) for one in listed[:_MOST_ROWS]]
    lines = [
        f"<details><summary>{plural(len(placement.placed), 'machine')}, and what is held</summary>",
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
