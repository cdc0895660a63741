"""What is known about an address, for a terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.plan.explain import Explanation

_STYLES = {"owner": "bold", "error": "red", "warning": "yellow"}


def print_explanations(explanations: Iterable[Explanation], console: Console) -> None:
    """Print each thing's facts, a line each."""
    for explanation in explanations:
        console.print(Text(explanation.subject, "bold"), highlight=False)
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        for about, text in explanation.facts:
            table.add_row(Text(f"  {about}"), Text(text, _STYLES.get(about, "")))
        console.print(table)
        console.print()
