"""By which versions a cluster goes to a later one, in one run after the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.lifecycle.versions import KUBELET_SKEW, minor, order, passed, stages
from infra.model.versions import NodeVersions, Stage

BUILDS = {version: version for version in ("1.30.14", "1.31.13", "1.32.9", "1.33.2", "1.33.5", "1.34.4", "1.35.4")}


def way(planes: str, workers: str, wanted: str) -> list[tuple[str, str]]:
    """Return what control planes and workers have after each run."""
    runs = stages({"a": NodeVersions(planes, workers)}, {"a": wanted}, BUILDS)
    return [(stage["a"].planes, stage["a"].workers) for stage in runs]


@pytest.mark.parametrize(
    ("standing", "wanted", "passed"),
    [
        (("1.34.4", "1.34.4"), "1.34.4", [("1.34.4", "1.34.4")]),
        (("1.33.5", "1.33.5"), "1.34.4", [("1.34.4", "1.34.4")]),
        # Workers skip a minor, and the newest patch of it is passed.
        (("1.32.9", "1.32.9"), "1.34.4", [("1.33.5", "1.32.9"), ("1.34.4", "1.34.4")]),
        # A kubelet is three minors older than the API server at most.
        (
            ("1.30.14", "1.30.14"),
            "1.35.4",
            [
                ("1.31.13", "1.30.14"),
                ("1.32.9", "1.30.14"),
                ("1.33.5", "1.33.5"),
                ("1.34.4", "1.33.5"),
                ("1.35.4", "1.35.4"),
            ],
        ),
        # Killed on the way.
        (("1.33.5", "1.32.9"), "1.34.4", [("1.34.4", "1.34.4")]),
        (("1.33.5", "1.30.14"), "1.34.4", [("1.33.5", "1.33.5"), ("1.34.4", "1.34.4")]),
        # No way: the run itself refuses it.
        (("1.34.4", "1.34.4"), "1.33.5", [("1.33.5", "1.33.5")]),
        (("1.28.9", "1.28.9"), "1.31.13", [("1.31.13", "1.31.13")]),
    ],
)
def test_control_planes_pass_every_minor_and_workers_those_they_must(
    standing: tuple[str, str], wanted: str, passed: list[tuple[str, str]]
) -> None:
    assert way(*standing, wanted) == passed


def test_a_cluster_that_is_new_or_there_already_waits_for_the_others_at_its_own_version() -> None:
    first, last = stages({"a": NodeVersions("1.32.9", "1.32.9")}, {"a": "1.34.4", "b": "1.34.4"}, BUILDS)
    assert first == {"a": NodeVersions("1.33.5", "1.32.9"), "b": NodeVersions("1.34.4", "1.34.4")}
    assert last == dict.fromkeys("ab", NodeVersions("1.34.4", "1.34.4"))


versions = st.sampled_from(sorted(BUILDS, key=order))


@given(first=versions, last=versions, behind=st.integers(0, KUBELET_SKEW))
def test_no_step_skips_a_minor_or_leaves_a_kubelet_too_old(first: str, last: str, behind: int) -> None:
    first, last = sorted((first, last), key=order)
    older = [v for v in BUILDS if minor(first) - behind <= minor(v) <= minor(first) and order(v) <= order(first)]
    standing = NodeVersions(first, min(older, key=order))
    stage: Stage
    for stage in stages({"a": standing}, {"a": last}, BUILDS):
        reached = stage["a"]
        assert minor(reached.planes) - minor(standing.planes) <= 1
        # Its control planes go first: workers have the version of before when these have the new one.
        assert minor(reached.planes) - minor(standing.workers) <= KUBELET_SKEW
        assert order(reached.workers) <= order(reached.planes)
        standing = reached
    assert standing == NodeVersions(last, last)


def test_the_versions_that_are_still_to_be_passed_are_known_in_the_first_run() -> None:
    assert [*passed("1.31.13", "1.34.4", BUILDS)] == ["1.31.13", "1.32.9", "1.33.5", "1.34.4"]
    assert [*passed("1.34.4", "1.34.4", BUILDS)] == ["1.34.4"]
    assert [*passed("1.33.2", "1.33.5", BUILDS)] == ["1.33.2", "1.33.5"]
