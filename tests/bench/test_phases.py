"""What a recording tells: phases by time, processors by /proc/stat, and the picture of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from bench.phases import Phase, Recording, busy_seconds, recorded, table
from bench.picture import PUBLISHED, Bar, picture
from tests.waiting import eventually


def created(kind: str, op: str = "create") -> dict[str, Any]:
    return {"resOutputsEvent": {"metadata": {"op": op, "type": kind}}}


def test_idling_and_waiting_for_a_disk_are_no_work() -> None:
    assert busy_seconds("cpu  100 20 30 999 888 4 6 0 0 0\ncpu0 1 1 1 1 1 1 1") == pytest.approx(1.6)


def test_phases_follow_time_and_not_the_order_they_are_asked_for_in() -> None:
    seen = Recording(started=10, ended=20, busy=[(10, 5), (12, 8), (15, 9), (20, 19)])
    assert seen.phases([("late", 20), ("early", 12), ("never", None), ("between", 15)]) == [
        Phase("early", 2, 3),
        Phase("between", 3, 1),
        Phase("late", 5, 10),
    ]


def test_a_kind_is_made_when_the_last_of_it_is() -> None:
    seen = Recording(events=[(1, created("a")), (2, created("b")), (3, created("a")), (4, created("a", "same"))])
    assert seen.made("a") == 3
    assert seen.made("c") is None
    assert seen.resources() == 3


def test_events_are_taken_whole_while_they_are_written(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with recorded(log) as seen:
        text = json.dumps(created("a")) + "\n" + json.dumps(created("b"))
        log.write_text(text)
        eventually(lambda: seen.events, "the first event", 10, every=0.01)
        assert seen.resources() == 1  # half of the second is no event yet
        with log.open("a") as file:
            file.write("\n")
    assert seen.resources() == 2
    assert seen.cpu_until(seen.ended) >= 0


def test_a_table_counts_up() -> None:
    lines = table([Phase("first", 2, 2), Phase("second", 3, 0)]).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["2.0", "5.0"]
    assert lines[2].endswith("second")


def test_the_picture_is_to_scale_and_says_everything_in_words() -> None:
    bars = [Bar("ours & more", [("one", 10.0), ("two", 20.0)], "here"), *PUBLISHED]
    root = etree.fromstring(picture(bars, "title"))
    names = {"s": "http://www.w3.org/2000/svg"}
    boxes = root.findall("s:rect[s:title]", names)
    assert len(boxes) == 2 + 9
    first, second = (float(box.get("width", "0")) for box in boxes[:2])
    assert second == pytest.approx(2 * first, rel=0.01)
    text = etree.tostring(root, method="text", encoding="unicode")
    for word in ("ours & more", "one 10.0, two 20.0", "33 s", "no MetalLB"):
        assert word in text
