"""Who gets an image from whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import Interrupted
from infra.kvm.spread import FROM_A_HOST_AT_ONCE, FROM_HERE_AT_ONCE, HERE, Spread, Spreads
from infra.model.work import Work
from tests.waiting import eventually, takes_less_than

HOSTS = [f"h{number}" for number in range(16)]


QUIET = Work()


def test_two_get_it_from_here_and_the_others_wait() -> None:
    spread = Spread()
    assert [spread.choose(host, HOSTS) for host in HOSTS[:4]] == [HERE, HERE, None, None]
    spread.release(HERE)
    spread.holders.add("h0")
    assert spread.choose("h2", HOSTS) == "h0"
    assert spread.choose("h3", HOSTS) == HERE


def test_a_host_that_knows_no_neighbours_gets_it_from_here() -> None:
    assert Spread(holders={"h1"}).choose("h0", []) == HERE


@given(st.integers(1, 16), st.randoms(use_true_random=False), st.sets(st.sampled_from(HOSTS), max_size=3))
def test_every_host_gets_it_and_no_source_is_flooded(count: int, random: object, before: set[str]) -> None:
    spread = Spread(holders=set(before))
    waiting = [host for host in HOSTS[:count] if host not in before]
    getting: list[tuple[str, str]] = []
    sent_from_here = 0
    while waiting or getting:
        for host in list(waiting):
            source = spread.choose(host, HOSTS)
            if source is not None:
                assert source == HERE or source in spread.holders
                assert source != host
                sent_from_here += source == HERE
                waiting.remove(host)
                getting.append((host, source))
        assert getting, "nobody waits while nothing is sent"
        assert spread.sending[HERE] <= FROM_HERE_AT_ONCE
        assert all(spread.sending[host] <= FROM_A_HOST_AT_ONCE for host in HOSTS)
        host, source = getting.pop(random.randrange(len(getting)))  # type: ignore[attr-defined]
        spread.release(source)
        if random.random() < 0.8:  # type: ignore[attr-defined]
            spread.holders.add(host)
        else:
            waiting.append(host)
    assert not +spread.sending


def test_sixteen_hosts_take_a_few_rounds() -> None:
    spread, waiting, rounds = Spread(), list(HOSTS), 0
    while waiting:
        rounds += 1
        given_now = [(host, source) for host in waiting if (source := spread.choose(host, HOSTS))]
        for host, source in given_now:
            spread.release(source)
            spread.holders.add(host)
            waiting.remove(host)
    assert rounds == 4  # 2, 2 + 2 + 2, 6 + 6 + 2 …


def test_a_waiting_host_is_served_when_another_has_it() -> None:
    spreads, chosen = Spreads(), {}

    def bring(host: str) -> None:
        with spreads.source("image", host, HOSTS, QUIET) as source:
            chosen[host] = source
            time.sleep(0.05)
            spreads.has("image", host, f"/{host}")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(bring, HOSTS))
    assert set(chosen) == set(HOSTS)
    assert list(chosen.values()).count(HERE) < 10
    assert spreads.path("image", "h3") == "/h3"


def test_a_source_is_free_again_when_its_receiver_fails() -> None:
    spreads = Spreads()
    for _ in range(5):
        with pytest.raises(RuntimeError), spreads.source("image", "h0", [], QUIET):
            raise RuntimeError
    with spreads.source("image", "h0", [], QUIET) as source:
        assert source == HERE


def test_waiting_ends_within_a_second_when_it_is_cancelled() -> None:
    spreads = Spreads()

    cancelled = threading.Event()
    cancelled.set()

    def wait() -> None:
        with pytest.raises(Interrupted), spreads.source("image", "h2", [], Work(cancelled=cancelled)):
            pass

    with spreads.source("image", "h0", [], QUIET), spreads.source("image", "h1", [], QUIET):
        assert takes_less_than(1, wait)


def test_each_host_is_asked_once_and_everybody_hears_the_answer() -> None:
    spreads, asked, answer = Spreads(), [], threading.Event()

    def path_on(host: str) -> str | None:
        asked.append(host)
        answer.wait(30)
        if host == "h2":
            raise OSError("doesn't answer")
        return "/there" if host == "h1" else None

    def bring(host: str) -> str:
        neighbours = [one for one in HOSTS[:4] if one != host]
        spreads.ask("image", neighbours, path_on, QUIET)
        with spreads.source("image", host, neighbours, QUIET) as source:
            return source

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(bring, "h0"), pool.submit(bring, "h3")
        time.sleep(0.3)
        assert not first.done()
        answer.set()
        assert "h1" in {first.result(30), second.result(30)}
    assert sorted(asked) == HOSTS[:4]


def test_a_host_that_lost_it_is_no_source() -> None:
    spreads = Spreads()
    spreads.has("image", "h1", "/there")
    spreads.lost("image", "h1")
    with spreads.source("image", "h0", ["h1"], QUIET) as source:
        assert source == HERE


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = threading.active_count()
    yield
    eventually(lambda: threading.active_count() <= before, "the end of every thread", seconds=20, every=0.01)
