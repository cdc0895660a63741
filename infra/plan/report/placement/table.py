"""The placement as tables in a terminal."""

import io
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.plan.instance import Plan
from infra.plan.placement.loss import Loss
from infra.plan.placement.plan import Placed, Placement, gib, memory_of
from infra.plan.report.looks import LOOKS
from infra.plan.report.placement.view import (
    Column,
    build_columns,
    loss_line,
    loss_lines,
    survives,
    title,
    use_of,
    verdict,
)

_BAR_CELLS = 32


def print_placement(plan: Plan, losses: Sequence[Loss], addresses: Mapping[str, str], console: Console) -> None:
    """Print how full each host is, every machine with its host and reason, and what losses do."""
    placement = plan.placement
    console.print(Text.assemble(("placement  ", "bold"), title(placement)), highlight=False)
    console.print(_legend(), highlight=False)
    columns = build_columns(placement, ())
    width = max((len(host_column.room.name) for host_column in columns), default=0)
    for column in columns:
        console.print(_line(column, width), highlight=False)
    console.print(_machines(placement))
    for move in placement.moves:
        console.print(Text(f"→ {move}", "yellow"), highlight=False)
    if losses:
        _print_losses(losses, addresses, console)
    console.print(verdict(plan), style="" if plan.is_sound("placement") else "bold red", highlight=False)


def render_tables(plan: Plan, losses: Sequence[Loss], addresses: Mapping[str, str], width: int = 100) -> str:
    """Return the same as plain text."""
    console = Console(width=width, force_terminal=False, color_system=None, file=io.StringIO())
    with console.capture() as capture:
        print_placement(plan, losses, addresses, console)
    return capture.get()


def _legend() -> Text:
    return Text("█ machines  ▓ other instances  ▒ held for upgrades and autoscaling  ░ free  ┊ reserve", "dim")


def _line(column: Column, width: int) -> Text:
    room = column.room
    name = (f"{room.name:<{width}}  ", "bold" if room.takes else "strike")
    return Text.assemble(name, _bar(column), f"  {column.line}")


def _bar(column: Column) -> Text:
    """Draw a host's memory: what is used, held and free, and where the reserve begins."""
    total = column.room.memory_mib
    if total is None:
        return Text("?" * _BAR_CELLS, "dim")
    mine, others, held = memory_of(column.machines), column.room.others_mib, memory_of(column.held)
    ends = [
        min(_BAR_CELLS, -(-part * _BAR_CELLS // total)) for part in (others, others + mine, others + mine + held)
    ]
    text = "▓" * ends[0] + "█" * (ends[1] - ends[0]) + "▒" * (ends[2] - ends[1])
    reserve = _BAR_CELLS - column.room.reserve_mib * _BAR_CELLS // total
    free = "".join("░" if cell < reserve else "┊" for cell in range(len(text), _BAR_CELLS))
    style = "red" if others + mine > total else "yellow" if ends[1] > reserve else "green"
    return Text.assemble((text, style), (free, "dim"))


def _machines(placement: Placement) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Machine", overflow="fold")
    table.add_column("Host", no_wrap=True)
    table.add_column("GiB", no_wrap=True, justify="right")
    table.add_column("Why", overflow="fold", ratio=1)
    for placed in (*placement.placed, *placement.held):
        table.add_row(*_row(placed))
    for machine in (*placement.unplaced, *placement.unheld):
        table.add_row(
            Text(machine.owner, "red"), Text("none", "red"), gib(machine.memory_mib), Text("no room", "red")
        )
    return table


def _row(placed: Placed) -> tuple[Text, Text, Text, Text]:
    style = LOOKS[use_of(placed.machine)].style
    return (
        Text(placed.machine.owner, style),
        Text(placed.host),
        Text(gib(placed.machine.memory_mib)),
        Text(placed.why, "dim"),
    )


def _print_losses(losses: Sequence[Loss], addresses: Mapping[str, str], console: Console) -> None:
    for loss in losses:
        mark, style = ("✓", "green") if survives(loss) else ("✗", "bold red")
        console.print(Text.assemble((f"{mark} without {loss.host}: ", style), loss_line(loss)), highlight=False)
        for line in loss_lines(loss, addresses):
            console.print(Text(f"    {line}", "dim"), highlight=False)
    console.print()
