"""A deadline and a cancellation, as effects know them."""

from __future__ import annotations

import threading

import pytest

from infra.errors import DeadlineExceeded, Interrupted
from infra.model.work import Work
from tests.waiting import waits_less_than


def test_a_step_never_has_more_time_than_the_whole() -> None:
    assert Work().remaining == float("inf")
    work = Work().within(60)
    assert 50 < work.remaining <= 60
    assert work.within(600).deadline == work.deadline
    assert work.within(1).remaining <= 1
    assert work.within(1).cancelled is work.cancelled


def test_a_step_that_must_not_be_cut_short_has_its_own_time_and_the_same_cancellation() -> None:
    work = Work().within(0)
    step = work.with_own_limit(60)
    assert 50 < step.remaining <= 60
    assert step.cancelled is work.cancelled


def test_the_end_of_the_time_is_for_who_checks_and_not_for_who_waits() -> None:
    work = Work().within(0)
    with waits_less_than(60):
        work.wait(600, "waiting")
    with pytest.raises(
        DeadlineExceeded, match=r"^waiting: the time for it is over; the next run goes on from here$"
    ):
        work.check("waiting")


def test_a_cancellation_ends_a_wait_and_comes_before_the_deadline() -> None:
    cancelled = threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    with waits_less_than(60), pytest.raises(Interrupted, match=r"^stopped on request: waiting;"):
        Work(cancelled=cancelled).wait(600, "waiting")
    with pytest.raises(Interrupted):
        Work(0, cancelled).check("waiting")
