"""What `make test` makes of tiers that pass, fail, hang or can't run here."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from scripts import tiers
from scripts.tiers import Result, Tier

REPORT = '<testsuites><testsuite tests="7" errors="1" failures="2" skipped="1"/></testsuites>'


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_counts_come_from_the_report(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    result = tiers.count(Tier("unit", 1), report)
    assert (result.passed, result.failed, result.skipped) == (3, 3, 1)


def test_a_pytest_that_died_before_its_report_counts_nothing(tmp_path: Path) -> None:
    result = tiers.count(Tier("unit", 1), tmp_path / "missing.xml")
    assert (result.passed, result.failed, result.skipped) == (0, 0, 0)


@pytest.mark.parametrize(("asked_for", "outcome"), [(False, "skipped"), (True, "FAILED")])
def test_a_tier_that_cannot_run_here_fails_only_if_asked_for(
    console: Console, asked_for: bool, outcome: str
) -> None:
    tier = Tier("vm", 1, needs=(lambda: None, lambda: "needs an x86_64 machine"))
    (result,) = tiers.run_all([tier], console, asked_for=asked_for)
    assert (result.outcome, result.reason) == (outcome, "needs an x86_64 machine")


def test_a_failed_preparation_fails_its_tier_and_not_the_next(console: Console) -> None:
    broken = Tier("e2e", 1, preparations=(("false",),))
    unable = Tier("vm", 1, needs=(lambda: "not here",))
    first, second = tiers.run_all([broken, unable], console, asked_for=False)
    assert (first.outcome, first.reason) == ("FAILED", "its preparation failed: false")
    assert second.outcome == "skipped"


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
