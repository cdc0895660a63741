"""`kill -9` at every point of `up`, each time from what the run before was killed at: the last one finishes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.e2e.killing import POINTS, kill_at, named
from tests.instance import INSTANCE, MakeProject, on, virsh
from tests.leftovers import leftovers

pytestmark = pytest.mark.e2e

RB = f"{INSTANCE}-rb-0"


@pytest.mark.parametrize("victim", ["plugin", "engine"])
def test_each_up_goes_on_where_the_one_before_was_killed(make_project: MakeProject, victim: str) -> None:
    project = make_project()
    points = POINTS if victim == "plugin" else POINTS[::2]
    for before, point in pairwise(["nowhere", *points]):
        with named(f"the {victim} was killed {before}, and the next one {point}"):
            kill_at(project, point, victim)
            project.settle().expect()
            # It has got past what the run before was killed at: state has all that comes before its own point.
            assert project.kinds() >= needed(point)
            assert machines() <= {RB}
    with named(f"the {victim} was killed {points[-1]}"):
        project.up().expect()
        project.refresh("--expect-no-changes").expect()
        assert machines() == {RB}
        assert on(project, RB, "hostname") == RB
        project.destroy().expect()
        assert leftovers(INSTANCE) == []


def needed(point: str) -> set[str]:
    """Return the kinds that stand before `up` gets to a point."""
    done = {"Host": set[str](), "Network": {"Host"}, "Image": {"Host"}, "place": {"Host"}}
    return done.get(point.split()[-1], {"Host", "Network", "Image"})


def machines() -> set[str]:
    names = virsh("list", "--all", "--name").split()
    return {name for name in names if name.startswith(INSTANCE)}
