"""Results as tables in a terminal."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Final, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.doctor.checks import Result, Status
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
    console.print(_inventory(survey))
    console.print(_one_host(survey) if len(survey.hosts) == 1 else _matrix(survey))
    if len(survey.hosts) > 1:
        _print_skipped(survey, console)
    _print_remedies(survey, console)
    console.print(_summary(survey), style="" if survey.ok else "bold red", highlight=False)


def render_survey(survey: Survey, width: int = 120) -> str:
    """Return the same as plain text."""
    console = Console(width=width, force_terminal=False, color_system=None, file=io.StringIO())
    with console.capture() as capture:
        print_survey(survey, console)
    return capture.get()


def _inventory(survey: Survey) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in _INVENTORY:
        table.add_column(heading, overflow="fold", no_wrap=heading == "Host")
    for report in survey.hosts:
        found = inventory(report)
        cells = [Text(found[key] or "?") for key in _INVENTORY.values() if key is not None]
        table.add_row(Text(report.host.name, "bold"), *cells)
    return table


def _one_host(survey: Survey) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("Check", overflow="fold")
    table.add_column("Seen", overflow="fold", ratio=1)
    for one in survey.hosts[0].results:
        sign, style = _LOOKS[one.status]
        table.add_row(Text(sign, style), Text(one.title), Text(one.seen, style if one.status != "ok" else "dim"))
    return table


def _matrix(survey: Survey) -> Table:
    """A row for each check, a column for each host: sixteen of them fit."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Check", overflow="fold")
    for report in survey.hosts:
        table.add_column(report.host.name, justify="center", no_wrap=True)
    table.add_column("All hosts", justify="center", no_wrap=True)
    for row in zip(*(report.results for report in survey.hosts), strict=True):
        table.add_row(Text(row[0].title), *(_sign(one) for one in row), Text(""))
    for one in survey.site:
        table.add_row(Text(one.title), *(Text("") for _ in survey.hosts), _sign(one))
    return table


def _sign(one: Result) -> Text:
    return Text(*_LOOKS[one.status])


def _print_skipped(survey: Survey, console: Console) -> None:
    grouped = _grouped([one for one in survey.results if one.status == "skipped"], lambda one: one.seen)
    if not grouped:
        return
    console.print(Text("Skipped", "bold"))
    for reason, ones in grouped.items():
        hosts = sorted({one.host or "all hosts" for one in ones}, key=_order(survey))
        checks = list(dict.fromkeys(one.title for one in ones))
        what = checks[0] if len(checks) == 1 else f"{len(checks)} checks"
        console.print(
            Text.assemble(("- ", "dim"), f"{', '.join(hosts)}: {what}: ", (reason, "dim")), highlight=False
        )
    console.print()


def _print_remedies(survey: Survey, console: Console) -> None:
    """Print what was seen and what to do, the same of several hosts once, what failed first."""
    wanting = [one for one in survey.results if one.status in ("failed", "warning")]
    grouped = _grouped(wanting, lambda one: (one.status, one.title, one.seen, one.remedy))
    for key, ones in sorted(grouped.items(), key=lambda item: item[0][0] != "failed"):
        status, title, seen, remedy = key
        sign, style = _LOOKS[status]
        hosts = [one.host for one in ones if one.host]
        console.print(
            Text.assemble(
                (f"{sign} {title}", style), f"  {', '.join(hosts)}" if hosts else "", f"  [{ones[0].check}]"
            ),
            highlight=False,
        )
        console.print(Text(f"  {seen}"), highlight=False)
        console.print(Text(f"  → {remedy}", "cyan"), highlight=False)
    if wanting:
        console.print()


def _summary(survey: Survey) -> str:
    counts = Counter(one.status for one in survey.results)
    said = [f"{counts[status]} {status}" for status in _LOOKS if counts[status]]
    hosts = f"{len(survey.hosts)} host{'s' if len(survey.hosts) != 1 else ''}"
    return (
        f"{survey.instance}: {hosts}, {sum(counts.values())} checks in {survey.seconds:.1f} s: {', '.join(said)}"
    )


def _grouped(results: Iterable[Result], key: Callable[[Result], _Key]) -> dict[_Key, list[Result]]:
    groups: dict[_Key, list[Result]] = defaultdict(list)
    for one in results:
        groups[key(one)].append(one)
    return groups


def _order(survey: Survey) -> Callable[[str], int]:
    names = [report.host.name for report in survey.hosts]
    return lambda name: names.index(name) if name in names else len(names)
