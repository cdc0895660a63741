"""Results as tables in a terminal."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.counting import counted
from infra.doctor.checks import Result, Status
from infra.doctor.checks.base import listed
from infra.doctor.report.inventory import inventory
from infra.doctor.survey import Survey

_Key = TypeVar("_Key", bound=Hashable)

_LOOKS: Final[dict[Status, tuple[str, str]]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "bold red"),
    "skipped": ("-", "dim"),
}
"""A sign and a style: colour is never the only channel."""

_SECTIONS: Final = {
    "access": "Access",
    "system": "Operating system",
    "hypervisor": "Hypervisor",
    "hardware": "Hardware",
    "storage": "Storage",
    "network": "Network",
    "reach": "What it reaches",
    "leftovers": "What stands there",
    "site": "All hosts together",
}

_CHECKS_NAMED: Final = 2
_TITLE_CELLS: Final = 50
"""What the checks' titles take."""

_INVENTORY: Final = {
    "Host": None,
    "System": "system",
    "libvirt": "libvirt",
    "QEMU": "qemu",
    "KVM": "kvm",
    "Processor": "processor",
    "Memory": "memory",
    "Free disk": "freeDisk",
    "Uplink": "uplink",
}


def print_survey(survey: Survey, console: Console) -> None:
    """Print what the hosts are, every check, and what to do."""
    headings = _headings(survey, console.width)
    console.print(_inventory(survey, headings))
    if len(survey.hosts) == 1:
        console.print(_seen([*survey.hosts[0].results, *survey.site]))
    else:
        console.print(_matrix(survey, headings))
        console.print(_seen(survey.site))
    _print_skipped(survey, console)
    _print_remedies(survey, console)
    console.print(_summary(survey), style="" if survey.ok else "bold red", highlight=False)


def render_survey(survey: Survey, width: int = 120) -> str:
    """Return the same as plain text."""
    console = Console(width=width, force_terminal=False, color_system=None, file=io.StringIO())
    with console.capture() as capture:
        print_survey(survey, console)
    return capture.get()


def _headings(survey: Survey, width: int) -> list[str]:
    """Return a heading for each host's column: its name, or a number where all names don't fit."""
    names = [report.host.name for report in survey.hosts]
    if sum(map(len, names)) + len(names) + _TITLE_CELLS <= width:
        return names
    return [str(number) for number in range(1, len(names) + 1)]


def _inventory(survey: Survey, headings: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in _INVENTORY:
        table.add_column(heading, overflow="fold", no_wrap=heading == "Host")
    for heading, report in zip(headings, survey.hosts, strict=True):
        values = inventory(report)
        cells = [Text(values[key] or "?") for key in _INVENTORY.values() if key is not None]
        number = "" if heading == report.host.name else f"{heading}  "
        table.add_row(Text.assemble(number, (report.host.name, "bold")), *cells)
    return table


def _seen(results: Iterable[Result]) -> Table:
    """What each check saw."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("Check", overflow="fold")
    table.add_column("Seen", overflow="fold", ratio=1)
    for section, rows in _sections([result] for result in results).items():
        table.add_row("", Text(section, "bold"))
        for (result,) in rows:
            style = "dim" if result.status == "ok" else _LOOKS[result.status][1]
            table.add_row(_sign(result), Text(result.title), Text(result.seen, style))
    return table


def _matrix(survey: Survey, headings: Sequence[str]) -> Table:
    """A row for each check, a column for each host."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Check", overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="center", no_wrap=True)
    for section, rows in _sections(zip(*(report.results for report in survey.hosts), strict=True)).items():
        table.add_row(Text(section, "bold"))
        for row in rows:
            table.add_row(Text(f"  {row[0].title}"), *map(_sign, row))
    return table


def _sections(rows: Iterable[Sequence[Result]]) -> dict[str, list[Sequence[Result]]]:
    """Return the rows by section, without those that were skipped everywhere."""
    sections: dict[str, list[Sequence[Result]]] = defaultdict(list)
    for row in rows:
        if any(result.status != "skipped" for result in row):
            sections[_SECTIONS.get(row[0].section, row[0].section)].append(row)
    return sections


def _sign(result: Result) -> Text:
    return Text(*_LOOKS[result.status])


def _print_skipped(survey: Survey, console: Console) -> None:
    grouped = _grouped(
        [result for result in survey.results if result.status == "skipped"], lambda result: result.seen
    )
    if not grouped:
        return
    console.print(Text("Skipped", "bold"))
    for reason, ones in grouped.items():
        checks = list(dict.fromkeys(result.title for result in ones))
        what = "; ".join(checks) if len(checks) <= _CHECKS_NAMED else f"{len(checks)} checks"
        _print_hanging(console, "-", Text.assemble(_hosts(survey, ones), what, (f": {reason}", "dim")), "dim")
    console.print()


def _print_remedies(survey: Survey, console: Console) -> None:
    """Print what was seen and what to do, the same of several hosts once, what failed first."""
    wanting = [result for result in survey.results if result.status in ("failed", "warning")]
    grouped = _grouped(wanting, lambda result: (result.status, result.title, result.seen, result.remedy))
    for (status, title, seen, remedy), ones in sorted(grouped.items(), key=lambda item: item[0][0] != "failed"):
        sign, style = _LOOKS[status]
        where = _hosts(survey, ones).removesuffix(": ")
        head = Text.assemble((title, style), (f"  [{ones[0].check}]", "dim"), f"  {where}" if where else "")
        _print_hanging(console, sign, head, style)
        _print_hanging(console, " ", Text(seen))
        _print_hanging(console, " ", Text(f"→ {remedy}", "cyan"))
    if wanting:
        console.print()


def _print_hanging(console: Console, sign: str, text: Text, style: str = "") -> None:
    """Print a text with its sign before it; its further lines stand under the first."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(sign, style), text)
    console.print(grid)


def _hosts(survey: Survey, ones: Iterable[Result]) -> str:
    """Say of which hosts something holds, where that isn't clear."""
    names = {result.host for result in ones if result.host is not None}
    if not names or len(survey.hosts) == 1:
        return ""
    if len(names) == len(survey.hosts):
        return "all hosts: "
    others = [report.host.name for report in survey.hosts if report.host.name not in names]
    if len(others) == 1 and len(names) > 1:
        return f"all but {others[0]}: "
    return f"{listed([report.host.name for report in survey.hosts if report.host.name in names])}: "


def _summary(survey: Survey) -> str:
    counts = Counter(result.status for result in survey.results)
    parts = [f"{counts[status]} {status}" for status in _LOOKS if counts[status]]
    hosts = counted(len(survey.hosts), "host")
    return (
        f"{survey.instance}: {hosts}, {sum(counts.values())} checks in {survey.seconds:.1f} s: {', '.join(parts)}"
    )


def _grouped(results: Iterable[Result], key: Callable[[Result], _Key]) -> dict[_Key, list[Result]]:
    groups: dict[_Key, list[Result]] = defaultdict(list)
    for result in results:
        groups[key(result)].append(result)
    return groups
