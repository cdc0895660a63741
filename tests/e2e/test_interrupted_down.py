"""`kill -9` during `up`, and then a destroy at once: nothing is left of what the killed run had begun."""

from __future__ import annotations

import pytest

from tests.e2e.killing import POINTS, kill_at
from tests.instance import INSTANCE, MakeProject
from tests.leftovers import leftovers

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("victim", ["plugin", "engine"])
def test_destroy_right_after_a_kill_leaves_nothing(make_project: MakeProject, victim: str) -> None:
    project = make_project()
    for point in POINTS[1::2]:
        kill_at(project, point, victim)
        project.settle("--before-destroy").expect()
        project.destroy().expect()
        assert leftovers(INSTANCE) == [], point
