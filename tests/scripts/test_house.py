"""docs/architecture.md and its picture show the code as it is."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from lxml import etree

from scripts import house

ROOMS = {"cli": frozenset({"plan", "spec"}), "plan": frozenset({"spec"}), "spec": frozenset[str]()}
REDO = "run `make house`"


def test_the_picture_shows_the_imports() -> None:
    rooms = house.imports()
    paths = etree.fromstring(house.PICTURE.read_bytes()).findall(".//{*}path[@data-from]")
    assert {(one.get("data-from"), one.get("data-to")) for one in paths} == set(house.arrows(rooms)), REDO
    assert house.PICTURE.read_text() == house.draw(rooms), REDO
    text = house.TEXT.read_text()
    assert text == house.with_rooms(text, rooms), REDO


def test_no_room_stands_in_another() -> None:
    boxes = [
        [float(one.get(name, "")) for name in ("x", "y", "width")]
        for one in etree.fromstring(house.PICTURE.read_bytes()).findall(".//{*}rect")
    ]
    for (x, y, width), (other_x, other_y, other_width) in combinations(boxes, 2):
        assert y != other_y or x + width < other_x or other_x + other_width < x
    assert min(x for x, *_ in boxes) >= 0


def test_the_walks_go_through_what_there_is() -> None:
    named = re.findall(r"`(infra/[\w/]+\.py):(\w+)`", house.TEXT.read_text())
    assert len(named) > 20
    gone = [
        f"{path}:{name}"
        for path, name in named
        if not (house.ROOT / path).is_file()
        or not re.search(rf"^(?:def|class) {name}\b|^{name}\b.* = ", (house.ROOT / path).read_text(), re.MULTILINE)
    ]
    assert gone == []


def test_each_room_stands_above_what_it_imports_and_circles_are_refused() -> None:
    assert house.floors(ROOMS) == [["spec"], ["plan"], ["cli"]]
    assert list(house.arrows(ROOMS)) == [("cli", "plan"), ("plan", "spec")]
    with pytest.raises(ValueError, match="in a circle: cli, plan"):
        house.floors({**ROOMS, "plan": frozenset({"cli"})})
