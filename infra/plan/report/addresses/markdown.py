"""The plan as Markdown: a comment on a pull request, short enough for one whatever the instance's size.

Every text that people choose is escaped: it can't become markup, and mentions nobody.
"""

import re

from infra.counting import counted
from infra.plan.addresses.diff import Changes
from infra.plan.addresses.plan import NetworkPlan
from infra.plan.effects import Effects
from infra.plan.instance import Plan
from infra.plan.report.addresses.changes import change_rows, changes_line, effect_rows, untold_line
from infra.plan.report.addresses.runs import Run, build_runs
from infra.plan.report.addresses.words import pool_line, summary, tag, verdict
from infra.plan.report.looks import LOOKS
from infra.spec.findings import Finding

_BAR_CELLS = 20
# A comment on GitHub has 65,536 characters; room is left for a change section.
_MOST_CHARACTERS = 48_000

_MOST_ROWS = 120

_MARKS = {"error": "\N{CROSS MARK}", "warning": "\N{WARNING SIGN}\ufe0f", "info": "\N{INFORMATION SOURCE}\ufe0f"}
_SOUND = "\N{WHITE HEAVY CHECK MARK}"
_MARKUP = re.compile(r"[\\`*_{}\[\]<>#|~&$]")
# Where GitHub would mention somebody or make a link of a bare word; a space of no width keeps it from that.
_REFERENCE = re.compile(r"(?<=[@#])(?=\w)|(?<=:)(?=//)|(?<=www)(?=\.)")
_SPACE = re.compile(r"\s+")


def render_markdown(plan: Plan, changes: Changes | None = None) -> str:
    """Return the plan as Markdown: a line, what changed, a section for each network, the findings."""
    mark = mark_of(is_good=plan.ok)
    head = f"### {mark} Address plan {escape(verdict(plan))}\n\n{summary(plan)}\n\n"
    if changes is not None:
        head += _changes(changes)
    findings = findings_section(plan.findings)
    room = _MOST_CHARACTERS - len(head) - len(findings)
    sections = []
    for number, network in enumerate(plan.addresses.networks):
        section = _network(network)
        room -= len(section)
        if room < 0:
            left = len(plan.addresses.networks) - number
            sections.append(f"{counted(left, 'network')} more than a comment holds: `--format html` has all.\n\n")
            break
        sections.append(section)
    return (head + "".join(sections) + findings).rstrip() + "\n"


def mark_of(*, is_good: bool) -> str:
    """Return the mark of good news or bad."""
    return _SOUND if is_good else _MARKS["error"]


def escape(text: str) -> str:
    """Return a text that means itself in Markdown, on one line."""
    escaped = _MARKUP.sub(r"\\\g<0>", _SPACE.sub(" ", text))
    return _REFERENCE.sub("\u200b", escaped)


def _network(network: NetworkPlan) -> str:
    lines = [
        "<details>",
        f"<summary>{_html(network.name)} {network.address_prefix} {tag(network)}"
        f" <code>{_bar(network)}</code> {network.pool.free:,} free</summary>",
        "",
        pool_line(network),
        "",
        "| Address | Owner | Use | Why |",
        "|---|---|---|---|",
        *(_row(run) for run in build_runs(network, nodes_from=3)),
        "",
        "</details>",
        "",
        "",
    ]
    return "\n".join(lines)


def _row(run: Run) -> str:
    if not run.allocations:
        return f"| {run.addresses} | **FREE** | | {run.why} |"
    use = LOOKS[run.allocations[0].use].label
    return f"| {run.addresses} | {escape(run.owner)} | {use} | {escape(run.why)} |"


def _bar(network: NetworkPlan) -> str:
    pool = network.pool
    full = min(_BAR_CELLS, -(-(pool.size - pool.free) * _BAR_CELLS // pool.size)) if pool.size else 0
    return "█" * full + "░" * (_BAR_CELLS - full)


def _changes(changes: Changes) -> str:
    lines = [f"#### Changes {escape(changes_line(changes))}", ""]
    lines += [f"- {escape(sentence)}" for sentence in changes.networks]
    rows = change_rows(changes)
    if rows:
        lines += [""] if changes.networks else []
        lines += ["| | Address | Owner | Why |", "|---|---|---|---|"]
        lines += [
            f"| {row.kind} | {row.place} | {escape(row.owner)} | {escape(row.why)} |" for row in rows[:_MOST_ROWS]
        ]
    if len(rows) > _MOST_ROWS:
        lines += ["", f"and {len(rows) - _MOST_ROWS:,} lines more: `--format json` has all."]
    lines += _effects(changes.effects)
    return "\n".join([*lines, "", ""])


def _effects(effects: Effects) -> list[str]:
    """Return what becomes of machines and clusters as lines; none without any."""
    if untold := untold_line(effects):
        return ["", escape(untold)]
    rows = effect_rows(effects)
    if not rows:
        return []
    lines = ["", "| Effect | Machine | Why |", "|---|---|---|"]
    for row in rows[:_MOST_ROWS]:
        then = f"<br>{escape(row.then)}" if row.then else ""
        lines.append(f"| {row.kind} | {escape(row.names)} | {escape(row.why)}{then} |")
    if len(rows) > _MOST_ROWS:
        lines += ["", f"and {len(rows) - _MOST_ROWS:,} lines more: `--format json` has all."]
    return lines


def _html(text: str) -> str:
    """Escape inside an HTML line, where Markdown has no say; `@` and `#` still refer."""
    named = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
    escaped = "".join(named.get(character, character) for character in _SPACE.sub(" ", text))
    return _REFERENCE.sub("\u200b", escaped)


def findings_section(findings: tuple[Finding, ...]) -> str:
    """Return the findings as a section; empty without any, cut at what a comment holds."""
    lines = [
        f"- {_MARKS[finding.severity]} **{finding.severity}** {escape(finding.message)} "
        f"\\[{escape(finding.rule)}\\]<br>{escape(finding.remedy)}<br><sub>{escape(finding.path)}</sub>"
        for finding in findings
    ]
    listed: list[str] = []
    length = 0
    for line in lines:
        length += len(line) + 1
        if length > _MOST_CHARACTERS // 2:
            listed.append(f"- and {len(lines) - len(listed)} more: `azlocal plan` lists them")
            break
        listed.append(line)
    return "#### Findings\n\n" + "\n".join(listed) + "\n" if listed else ""
