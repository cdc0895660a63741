"""`kill -9` during `up`, and then a destroy at once: nothing is left of what the killed run had begun."""

from __future__ import annotations

from itertools import cycle

import pytest

from tests.e2e.killing import POINTS, kill_at, named
from tests.emptiness import leftovers
from tests.instance import INSTANCE, MakeProject

pytestmark = pytest.mark.e2e


def test_destroy_right_after_a_kill_leaves_nothing(make_project: MakeProject) -> None:
    project = make_project()
    for point, victim in zip(POINTS[1::2], cycle(["plugin", "engine"])):
        with named(f"the {victim} was killed {point}"):
            kill_at(project, point, victim)
            project.settle("--before-destroy").expect()
            project.destroy().expect()
            assert leftovers(INSTANCE) == []
