"""The order of test files, the budget, and chains, as pytest runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import costs, recording
from tests.project import ROOT
from tests.recording import Cost, machine_groups, read_record

CHAIN = """
import pytest
pytestmark = pytest.mark.chain
def test_first(): pass
@pytest.mark.parametrize("step", ["a", "b"])
def test_second(step): assert step == "b"
def test_third(): pass
"""


def test_a_tier_is_over_its_budget_from_a_fifth_more() -> None:
    assert costs.over_budget("e2e", 120, {"e2e": 100}) is None
    assert costs.over_budget("lab", 500, {"e2e": 100}) is None
    assert "budget 100 s" in (costs.over_budget("e2e", 120.1, {"e2e": 100}) or "")


def test_costs_are_written_by_tier_and_by_file(tmp_path: Path) -> None:
    record = [
        Cost("tests/a.py::one", "e2e", "passed", 20.4, 30.0),
        Cost("tests/a.py::two", "e2e", "passed", 10.0, 1.2),
        Cost("tests/b.py::three", "unit", "passed", 0.1, 0.1),
    ]
    costs.write(record, tmp_path / "costs.json")
    written = json.loads((tmp_path / "costs.json").read_text())
    assert written == {"tierCpuSeconds": {"e2e": 31, "unit": 0}, "fileSeconds": {"tests/a.py": 30}}


def test_every_file_that_costs_are_recorded_for_exists() -> None:
    assert [file for file in costs.file_seconds() if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("workers", [[], ["--numprocesses", "2", "--dist", "loadfile"]])
def test_a_chain_stops_at_its_first_failure_and_is_recorded(tmp_path: Path, workers: list[str]) -> None:
    for name in ("conftest.py", "costs.py", "costs.json", "marks.py", "recording.py"):
        (tmp_path / "tests").mkdir(exist_ok=True)
        (tmp_path / "tests" / name).write_text((ROOT / "tests" / name).read_text())
    (tmp_path / "tests" / "test_chain.py").write_text(CHAIN)
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *workers],
        cwd=tmp_path,
        env={"PATH": "", "AZLOCAL_TEST_RECORD": str(tmp_path / "record.jsonl"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = {cost.test.rpartition("::")[2]: cost for cost in read_record(tmp_path / "record.jsonl")}
    outcomes = {name: cost.outcome for name, cost in found.items()}
    assert outcomes == {
        "test_first": "passed",
        "test_second[a]": "failed",
        "test_second[b]": "skipped",
        "test_third": "skipped",
    }, done.stdout
    assert "not run: test_second[a], an earlier step of this chain, failed" in found["test_third"].reason


def test_machines_are_counted_by_their_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    monkeypatch.setattr(recording, "OWN_LABS", {"test2"})
    mine = tmp_path / "cpuacct/machine.slice/lxc-7-e2e1-rb-0"
    lab = tmp_path / "cpuacct/azlocal-lab/test2"
    for group in (mine, lab, tmp_path / "cpuacct/machine.slice/lxc-8-e2e2-rb-0"):
        group.mkdir(parents=True)
    assert set(machine_groups(tmp_path)) == {mine, lab}
