"""What the plugin is told of a cluster before any machine of it comes, moves or goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.provider.kind import Changes
from infra.provider.kinds import all_kinds
from infra.provider.kinds.node_placement import NodePlacementKind
from infra.provider.lives import ClusterRun, Lives
from infra.resources.changes import Refused, diff
from infra.resources.node_placement import NODE_PLACEMENT, NodePlacementInputs
from tests.provider.conftest import MemoryLog
from tests.provider.test_kinds import operation
from tests.provider.test_machine_life import VOLUME, Life, state

OLD = NodePlacementInputs(
    instance="lab",
    cluster="a",
    kubeconfig="k",
    hosts={"w0": "one"},
    control_planes={"cp0": "10.0.0.1"},
    etcd_keys={"etcd/ca.crt": "c"},
    version="1.33.5",
)


def refined(old: dict[str, Any], new: NodePlacementInputs) -> tuple[Changes, ClusterRun]:
    lives = Lives()
    kind = NodePlacementKind(lives)
    assert kind.check(new.to_wire(), frozenset()) == []
    changes = diff(NODE_PLACEMENT, old, new.to_wire())
    kind.refine(old, new.to_wire(), changes, operation("NodePlacement"))
    run = lives.of("lab-a")
    assert run is not None
    return changes, run


def test_another_version_rolls_the_cluster() -> None:
    changes, run = refined(OLD.to_wire(), OLD.model_copy(update={"version": "1.34.4"}))
    assert run.rolls
    assert "version" in changes.by_path


def test_a_state_of_before_says_nothing_of_the_version() -> None:
    before = {name: value for name, value in OLD.to_wire().items() if name not in ("version", "archives", "spare")}
    changes, run = refined(before, OLD)
    assert not run.rolls
    assert not changes.by_path, "an `up` that changes nothing changes nothing after an upgrade of azlocal"


def test_version_and_number_of_control_planes_change_one_after_the_other() -> None:
    more = {"version": "1.34.4", "control_planes": {"cp0": "10.0.0.1", "cp1": "10.0.0.2", "cp2": "10.0.0.3"}}
    with pytest.raises(Refused, match="change its number of control planes: make one change after the other"):
        refined(OLD.to_wire(), OLD.model_copy(update=more))


def test_until_login_keys_have_changed_machines_are_logged_in_to_as_before() -> None:
    before = OLD.model_copy(update={"identity_files": ["old"]})
    changes, run = refined(before.to_wire(), OLD.model_copy(update={"identity_files": ["new"]}))
    assert not changes.by_path
    run.note(state("worker", identityFiles=["of the machine", "old"]))
    assert run.identity_files == ("new", "old", "of the machine")


def test_a_version_that_is_taken_back_has_the_control_plane_look_though_none_of_its_inputs_differs() -> None:
    kinds = all_kinds()
    placement, control_plane = (kinds[f"azlocal:index:{name}"] for name in ("NodePlacement", "ControlPlane"))
    state = {
        "instance": "lab",
        "cluster": "a",
        "version": "v1.33.5",
        "members": [],
        "vrrpVersion": 3,
        "certificatesEnd": (datetime.now(UTC) + timedelta(days=1000)).isoformat(),
    }
    news = {"instance": "lab", "cluster": "a", "members": []}
    for old, is_change in ((OLD, False), (OLD.model_copy(update={"version": "1.34.4"}), True)):
        assert placement.check(OLD.to_wire(), frozenset()) == []
        placement.refine(
            old.to_wire(), OLD.to_wire(), diff(NODE_PLACEMENT, old.to_wire(), OLD.to_wire()), operation()
        )
        changes = Changes()
        control_plane.refine(state, news, changes, operation("ControlPlane"))
        assert ("version" in changes.by_path) == is_change


@pytest.mark.parametrize("name", ["w1", "cp1"])
def test_a_node_that_goes_for_good_with_volumes_is_refused_in_preview(name: str) -> None:
    """No diff of its own shows it."""
    old = OLD.model_copy(
        update={"hosts": {"w0": "one", "w1": "two"}, "control_planes": {"cp0": "10.0.0.1", "cp1": "10.0.0.2"}}
    )
    kept = {
        "hosts": {other: host for other, host in old.hosts.items() if other != name},
        "control_planes": {other: address for other, address in old.control_planes.items() if other != name},
    }

    def refine(**changes: Any) -> list[tuple[str, str]]:
        lives, log = Lives(), MemoryLog()
        new = old.model_copy(update=kept | changes)
        NodePlacementKind(lives).check(new.to_wire(), frozenset())
        run = lives.of("lab-a")
        assert run is not None
        run.__dict__["life"] = Life(volumes=[VOLUME])
        NodePlacementKind(lives).refine(old.to_wire(), new.to_wire(), Changes(), operation("NodePlacement", log))
        return log.lines

    with pytest.raises(Refused, match=rf"{name} would go, and volumes.*local-volumes-lost"):
        refine()
    assert [kind for kind, _ in refine(deletes_volumes=True)] == ["warning"]
    if name == "w1":
        ((kind, text),) = refine(lost=["two"])
        assert (kind, "on a host that is lost" in text, str(VOLUME) in text) == ("warning", True, True)
