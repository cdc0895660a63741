"""When a snapshot is taken, where it is kept, which go, and which can be restored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.lifecycle.backups import comes_before, is_required, misfit, places, raised_by, surplus
from infra.lifecycle.steps import (
    DestroyMachine,
    Drain,
    FinishUpgrade,
    PrepareUpgrade,
    RemoveStaleMember,
    Step,
    WaitForHealth,
)
from infra.model.backup import BY_WISH, Backup
from infra.model.node import NodeRole

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
PREPARE = PrepareUpgrade(target="a", reason="r", version="1.34.4")
DRAIN = Drain(target="a-cp-0", reason="r")


def backup(minutes: int = 0, reason: str = BY_WISH, **changes: Any) -> Backup:
    known = {"instance": "lab", "cluster": "a", "kubernetes_version": "1.34.4", "ca_hash": "sha256:1"} | changes
    return Backup.model_validate(
        known
        | {"taken": NOON + timedelta(minutes=minutes), "revision": 1, "sha256": "s", "size": 1, "reason": reason}
    )


def test_a_name_is_unique_in_an_instance_and_says_whose_and_when() -> None:
    assert backup().name == "lab-a-20261130T120000Z"
    in_berlin = backup().model_copy(update={"taken": datetime.fromisoformat("2026-11-30T13:00:00+01:00")})
    assert in_berlin.name == "lab-a-20261130T120000Z"
    assert Backup.model_validate_json(backup().model_dump_json(by_alias=True)) == backup()


def test_the_newest_stay_and_changes_cost_nobody_a_snapshot_taken_on_purpose() -> None:
    wished = [backup(minute) for minute in range(7)]
    before = [backup(minute, "drain a-cp-0") for minute in range(100, 120)]
    other = [backup(cluster="b")]
    gone = surplus([*before, *wished, *other], "a")
    assert {each.taken for each in gone if each.reason == BY_WISH} == {each.taken for each in wished[:2]}
    assert {each.taken for each in gone if each.reason != BY_WISH} == {each.taken for each in before[:15]}
    assert surplus(other, "b") == []


@pytest.mark.parametrize(
    ("planes", "others", "chosen"),
    [
        (["h1"], [], ("h1",)),
        (["h1"], ["h1", "h3", "h2"], ("h1", "h2")),
        (["h2", "h2", "h1"], ["h3"], ("h2", "h1")),
        ([], ["h1"], ("h1",)),
    ],
)
def test_the_loss_of_one_host_costs_no_snapshot(planes: list[str], others: list[str], chosen: tuple[str]) -> None:
    assert places(planes, others) == chosen


@pytest.mark.parametrize(
    ("step", "role", "wanted"),
    [
        (PREPARE, "worker", True),
        (DRAIN, "controlPlane", True),
        (RemoveStaleMember(target="a-cp-0", reason="r", member=1), "controlPlane", True),
        (DRAIN, "worker", False),
        (WaitForHealth(target="a", reason="r", lacks=("x",)), "controlPlane", False),
        (DestroyMachine(target="a-cp-0", reason="r"), "controlPlane", False),
        (FinishUpgrade(target="a", reason="r", version="1.34.4"), "controlPlane", False),
    ],
)
def test_a_snapshot_is_taken_before_control_planes_change(step: Step, role: NodeRole, wanted: bool) -> None:
    assert comes_before(step, role) is wanted


def test_it_is_required_only_where_nothing_else_brings_the_data_back() -> None:
    three = ["a-cp-0", "a-cp-1", "a-cp-2"]
    assert is_required(PREPARE, "a-cp-0", three), "an older API server reads nothing of a newer one's"
    assert is_required(DRAIN, "a-cp-0", three[:1])
    assert not is_required(DRAIN, "a-cp-0", three)
    assert not is_required(DRAIN, "a-cp-1", three[:1]), "it goes, and the one that stays has the data"
    assert not is_required(None, "a-cp-1", three), "one more member"


def test_no_client_has_seen_the_revisions_after_a_restore() -> None:
    assert raised_by(1300, [1500, 900], NOON.timestamp(), answers=True) == 1_000_000_200
    back = 1300 + raised_by(1300, [1_000_001_500], NOON.timestamp(), answers=True)
    assert back > 1_000_001_500, "back to before an earlier restore"
    later = NOON.timestamp() + 3600
    first = 1300 + raised_by(1300, [1300], NOON.timestamp(), answers=False)
    second = 900 + raised_by(900, [1300], later, answers=False)
    assert second > first + 3600 * 100, "nobody tells what was written since"


def test_another_clusters_snapshot_is_refused_and_another_versions() -> None:
    assert misfit(backup(), "sha256:1", "1.34.4", ()) == ""
    assert "re-created since" in misfit(backup(), "sha256:2", "1.34.4", ())
    assert misfit(backup(encryption_keys=("", "key-1")), "sha256:1", "1.34.4", ("key-1", "key-2")) == ""
    lost = misfit(backup(encryption_keys=("key-0", "key-1")), "sha256:1", "1.34.4", ("key-1", "key-2"))
    assert "its Secrets are under key-0, a key that was rotated since" in lost
    assert "of Kubernetes 1.34.4 and the control planes run 1.33.5" in misfit(backup(), "sha256:1", "1.33.5", ())
