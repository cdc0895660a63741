"""The plan as tables in a terminal."""

import io
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.addresses.plan import AddressPlan, NetworkPlan
from infra.addresses.report.looks import LOOKS
from infra.addresses.report.runs import Run, build_runs
from infra.addresses.report.words import verdict

if TYPE_CHECKING:  # most plans are compared with none
    from infra.addresses.diff import Changes, Kind
    from infra.addresses.effects import EffectKind, Effects

_BAR_CELLS = 24
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


def print_tables(plan: AddressPlan, console: Console) -> None:
    """Print a table for each network: how full its pools are, and every address with its owner and reason."""
    for network in plan.networks:
        console.print(_title(network), highlight=False)
        console.print(_table(network))
        console.print()
    console.print(verdict(plan), style="" if plan.ok else "bold red", highlight=False)


def print_changes(changes: "Changes", console: Console) -> None:
    """Print what differs."""
    from infra.addresses.report.changes import change_rows, changes_line

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
    from infra.addresses.report.changes import effect_rows, untold_line

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


def render_tables(plan: AddressPlan, changes: "Changes | None" = None, width: int = 100) -> str:
    """Return the same as plain text."""
    console = Console(width=width, force_terminal=False, color_system=None, file=io.StringIO())
    with console.capture() as capture:
        print_tables(plan, console)
        if changes is not None:
            print_changes(changes, console)
    return capture.get()


def _table(network: NetworkPlan) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Address", no_wrap=True)
    table.add_column("Owner", overflow="fold")
    table.add_column("Use", no_wrap=True)
    table.add_column("Why", overflow="fold", ratio=1)
    for run in build_runs(network):
        table.add_row(*_row(run))
    return table


def _row(run: Run) -> tuple[Text, Text, Text, Text]:
    if not run.allocations:
        return Text(run.addresses, "dim"), Text(run.owner, "bold"), Text("free", "dim"), Text(run.why, "dim")
    look = LOOKS[run.allocations[0].use]
    return Text(run.addresses), Text(run.owner, look.style), Text(look.label, look.style), Text(run.why, "dim")


def _title(network: NetworkPlan) -> Text:
    pool, balancer = network.pool, network.load_balancer
    title = Text()
    title.append(network.name, "bold")
    title.append(f"  {network.address_prefix}")
    title.append(f"  VLAN {network.vlan}\n" if network.vlan else "  untagged\n", "dim")
    title.append("pool ")
    title.append(_bar(network))
    title.append(f" {_percent(pool.size - pool.free, pool.size)}  ")
    title.append(f"{pool.size:,} addresses, {pool.required:,} required, ")
    title.append(f"{pool.free:,} free", "bold")
    if balancer.size or balancer.required:
        title.append(f"\nservices: {balancer.required:,} wanted, {balancer.size:,} there")
    clusters = Counter(one.cluster for one in network.allocations if one.cluster)
    if clusters:
        said = ", ".join(f"{name} {count:,}" for name, count in sorted(clusters.items()))
        title.append(f"\nheld by: {said}", "dim")
    return title


def _bar(network: NetworkPlan) -> Text:
    """Draw the pool: machines and virtual addresses solid, what is only held lighter, the rest empty."""
    pool = network.pool
    used = pool.size - pool.free
    held = sum(
        LOOKS[one.use].shape == "held" and any(one.value in span for span in network.pools)
        for one in network.allocations
    )
    full, solid = _cells(used, pool.size), _cells(used - held, pool.size)
    style = "red" if used >= pool.size else "yellow" if used * 10 >= pool.size * 9 else "green"
    return Text.assemble(("█" * solid, style), ("▒" * (full - solid), style), ("░" * (_BAR_CELLS - full), "dim"))


def _cells(part: int, whole: int) -> int:
    return min(_BAR_CELLS, -(-part * _BAR_CELLS // whole)) if whole else 0


def _percent(part: int, whole: int) -> str:
    return f"{part * 100 // whole}%" if whole else "empty"
