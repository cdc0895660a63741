"""Where nothing has colours, tables are what rich would print, letter for letter."""

import json
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from infra.cli import app
from infra.plan.instance import Plan, plan_instance
from infra.plan.report.addresses.plain import plain_tables
from infra.plan.report.addresses.table import print_tables
from tests.golden.instances import COUNT, instance
from tests.instances import cluster, files, make_spec, spec_of, write_files
from tests.plan.report.addresses.plans import hostile, lab, large
from tests.plan.sound_layouts import named


def by_rich(plan: Plan, width: int) -> str:
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        print_tables(plan, console)
    return capture.get()


def plans() -> list[Plan]:
    found = [lab(), hostile(), large(), plan_instance(make_spec())]
    found += [plan_instance(spec_of(instance(number).content)) for number in range(COUNT)]
    return found + [plan_instance(spec_of(content)) for _, content in named()]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_it_is_what_rich_prints_or_left_to_it(width: int) -> None:
    every = plans()
    laid_out = [plan for plan in every if plain_tables(plan, width) is not None]
    assert [plain_tables(plan, width) for plan in laid_out] == [by_rich(plan, width) for plan in laid_out]
    assert len(laid_out) > len(every) * 9 // 10, "most plans don't need rich"


def test_what_has_to_be_folded_is_left_to_rich() -> None:
    assert plain_tables(hostile(), 80) is None
    assert plain_tables(lab(), 30) is None


def test_a_plan_in_a_pipe_imports_no_rich_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, files([cluster()]))
    monkeypatch.delitem(sys.modules, "infra.plan.report.addresses.table")
    piped = CliRunner(env={"CI": "", "COLUMNS": "80"}).invoke(app, ["-C", str(tmp_path), "plan", "lab"])
    assert piped.exit_code == 0
    assert "infra.plan.report.addresses.table" not in sys.modules
    planned = json.loads(
        CliRunner(env={"CI": ""}).invoke(app, ["-C", str(tmp_path), "plan", "lab", "--format", "json"]).stdout
    )
    addresses = [one["address"] for network in planned["networks"] for one in network["allocations"]]
    assert all(address in piped.stdout for address in addresses)
