"""What a drill's times and counts are, from what clients and looks saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from infra.kubernetes.load import Load, Request, Watch
from infra.stack.drills.decision import Break
from infra.stack.drills.healing import Healing, Restored
from infra.stack.drills.health import Look, back_at
from infra.stack.drills.outcome import Course, Outcome

CHOSEN: Final = Break("kill-api-server", "a", ("lab-a-cp-0",), "", "it is killed", "it comes back")
BROKE, HEALING, HEALED, END = 100.0, 110.0, 130.0, 140.0


def load(*away: tuple[float, float]) -> Load:
    """Return ten reads and ten writes a second, which fail while the API is away; writes come back 1 s later."""
    noted = Load(watches=[Watch(silence=1.5)])
    moments = [97 + number / 10 for number in range(int(10 * (END - 97)))]
    for at in moments:
        for writes in (False, True):
            gone = any(since < at < until + writes for since, until in away)
            noted.requests.append(Request(at, at, "refused" if gone else "", writes))
    noted.acknowledged = {str(number) for number in range(50)}
    return noted


def looks(*states: tuple[float, bool, str]) -> list[Look]:
    return [Look(at, ready, (lacks,) if lacks else ()) for at, ready, lacks in states]


HEALTHY: Final = looks((101, True, ""), (139, True, ""))


def outcome(
    seen: Load, looked: list[Look] = HEALTHY, *, code: int = 0, lost: frozenset[str] | None = frozenset()
) -> Outcome:
    healing = Healing(HEALING, HEALED, code, "it failed" if code else "")
    return Outcome.of(CHOSEN, Course(BROKE, healing, seen, looked, lost, frozenset()))


@pytest.mark.parametrize(
    ("away", "reachable", "gap"),
    [
        ([], 0.0, 0.1),
        ([(100.05, 101.95)], 2.0, 2.0),
        ([(100.05, 101.95), (120.05, 123.95)], 2.0, 4.0),  # what `up` costs is no part of the break's
        ([(104.05, 115.95)], 16.0, 12.0),
    ],
)
def test_until_the_api_was_reachable_and_its_longest_gap(
    away: list[tuple[float, float]], reachable: float, gap: float
) -> None:
    result = outcome(load(*away))
    assert result.reachable == pytest.approx(reachable)
    assert result.read_gap == pytest.approx(gap)
    assert result.write_gap == pytest.approx(gap + bool(away))
    assert result.up == HEALED - HEALING
    assert result.ok


def test_an_api_that_only_up_brings_back_is_reachable_after_its_last_absence() -> None:
    seen = load((100.05, 101.95), (111.05, 120.95))
    course = Course(BROKE, Healing(HEALING, HEALED, 0), seen, HEALTHY, frozenset(), frozenset())
    assert Outcome.of(CHOSEN, course).reachable == pytest.approx(2.0)
    ended = replace(CHOSEN, drill="expire-certificates")
    assert Outcome.of(ended, course).reachable == pytest.approx(21.0)


def test_after_a_restore_the_api_is_reachable_and_what_the_snapshot_lacks_is_not_lost() -> None:
    seen = load((100.05, 118.95), (122.05, 123.95))
    seen.undone = {"1", "2"}
    healing = Healing(HEALING, HEALED, 0, restored=Restored(refused=112.0, ended=120.0))
    result = Outcome.of(
        replace(CHOSEN, drill="lose-quorum", snapshot="lab-a-20261130T081500Z"),
        Course(BROKE, healing, seen, HEALTHY, frozenset(), frozenset()),
    )
    assert result.ok
    assert result.reachable == pytest.approx(19.0), "what the second `up` costs is no part of it"
    rows = dict(result.rows())
    assert rows["acknowledged writes lost"] == "0 of 50"
    assert rows["acknowledged writes that the snapshot doesn't have"] == "2"
    assert rows["azlocal up named the restore after"] == "2.0 s"
    assert rows["azlocal restore took"] == "8.0 s"
    assert rows["azlocal up took"] == "10.0 s"
    content = result.to_json("lab")
    assert content["writes"]["undoneByRestore"] == 2
    assert (content["seconds"]["refused"], content["seconds"]["restore"]) == (2.0, 8.0)


def test_an_api_that_never_comes_back_is_no_success() -> None:
    result = outcome(load((100.05, END + 1)), looks((101, False, "no answer")), lost=None)
    assert (result.reachable, result.nodes_ready, result.healthy, result.lost) == (None, None, None, None)
    assert not result.ok
    assert dict(result.rows())["until the API was reachable again"] == "it never was"
    assert dict(result.rows())["acknowledged writes lost"] == "unknown: the API doesn't answer of 50"
    assert list(result.faults()) == ["the cluster still lacks: no answer"]


def test_ready_and_healthy_count_from_when_they_stay_so() -> None:
    looked = looks(
        *((101, True, ""), (102, False, "node"), (112, True, "pod"), (115, False, "node")),
        *((125, True, "pod"), (131, True, ""), (132, True, "")),
    )
    result = outcome(load(), looked)
    assert (result.nodes_ready, result.healthy) == (25.0, 31.0)
    assert back_at(looked[:4], lambda seen: seen.ready) is None
    assert back_at([], lambda seen: seen.ready) is None
    assert (outcome(load()).nodes_ready, outcome(load()).healthy) == (0.0, 0.0), "nobody missed anything"


def test_a_lost_write_or_a_failed_up_is_no_success() -> None:
    lost = outcome(load(), lost=frozenset({"7"}))
    assert not lost.ok
    assert list(lost.faults()) == ["1 acknowledged write lost: etcd or the API server broke its word"]
    failed = outcome(load(), code=255)
    assert not failed.ok
    assert list(failed.faults()) == ["it failed"]
    missed = replace(outcome(load()), untold=2)
    assert not missed.ok
    assert list(missed.faults()) == ["a watch missed 2 acknowledged writes"]


def test_the_result_for_scripts() -> None:
    content = outcome(load((100.05, 101.95))).to_json("lab")
    assert content["ok"] is True
    assert content["seconds"] == {
        "apiReachable": 2.0,
        "readGap": 2.0,
        "writeGap": 3.0,
        "watchSilence": 1.5,
        "nodesReady": 0.0,
        "healthy": 0.0,
        "up": 20.0,
    }
    assert content["writes"] == {"acknowledged": 50, "lost": 0, "missedByWatch": 0}
    assert (content["machines"], content["host"], content["faults"]) == (["lab-a-cp-0"], None, [])
