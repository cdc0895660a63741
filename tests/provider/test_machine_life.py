"""When the Machine kind has a node leave its cluster, and when it doesn't."""

from __future__ import annotations

from typing import Any

import pytest

from infra.kubernetes.local_volumes import LocalVolume
from infra.kvm.connection import Hosts
from infra.kvm.errors import HostUnreachable
from infra.kvm.vm import Vm
from infra.provider.kind import Changes
from infra.provider.kinds.machine import MachineKind
from infra.provider.lives import Leaver, Lives
from infra.resources.changes import Refused
from infra.resources.contract import OnChange
from infra.resources.machine import MachineInputs, MachineState
from infra.resources.node_placement import NodePlacementInputs
from tests.provider.conftest import MemoryLog
from tests.provider.test_kinds import operation

PLACEMENT = NodePlacementInputs(
    instance="local",
    cluster="a",
    kubeconfig="k",
    hosts={"local-a-w-0": "h"},
    live=["test:///live"],
    control_planes={"local-a-cp-0": "10.0.0.1"},
    etcd_keys={"etcd/ca.crt": "c"},
)


class Life:
    """Remembers who left."""

    def __init__(self, objections: str = "", volumes: list[LocalVolume] | None = None) -> None:
        self.left: list[Leaver] = []
        self._objections = objections
        self._volumes = volumes

    def local_volumes(self, name: str) -> list[LocalVolume] | None:
        return self._volumes

    def knows(self, leaver: Leaver) -> bool:
        return True

    def leave(self, op: Any, leaver: Leaver, reason: str) -> None:
        self.left.append(leaver)

    def objections(self, op: object, leaver: Leaver, reason: str) -> str:
        return self._objections


def state(role: str = "controlPlane", **changes: Any) -> dict[str, Any]:
    node = {
        "cluster": "local-a",
        "role": role,
        "version": "1.34.4",
        "endpoint": "10.0.0.9",
        "caCertificate": "c",
        "caHash": "h",
    }
    first_boot = {
        "hostname": "m",
        "address": "10.0.0.1/24",
        "gateway": "10.0.0.254",
        "dnsServers": [],
        "authorizedKeys": ["k"],
        "node": node,
    }
    fields = {
        "instance": "local",
        "connection": "test:///default",
        "pool": "p",
        "name": "local-a-cp-0",
        "machineType": "vm",
        "image": "i",
        "network": "n",
        "macAddress": "02:00:00:00:00:01",
        "firstBoot": first_boot,
        "vcpus": 2,
        "memoryMiB": 2048,
        "diskGiB": 20,
        "uuid": "u",
        "sshHostKey": "s",
    }
    return MachineState.model_validate(fields | changes).to_wire()


def inputs() -> dict[str, Any]:
    """Return what the program says of the machine that stands."""
    known = MachineInputs.model_fields
    return MachineInputs(**{name: value for name, value in MachineState(**state()) if name in known}).to_wire()


def kind_with(life: Life, *, stays: bool = True) -> tuple[MachineKind, Lives]:
    lives = Lives()
    if stays:
        lives.announce(PLACEMENT)
        run = lives.of("local-a")
        assert run is not None
        run.__dict__["life"] = life
    return MachineKind(Hosts(), lives=lives), lives


def leavers(
    monkeypatch: pytest.MonkeyPatch, *, stays: bool = True, made: bool = False, stands_at: str = "", **changes: Any
) -> list[Leaver]:
    """Return who leaves its cluster when a machine is deleted."""
    life = Life()
    kind, lives = kind_with(life, stays=stays)
    run = lives.of("local-a")
    if stands_at and run:
        run.note(state(connection=stands_at))
    old = MachineState.model_validate(state(**changes))
    monkeypatch.setattr(kind, "remove", lambda op, old: None)
    monkeypatch.setattr(kind, "_is_lost", lambda op, old: old.lost)
    if made:
        kind._made.add((old.connection, old.name))
    kind.delete(operation("Machine"), f"{old.connection}#{old.name}", old)
    return life.left


def test_a_node_leaves_a_cluster_that_stays_and_none_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    (leaver,) = leavers(monkeypatch)
    assert leaver == Leaver("local-a-cp-0", "controlPlane", "10.0.0.1", "s")
    (lost,) = leavers(monkeypatch, lost=True)
    assert lost.lost
    assert leavers(monkeypatch, stays=False) == [], "`destroy` waits for no drain"


def test_a_node_whose_host_does_not_answer_names_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(op: Any, old: Any) -> bool:
        raise HostUnreachable("no answer.")

    kind, _ = kind_with(Life())
    monkeypatch.setattr(kind, "_is_lost", ask)
    old = MachineState.model_validate(state())
    with pytest.raises(HostUnreachable, match=r"no answer.*`lost: true`"):
        kind.delete(operation("Machine"), f"{old.connection}#{old.name}", old)


def test_what_stands_elsewhere_by_now_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    assert leavers(monkeypatch, stands_at="test:///other") == [], "it migrated as it ran"
    assert leavers(monkeypatch, connection="test:///live"), "a pin kept it on a host that drains: it hasn't moved"
    assert leavers(monkeypatch, made=True) == [], "its replacement is there already"


def refined(life: Life, *, stays: bool = True, program: bool = True, **changes: Any) -> tuple[Changes, MemoryLog]:
    kind, _ = kind_with(life, stays=stays)
    if program:
        kind.check(inputs(), frozenset())
    found, log = Changes(), MemoryLog()
    kind.refine(state(**changes), state(), found, operation("Machine", log))
    return found, log


def test_preview_says_that_a_lost_control_plane_is_replaced_or_why_not() -> None:
    found, log = refined(Life(), lost=True, running=False)
    assert found.by_path["lost"] is OnChange.REPLACE
    assert any("what it left in cluster local-a is removed, then it joins again" in text for _, text in log.lines)
    with pytest.raises(Refused, match="can't be replaced: quorum"):
        refined(Life("quorum"), lost=True)
    with pytest.raises(Refused, match="is gone from"):
        refined(Life(), stays=False, lost=True)
    shown, log = refined(Life(), stays=False, program=False, lost=True)
    assert shown.by_path == {"lost": OnChange.REPLACE}, "refresh shows it, and refuses nothing"
    assert log.lines == [], "nor does it say that `up` can do it"


def test_nobody_asks_a_cluster_for_machines_that_stay() -> None:
    found, log = refined(Life("never asked"))
    assert not found.by_path
    assert log.lines == []


VOLUME = LocalVolume(
    "pvc-1", frozenset({"local-a-w-0"}), "/opt/local-path-provisioner/pvc-1", "1Gi", "Delete", "default/data"
)
ELSEWHERE = LocalVolume("by-hand", frozenset({"local-a-w-0"}), "/mnt/disk", "1Gi", "Retain")


def replaced(
    volumes: list[LocalVolume] | None,
    *,
    accepts: bool = False,
    lost: bool = False,
    news: dict[str, Any] | None = None,
    **changes: Any,
) -> list[tuple[str, str]]:
    """Return what is said of a worker that is to be replaced."""
    kind, lives = kind_with(Life(volumes=volumes))
    if lost:
        kind._hosts.give_up("test:///default")
    run = lives.of("local-a")
    assert run is not None
    run.placement = run.placement.model_copy(update={"deletes_volumes": accepts})
    kind.check(inputs(), frozenset())
    log, found = MemoryLog(), Changes({"firstBoot.gateway": OnChange.REPLACE})
    old = state("worker", name="local-a-w-0", **changes)
    kind.refine(old, old | (news or {}), found, operation("Machine", log))
    return [line for line in log.lines if line[0] != "status"]


def test_a_node_with_a_data_volume_keeps_its_volumes_when_it_is_replaced_in_its_place() -> None:
    said = replaced([VOLUME], keepsVolumes=True)
    assert ("info", "local-a-w-0 keeps its local volumes: pvc-1 (claim default/data, 1Gi, Delete)") in said
    assert "volumes on its disk stay" in said[0][1]


@pytest.mark.parametrize(
    ("volumes", "changes", "news"),
    [
        ([VOLUME], {}, {}),
        ([VOLUME], {"keepsVolumes": True}, {"connection": "test:///other"}),
        ([VOLUME], {"keepsVolumes": True}, {"machineType": "container"}),
        ([ELSEWHERE], {"keepsVolumes": True}, {}),
    ],
    ids=["none, as nodes of before", "it moves", "another type", "outside of the data volume"],
)
def test_volumes_that_would_be_lost_are_named_and_refused_unless_that_is_accepted(
    volumes: list[LocalVolume], changes: dict[str, Any], news: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match=r"local-volumes-lost.*deleteLocalVolumes: true") as refused:
        replaced(volumes, news=news, **changes)
    assert str(volumes[0]) in str(refused.value)
    (warned,) = [text for kind, text in replaced(volumes, accepts=True, news=news, **changes) if kind == "warning"]
    assert str(volumes[0]) in warned


def test_volumes_that_went_with_a_lost_host_are_named() -> None:
    said = replaced([VOLUME], lost=True)
    assert [text for kind, text in said if kind == "warning"] == [
        "local-a-w-0 was on a host that is lost, and with it went volumes on its disk: "
        "pvc-1 (claim default/data, 1Gi, Delete)"
    ]


def test_where_the_cluster_can_not_be_asked_preview_says_so() -> None:
    assert [kind for kind, _ in replaced(None) if kind == "warning"] == ["warning"]
    assert [kind for kind, _ in replaced(None, keepsVolumes=True) if kind == "warning"] == []


def test_a_node_that_goes_for_good_is_kept_while_it_has_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life(volumes=[VOLUME])
    kind, _ = kind_with(life)
    old = MachineState.model_validate(state("worker", name="local-a-w-0", keepsVolumes=True))
    monkeypatch.setattr(kind, "_is_lost", lambda op, old: False)
    with pytest.raises(Refused, match="local-volumes-lost"):
        kind.delete(operation("Machine"), f"{old.connection}#{old.name}", old)
    assert life.left == [], "before it is drained"


@pytest.mark.parametrize(("declared", "kept"), [(True, True), (False, False)])
def test_a_data_volume_outlasts_the_machine_that_comes_back_and_no_other(
    declared: bool, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, _ = kind_with(Life(), stays=False)
    old = MachineState.model_validate(state())
    if declared:
        kind.check(inputs(), frozenset())
        kind.refine(state(), inputs(), Changes(), operation("Machine"))
    calls: list[bool] = []
    monkeypatch.setattr(Vm, "exists", False)
    monkeypatch.setattr(Vm, "remove", lambda machine, *, keeps_data: calls.append(keeps_data))
    kind.remove(operation("Machine"), old)
    assert calls == [kept]
