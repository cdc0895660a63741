"""The plan as tables in a terminal."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.plan.addresses.plan import NetworkPlan
from infra.plan.instance import Plan
from infra.plan.report.addresses.plain import HEADINGS, row_parts, title_parts
from infra.plan.report.addresses.runs import build_runs
from infra.plan.report.addresses.words import verdict

if TYPE_CHECKING:  # most plans are compared with none
    from infra.plan.addresses.diff import Changes, Kind
    from infra.plan.effects import EffectKind, Effects

_MARKS: "Mapping[Kind, tuple[str, str]]" = {
    "added": ("+", "green"),
    "removed": ("-", "red"),
    "moved": ("→", "yellow"),
    "changed": ("~", "cyan"),
}


_EFFECT_STYLES: "Mapping[EffectKind, str]" = {
    "refused": "bold red",
    "removed": "red",
    "replaced": "red",
    "moved": "yellow",
    "restarted": "yellow",
    "patched": "cyan",
    "kept": "dim",
    "added": "green",
}


def print_tables(plan: Plan, console: Console) -> None:
    """Print a table for each network: how full its pools are, and every address with its owner and reason."""
    for network in plan.addresses.networks:
        console.print(Text.assemble(*title_parts(network)), highlight=False)
        console.print(_table(network))
        console.print()
    console.print(verdict(plan), style="" if plan.ok else "bold red", highlight=False)


def print_changes(changes: "Changes", console: Console) -> None:
    """Print what differs."""
    from infra.plan.report.addresses.changes import change_rows, changes_line

    console.print(Text(changes_line(changes), "bold"), highlight=False)
    for sentence in changes.networks:
        console.print(Text(f"  {sentence}"), highlight=False)
    if changes.changes:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading, is_whole in (("", True), ("Address", True), ("Owner", False), ("Why", False)):
            table.add_column(heading, no_wrap=is_whole, overflow="fold", ratio=1 if heading == "Why" else None)
        for row in change_rows(changes):
            mark, style = _MARKS[row.kind]
            table.add_row(Text(mark, style), Text(row.place), Text(row.owner, style), Text(row.why, "dim"))
        console.print(table)
    _print_effects(changes.effects, console)
    console.print()


def _print_effects(effects: "Effects", console: Console) -> None:
    from infra.plan.report.addresses.changes import effect_rows, untold_line

    if untold := untold_line(effects):
        console.print(Text(f"  {untold}", "yellow"), highlight=False)
    rows = effect_rows(effects)
    if not rows:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, ratio in (("Effect", None), ("Machine", None), ("Why", 1)):
        table.add_column(heading, no_wrap=heading == "Effect", overflow="fold", ratio=ratio)
    for row in rows:
        style = _EFFECT_STYLES[row.kind]
        why = Text(row.why) if not row.then else Text.assemble(row.why, "\n", (row.then, "dim"))
        table.add_row(Text(row.kind, style), Text(row.names), why)
    console.print(table)


def render_tables(plan: Plan, changes: "Changes | None" = None, width: int = 100) -> str:
    """Return the same as plain text."""
    console = Console(width=width, force_terminal=False, color_system=None, file=io.StringIO())
    with console.capture() as capture:
        print_tables(plan, console)
        if changes is not None:
            print_changes(changes, console)
    return capture.get()


def _table(network: NetworkPlan) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    address, owner, use, why = HEADINGS
    table.add_column(address, no_wrap=True)
    table.add_column(owner, overflow="fold")
    table.add_column(use, no_wrap=True)
    table.add_column(why, overflow="fold", ratio=1)
    for run in build_runs(network):
        table.add_row(*(Text(text, style) for text, style in row_parts(run)))
    return table
