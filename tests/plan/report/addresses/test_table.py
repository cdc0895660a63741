import re
from itertools import pairwise

import pytest
from rich.console import Console

from infra.plan.instance import Plan
from infra.plan.report.addresses.runs import build_runs, short_range
from infra.plan.report.addresses.table import print_tables
from tests.plan.report.addresses.plans import hostile, lab, large


def table(plan: Plan, width: int = 80) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        print_tables(plan, console)
    return capture.get()


def test_it_says_who_holds_what_and_what_is_free() -> None:
    text = table(lab())
    assert "aks  10.220.32.0/24  VLAN 110" in text
    assert "pool █████████████████▒▒▒░░░░ 80%  20 addresses, 16 required, 4 free" in text
    assert "held by: a 13, b 6" in text
    assert re.search(r"10\.220\.32\.26 +a-spare +upgrade spare", text)
    assert re.search(r"10\.220\.32\.34-37 +FREE +free +4 addresses in the pool", text)
    assert re.search(r"10\.220\.32\.47-49 +a-lb-0…2 +service", text)
    assert text.rstrip().endswith("lab: sound: no rule is broken")


def test_it_fits_80_columns_and_carries_no_colour_when_piped() -> None:
    for plan in (lab(), hostile()):
        text = table(plan)
        assert max(map(len, text.splitlines())) <= 80
        assert "\x1b" not in text


def test_a_plan_that_breaks_rules_says_so_in_its_last_line() -> None:
    last = table(hostile()).rstrip().rpartition(": ")[2]
    assert last.startswith("not sound (")


def test_long_pools_are_one_line() -> None:
    text = table(large(2))
    assert len(text.splitlines()) < 120
    assert "c00-pool0-0…48" in text


def test_every_address_is_in_exactly_one_run() -> None:
    for network in lab().addresses.networks:
        runs = build_runs(network)
        assert [one for run in runs for one in run.allocations] == list(network.allocations)
        assert sum(run.count for run in runs if not run.allocations) == network.pool.free
        assert all(run.last < after.first for run, after in pairwise(runs))


@pytest.mark.parametrize(
    ("ends", "text"),
    [((0x0A000004, 0x0A000004), "10.0.0.4"), ((0x0A000004, 0x0A000009), "10.0.0.4-9"),
     ((0x0A0000FA, 0x0A000105), "10.0.0.250-10.0.1.5")],
)  # fmt: skip
def test_ranges_are_short_where_that_can_not_be_misread(ends: tuple[int, int], text: str) -> None:
    assert short_range(*ends) == text
