"""What the benchmark of the API's gap says, and what its clients count as failed or lost."""

from __future__ import annotations

import pytest

from bench.api_gap import Case, Gap, percentile
from bench.load import Client, Clients, Load, Request, Watch


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


def test_a_gap_is_the_longest_time_without_an_answer() -> None:
    ends = [(0.0, ""), (0.1, ""), (0.2, "refused"), (0.9, "refused"), (1.3, ""), (1.4, "")]
    load = Load([Request(end - 0.01, end, fault) for end, fault in ends])
    assert load.gap == pytest.approx(1.2)
    assert load.slowest == pytest.approx(0.01)
    assert len(load.failed) == 2
    assert Load().gap == float("inf"), "nothing was answered at all"


def test_what_was_acknowledged_and_is_not_there_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client.__new__(Client)
    monkeypatch.setattr(client, "send", lambda *_: (200, {"items": [{"metadata": {"name": "r-1"}}]}))
    clients = Clients(client, "r", 50, 2)
    clients.load.acknowledged |= {"r-1", "r-3"}
    clients.load.watches = [Watch({"r-1", "r-3"}), Watch({"r-3"})]
    assert clients.lost() == {"r-3"}
    assert clients.untold() == {"r-1"}


def test_a_watch_is_silent_between_two_things_that_it_tells() -> None:
    watch = Watch()
    for name, now in (("r-1", 100.0), ("r-2", 100.1), ("r-3", 103.1), ("r-4", 103.2)):
        watch.tell(name, now)
    assert watch.silence == pytest.approx(3.0)
    assert watch.names == {"r-1", "r-2", "r-3", "r-4"}
