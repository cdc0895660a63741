"""`kill -9` at every point of `up`, each time from what the run before was killed at: the last one finishes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from tests.e2e.killing import POINTS, kill_at, named
from tests.emptiness import leftovers
from tests.instance import INSTANCE, MakeProject, on, power_off, virsh
from tests.project import Project

pytestmark = pytest.mark.e2e

RB = f"{INSTANCE}-rb-0"
POOL = f"azlocal-{INSTANCE}"
LIBVIRT_STEPS = ("after createXMLFrom", "after defineXML", "after create")
WHOLE = Counter(Host=1, Network=2, Image=1, Machine=1)


@pytest.mark.parametrize("victim", ["plugin", "engine"])
def test_each_up_goes_on_where_the_one_before_was_killed(make_project: MakeProject, victim: str) -> None:
    project = make_project()
    points = POINTS if victim == "plugin" else POINTS[::2]
    for before, point in pairwise(["nowhere", *points]):
        with named(f"the {victim} was killed {before}, and the next one {point}"):
            take_away(project, point)
            kill_at(project, point, victim)
            project.settle().expect()
            # It has got past what the run before was killed at: state has all that comes before its own point.
            assert project.kinds() >= needed(kind_of(point))
            assert machines() <= {RB}
    with named(f"the {victim} was killed {points[-1]}"):
        project.up().expect()
        project.refresh("--expect-no-changes").expect()
        assert machines() == {RB}
        assert on(project, RB, "hostname") == RB
        project.destroy().expect()
        assert leftovers(INSTANCE) == []


def kind_of(point: str) -> str:
    """Return the kind of object that is made when `up` gets to a point."""
    word = point.split()[-1]
    return {"place": "Image"}.get(word, word if word in WHOLE else "Machine")


def needed(kind: str) -> Counter[str]:
    """Return what has to stand before an object of the kind is made."""
    if kind == "Machine":
        return WHOLE - Counter(Machine=1)
    return Counter() if kind == "Host" else Counter(Host=1)


def take_away(project: Project, point: str) -> None:
    """Remove what an earlier run made beyond its own point, where the next point would not be reached for that.

    A plugin whose engine is gone ends what it is at, and another copies the image while it makes the networks.
    """
    kind = kind_of(point)
    if project.kinds()[kind] == WHOLE[kind]:
        project.destroy("--target", f"**azlocal:index:{kind}::**").expect()
    elif point == "after place":
        for line in virsh("vol-list", POOL, uri="qemu:///system").splitlines():
            virsh("vol-delete", line.split()[0], POOL, uri="qemu:///system")
    elif point in LIBVIRT_STEPS and RB in virsh("list", "--name").split():
        power_off(RB)
        virsh("undefine", RB)


def machines() -> set[str]:
    names = virsh("list", "--all", "--name").split()
    return {name for name in names if name.startswith(INSTANCE)}
