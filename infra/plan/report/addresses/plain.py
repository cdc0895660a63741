"""The plan's tables where nothing has colours: in a pipe, a file, a log. What they say, for terminals as well.

Text for text what `table` prints there, without rich, which takes longer to import and to lay out a table than all
of the planning. What needs more than words and padding is left to it: wide characters, words that must be folded.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from infra.counting import counted
from infra.plan.addresses.plan import NetworkPlan
from infra.plan.instance import Plan
from infra.plan.report.addresses.runs import Run, build_runs
from infra.plan.report.addresses.words import verdict
from infra.plan.report.looks import LOOKS

HEADINGS = ("Address", "Owner", "Use", "Why")
_BAR_CELLS = 24
_OURS = str.maketrans("", "", "█▒░…")
_USUAL_WIDTH = 80
_MAKE_A_TERMINAL = {"FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "JUPYTER_COLUMNS"}  # rich's own settings

Styled = tuple[str, str]
"""A text, and its style in a terminal."""


def title_parts(network: NetworkPlan) -> list[Styled]:
    """Return what stands over a network's table: what it is, how full its pools are, who holds how much."""
    pool, balancer = network.pool, network.load_balancer
    parts = [(network.name, "bold"), (f"  {network.address_prefix}", "")]
    parts.append((f"  VLAN {network.vlan}\n" if network.vlan else "  untagged\n", "dim"))
    parts += [("pool ", ""), *_bar(network), (f" {_percent(pool.size - pool.free, pool.size)}  ", "")]
    parts.append((f"{counted(pool.size, 'address')}, {pool.required:,} required, ", ""))
    parts.append((f"{pool.free:,} free", "bold"))
    if balancer.size or balancer.required:
        parts.append((f"\nservices: {balancer.required:,} wanted, {balancer.size:,} there", ""))
    clusters = Counter(allocation.cluster for allocation in network.allocations if allocation.cluster)
    if clusters:
        shares = ", ".join(f"{name} {count:,}" for name, count in sorted(clusters.items()))
        parts.append((f"\nheld by: {shares}", "dim"))
    return parts


def row_parts(run: Run) -> tuple[Styled, Styled, Styled, Styled]:
    """Return what stands under each of the headings for a run of addresses."""
    if not run.allocations:
        return (run.addresses, "dim"), (run.owner, "bold"), ("free", "dim"), (run.why, "dim")
    look = LOOKS[run.allocations[0].use]
    return (run.addresses, ""), (run.owner, look.style), (look.label, look.style), (run.why, "dim")


def plain_width() -> int | None:
    """Return how wide standard output is, as rich sees it; None where it may have colours, or isn't UTF-8."""
    if sys.stdout.isatty() or _MAKE_A_TERMINAL & os.environ.keys() or sys.stdout.encoding.lower() != "utf-8":
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit():
        return int(columns) or _USUAL_WIDTH
    for descriptor in (0, 1, 2):
        with suppress(OSError, ValueError):
            return os.get_terminal_size(descriptor).columns or _USUAL_WIDTH
    return _USUAL_WIDTH


def plain_tables(plan: Plan, width: int) -> str | None:
    """Return the tables as they are printed without colours; None where rich has to lay them out.

    Args:
        plan: The plan.
        width: How many characters a line has.
    """
    lines: list[str] = []
    for network in plan.addresses.networks:
        title = "".join(text for text, _ in title_parts(network)).split("\n")
        table = _table(network, width)
        if table is None or not all(_is_simple(line) and len(line) <= width for line in title):
            return None
        lines += [*title, *table, ""]
    last = verdict(plan)
    return "\n".join([*lines, last, ""]) if _is_simple(last) and len(last) <= width else None


def _table(network: NetworkPlan, width: int) -> list[str] | None:
    rows = [tuple(text for text, _ in row_parts(run)) for run in build_runs(network)]
    if not rows or not all(_is_simple(text) for row in rows for text in row):
        return None
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    around = 2 + 3 * (len(widths) - 1)  # a space at the edges, three between columns
    widths[-1] = min(widths[-1], width - around - sum(widths[:-1]))
    longest = max(len(word) for *_, why in (HEADINGS, *rows) for word in why.split(" "))
    if widths[-1] < longest:
        return None
    total = around + sum(widths)
    lines = [" " * total, _line(HEADINGS, widths), f" {'─' * (total - 2)} "]
    for *cells, why in rows:
        for part in _wrapped(why, widths[-1]):
            lines.append(_line((*cells, part), widths))
            cells = [""] * len(cells)
    return [*lines, " " * total]


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return f" {'   '.join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True))} "


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Yield the lines of a text whose words are all short enough."""
    line = ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def _is_simple(text: str) -> bool:
    """Tell whether each character of a text takes one place, and words have one space between them."""
    plain = text.translate(_OURS)
    return plain.isascii() and plain.isprintable() and text == text.strip()


def _bar(network: NetworkPlan) -> list[Styled]:
    """Draw the pool: machines and virtual addresses solid, what is only held lighter, the rest empty."""
    pool = network.pool
    used = pool.size - pool.free
    held = sum(
        LOOKS[allocation.use].shape == "held" and any(allocation.value in span for span in network.pools)
        for allocation in network.allocations
    )
    full, solid = _cells(used, pool.size), _cells(used - held, pool.size)
    style = "red" if used >= pool.size else "yellow" if used * 10 >= pool.size * 9 else "green"
    return [("█" * solid, style), ("▒" * (full - solid), style), ("░" * (_BAR_CELLS - full), "dim")]


def _cells(part: int, total: int) -> int:
    return min(_BAR_CELLS, -(-part * _BAR_CELLS // total)) if total else 0


def _percent(part: int, total: int) -> str:
    return f"{part * 100 // total}%" if total else "empty"
