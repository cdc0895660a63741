"""A connection that many share."""

from __future__ import annotations

import pytest

from infra.ssh import Shared


class Line:
    def __init__(self) -> None:
        self.stands = True
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def opened() -> list[Line]:
    return []


@pytest.fixture
def shared(opened: list[Line]) -> Shared[Line]:
    def dial() -> Line:
        opened.append(Line())
        return opened[-1]

    return Shared(dial, lambda line: line.stands, Line.close)


def test_one_is_opened_for_all_until_it_breaks(shared: Shared[Line], opened: list[Line]) -> None:
    first = shared.get()
    assert shared.get() is first
    first.stands = False
    assert shared.get() is not first
    assert [line.closed for line in opened] == [1, 0]


def test_what_is_forgotten_is_closed_and_opened_anew(shared: Shared[Line], opened: list[Line]) -> None:
    shared.forget()
    first = shared.get()
    shared.forget()
    shared.forget()
    assert first.closed == 1
    assert shared.get() is opened[1]
