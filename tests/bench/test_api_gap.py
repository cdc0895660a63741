"""What the benchmark of the API's gap says."""

from __future__ import annotations

import pytest

from bench.api_gap import Case, Gap, percentile


def gap(seconds: float, failed: int = 0, lost: int = 0, untold: int = 0) -> Gap:
    return Gap(
        seconds, 2 * seconds, failed, 400, lost, untold, seconds, ("ConnectionRefusedError: refused",) * failed
    )


def test_ninety_five_of_a_hundred_runs_count() -> None:
    runs = [0.1] * 18 + [0.9, 5.0]
    assert (percentile(runs, 50), percentile(runs, 95), percentile([7], 95)) == (0.1, 0.9, 7)


@pytest.mark.parametrize(
    ("gaps", "holds"),
    [
        ([gap(0.9, 20)] * 20, True),
        ([gap(0.9)] * 18 + [gap(1.1)] * 2, False),
        ([gap(0.1)] * 19 + [gap(0.1, lost=1)], False),
        ([gap(0.1)] * 19 + [gap(0.1, untold=1)], False),
    ],
)
def test_a_promise_in_seconds_allows_failed_requests_and_no_lost_write(gaps: list[Gap], holds: bool) -> None:
    case = Case("killed", gaps, most_seconds=1.0)
    assert case.holds is holds
    assert ("IS MISSED" in str(case)) is not holds


def test_a_planned_hand_over_may_take_its_time_and_fail_nothing() -> None:
    assert Case("planned", [gap(3.0)] * 3, most_failed=0).holds
    missed = Case("planned", [gap(0.1), gap(0.1, failed=2)], most_failed=0)
    assert not missed.holds
    assert "2 x ConnectionRefusedError: refused" in str(missed)
