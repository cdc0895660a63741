"""`kill -9` at every point of `up`: the next `up` finishes, with no duplicate and no orphan."""

from __future__ import annotations

import pytest

from tests.e2e.killing import POINTS, kill_at
from tests.instance import INSTANCE, MakeProject, virsh
from tests.leftovers import leftovers

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("victim", ["plugin", "engine"])
def test_the_next_up_finishes_after_a_kill_at_any_point(make_project: MakeProject, victim: str) -> None:
    project = make_project()
    for point in POINTS if victim == "plugin" else POINTS[::2]:
        kill_at(project, point, victim)
        project.up().expect()
        project.refresh("--expect-no-changes").expect()
        assert machines() == {f"{INSTANCE}-rb-0"}, point
        project.destroy().expect()
        assert leftovers(INSTANCE) == [], point


def machines() -> set[str]:
    names = virsh("list", "--all", "--name").split()
    return {name for name in names if name.startswith(INSTANCE)}
