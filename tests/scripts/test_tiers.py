"""What `make test` makes of tiers that pass, fail, hang or can't run here."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from rich.console import Console

from scripts import tiers
from scripts.tiers import Result, Run, Step, Tier
from tests import full_run
from tests.project import ROOT
from tests.recording import Cost, read_record
from tests.waiting import eventually

RUN = Run(tiers.Deadline(inf))
RECORD = [
    Cost("tests/a.py::one", "e2e", "passed", 2.0, 3.0),
    Cost("tests/a.py::two", "e2e", "failed", 1.0, 0.5),
    Cost("tests/a.py::three", "e2e", "skipped", 0.0, 0.0, "Skipped: not run: two failed"),
    Cost("tests/b.py::four", "vm", "passed", 60.0, 50.0),
]


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_each_tier_of_a_run_is_counted_on_its_own() -> None:
    result = tiers.count("e2e", RECORD)
    assert (result.passed, result.failed, result.skipped, result.cpu_seconds) == (1, 1, 1, 3.5)
    assert result.reason == "1 skipped: not run: two failed"
    assert tiers.count("vm", RECORD).passed == 1
    assert tiers.count("vm", RECORD).reason == ""


def test_a_pytest_that_died_before_its_first_test_counts_nothing(tmp_path: Path) -> None:
    result = tiers.count("unit", read_record(tmp_path / "missing.jsonl"))
    assert (result.passed, result.failed, result.skipped) == (0, 0, 0)


@pytest.mark.parametrize(
    ("result", "code", "reason"),
    [
        (Result("e2e", "passed", passed=3, failed=1), 1, ""),
        (Result("e2e", "passed", passed=3), None, "stopped after its limit of 75 minutes"),
        (Result("e2e", "passed", passed=3), 3, "pytest exited 3, see above"),
        (
            Result("e2e", "passed", skipped=7, reason="7 skipped: why"),
            0,
            "none of its 7 tests ran: 7 skipped: why",
        ),
        (Result("e2e", "passed", passed=3, cpu_seconds=121), 0, "took 121 s of processor time, budget 100 s"),
    ],
)
def test_a_tier_fails_by_its_tests_its_end_or_its_cost(result: Result, code: int | None, reason: str) -> None:
    tiers.judge(result, code, 75, {"e2e": 100})
    assert result.outcome == "FAILED"
    assert result.reason.startswith(reason)


@pytest.mark.parametrize(("complete", "outcome"), [(False, "passed"), (True, "FAILED")])
def test_a_skipped_test_fails_its_tier_only_where_all_have_to_run(complete: bool, outcome: str) -> None:
    result = Result("lab", "passed", passed=50, skipped=1, reason="1 skipped: no image")
    tiers.judge(result, 0, 75, {}, complete=complete)
    assert (result.outcome, result.reason) == (outcome, "1 skipped: no image")


PASSES, SKIPS = "def test_it(): pass\n", "import pytest\ndef test_it(): pytest.skip('no image')\n"


@pytest.mark.parametrize(
    ("files", "complete", "outcome", "reason"),
    [
        ([PASSES], True, "passed", ""),
        ([PASSES, SKIPS], False, "passed", "1 skipped: no image"),
        ([PASSES, SKIPS], True, "FAILED", "1 skipped: no image"),
        ([SKIPS], False, "FAILED", "none of its 1 tests ran: 1 skipped: no image"),
        ([PASSES, "import nothing_of_that_name\n"], False, "FAILED", "pytest failed outside of tests, see above"),
        ([""], False, "FAILED", "pytest exited 5, see above"),
    ],
)
def test_what_pytest_itself_calls_a_success_is_looked_at(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: list[str],
    complete: bool,
    outcome: str,
    reason: str,
) -> None:
    monkeypatch.setattr(tiers, "RECORDS", tmp_path / "records")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    for number, content in enumerate(files):
        (tmp_path / f"test_file{number}.py").write_text(content)
    # Files elsewhere, with this checkout's settings and its conftest.py.
    ours = ("--config-file", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-p", "no:cacheprovider")
    run = replace(RUN, complete=complete, pytest_flags=(*ours, str(tmp_path)))
    (result,) = tiers.run_pytest([Tier("unit")], 1, 1, run)
    assert (result.outcome, result.reason) == (outcome, reason)


def test_a_tier_passes_although_another_one_in_its_queue_failed() -> None:
    result = Result("e2e", "passed", passed=3, cpu_seconds=119)
    tiers.judge(result, tiers.PYTEST_SAYS_TESTS_FAILED, 75, {"e2e": 100})
    assert result.outcome == "passed"


@pytest.mark.parametrize(("required", "outcome"), [(False, "skipped"), (True, "FAILED")])
def test_a_tier_that_cannot_run_here_fails_only_where_it_is_required(
    console: Console, required: bool, outcome: str
) -> None:
    tier = Tier("vm", needs=(lambda: None, lambda: "needs an x86_64 machine"))
    (result,) = tiers.run_all([Step((tier,), 1)], console, replace(RUN, required=required))
    assert (result.outcome, result.reason) == (outcome, "needs an x86_64 machine")


def test_a_failed_preparation_fails_its_tier_and_not_the_next(console: Console) -> None:
    broken = Tier("e2e", preparations=(("false",),))
    unable = Tier("vm", needs=(lambda: "not here",))
    able = Tier("lint", command=("true",))
    results = {result.tier: result for result in tiers.run_all([Step((broken, unable, able), 1)], console, RUN)}
    assert results["e2e"].outcome == "FAILED"
    assert results["e2e"].reason == "its preparation failed: false"
    assert results["vm"].outcome == "skipped"
    assert results["lint"].outcome == "passed"


def test_what_is_left_when_the_time_is_over_is_stopped(console: Console) -> None:
    steps = [Step((Tier("lint", command=("sleep", "60")),), 5)]
    (result,) = tiers.run_all(steps, console, Run(tiers.Deadline(0.002)))
    assert (result.outcome, result.reason) == ("FAILED", "stopped after its limit of 0 minutes")


@pytest.mark.parametrize(("full", "outcome"), [(False, "FAILED"), (True, "passed")])
def test_tests_marked_full_have_more_time(console: Console, full: bool, outcome: str) -> None:
    step = Step((Tier("lint", command=("true",)),), 0, full_minutes=1)
    (result,) = tiers.run_all([step], console, replace(RUN, full=full))
    assert result.outcome == outcome


def test_what_is_not_begun_when_the_time_is_over_is_not_begun_any_more(console: Console, tmp_path: Path) -> None:
    begun = ("touch", str(tmp_path / "begun"))
    steps = [Step((Tier("lint", command=begun),), 5), Step((Tier("e2e", preparations=(begun,)), Tier("vm")), 5)]
    results = list(tiers.run_all(steps, console, Run(tiers.Deadline(0))))
    assert [(result.tier, result.outcome) for result in results] == [
        ("lint", "FAILED"),
        ("e2e", "FAILED"),
        ("vm", "FAILED"),
    ]
    assert {result.reason for result in results} == {"not run: the time for all tiers was over"}
    assert not (tmp_path / "begun").exists()


def test_the_deadline_is_a_time_on_the_clock() -> None:
    """Whatever came before the tests, setting the machine up, has its part of it."""
    assert tiers.minutes_until(None) == tiers.minutes_until("") == inf
    assert 4.9 < tiers.minutes_until(str(int(time.time()) + 300)) <= 5
    assert tiers.minutes_until(str(int(time.time()) - 300)) < -4.9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_prints_its_table_all_the_same(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import signal, sys; from scripts import tiers;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "tiers.STEPS = (tiers.Step((tiers.Tier('lint', command=('true',)),), 1),"
        " tiers.Step((tiers.Tier('vm', command=('sh', '-c', 'touch $0; exec sleep 60', sys.argv[1])),), 1));"
        "sys.exit(tiers.main([]))"
    )
    begun = tmp_path / "begun"
    argv, wide = [sys.executable, "-c", code, str(begun)], {**os.environ, "COLUMNS": "200"}
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=wide) as run:
        eventually(begun.exists, "the second tier", 30)
        run.send_signal(number)
        said, _ = run.communicate(timeout=30)
    rows = {cells[1].strip(): cells for cells in (line.split("│") for line in said.splitlines()) if len(cells) > 3}
    assert rows["lint"][2].strip() == "passed"
    assert rows["vm"][2].strip() == "FAILED"
    assert "vm: interrupted" in said.splitlines()
    assert run.returncode != 0


def test_a_command_that_hangs_is_interrupted() -> None:
    assert tiers.run_limited(["sleep", "60"], limit_minutes=0.002) is None


def test_a_missing_command_is_named() -> None:
    assert tiers.needs_command("sh")() is None
    assert "no-such-command" in (tiers.needs_command("no-such-command")() or "")


def test_the_last_line_has_the_sums(console: Console) -> None:
    results = [Result("unit", "passed", passed=10, skipped=1), Result("e2e", "FAILED", passed=2, failed=3)]
    tiers.show(results, console)
    assert printed(console).splitlines()[-1] == "total: 12 passed, 3 failed, 1 skipped"


def test_an_unknown_tier_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert tiers.main(["e3e"]) == 2
    assert "no such tier: e3e" in capsys.readouterr().out


@pytest.fixture
def tests_of_a_project(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        mark = "" if name == "c" else "pytestmark = pytest.mark.full\n"
        (tmp_path / f"tests/test_{name}.py").parent.mkdir(exist_ok=True)
        (tmp_path / f"tests/test_{name}.py").write_text(mark)
    return tmp_path / "tests"


def cost(test: str, outcome: str = "passed", *, full: bool = True) -> Cost:
    return Cost(test, "e2e", outcome, 1.0, 1.0, full=full)


def test_each_file_of_full_tests_is_noted_once_it_has_passed_whole(tests_of_a_project: Path) -> None:
    path = tests_of_a_project / "full_run.json"
    never = "never passed: tests/test_a.py, tests/test_b.py (make test FULL=1)"
    assert full_run.told(path, tests_of_a_project) == never
    record = [
        cost("tests/test_a.py::one"),
        cost("tests/test_b.py::one"),
        cost("tests/test_a.py::two", full=False),
        cost("tests/test_b.py::two", "skipped"),
        cost("tests/test_c.py::one", full=False),
    ]
    full_run.write(record, ["-k", "one"], path)
    assert not path.exists(), "a part of a file's tests says nothing of the file"
    full_run.write(record, ["tests/test_a.py"], path)
    written = json.loads(path.read_text())
    assert {file: entry["passed"] for file, entry in written.items()} == {"tests/test_a.py": 2}
    date = written["tests/test_a.py"]["date"]
    said = f"tests marked full: 1 file passed, the first of them on {date}; never passed: tests/test_b.py"
    assert full_run.told(path, tests_of_a_project) == f"{said} (make test FULL=1)"
    full_run.write([cost("tests/test_b.py::one")], (), path)
    assert set(json.loads(path.read_text())) == {"tests/test_a.py", "tests/test_b.py"}
