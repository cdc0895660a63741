"""Every rule of placement is broken once, and the finding names the place and what would fit."""

from typing import Any

import pytest

from infra.plan.placement import Place, PlacementLock
from infra.plan.rules import RULES
from infra.spec import Finding
from tests.instances import checked_placement, cluster, host, make_spec

ONE = cluster()
BIG = "Standard_D4s_v3"  # 16 GiB


def hosts(*memory: int | None, **more: Any) -> list[dict[str, Any]]:
    known = [{} if one is None else {"memoryGiB": one} for one in memory]
    return [host(number, **one, **more) for number, one in enumerate(known, 1)]


def workers(count: int, size: str = "Standard_A4_v2", **more: Any) -> dict[str, Any]:
    return cluster(agentPools=[{"name": "nodepool1", "count": count, "vmSize": size, **more}])


def asks(**more: Any) -> dict[str, Any]:
    return {"stack": {"placement": more}}


def at(host: str, *owners: str, memory: int = 8192, **more: Any) -> PlacementLock:
    return PlacementLock({f"lab/{owner}": Place(host, memory, 200, **more) for owner in owners})


def found(rule: str, *clusters: Any, lock: PlacementLock | None = None, **parts: Any) -> list[Finding]:
    return [one for one in checked_placement(make_spec(*clusters, **parts), lock).findings if one.rule == rule]


CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    # rule, severity, where, and the instance that breaks it
    (
        "vm-larger-than-host",
        "error",
        "clusters[0].agentPools[0].vmSize",
        {"clusters": [workers(1, "Standard_D32s_v3")], "hosts": hosts(96, 96)},
    ),
    (
        "vm-larger-than-host",
        "error",
        "resourceBridge.vmSize",
        {"hosts": hosts(6)},
    ),
    (
        "no-room",
        "error",
        "clusters[0].agentPools[0].vmSize",
        {"clusters": [workers(3)], "hosts": hosts(16, 16)},
    ),
    (
        "host-overfull",
        "error",
        "hosts[0].memoryGiB",
        {"clusters": [ONE], "hosts": hosts(16, 64), "lock": at("node1", "rb-0", "a-cp-0", "a-nodepool1-0")},
    ),
    ("disk-overcommitted", "warning", "hosts[0].diskGiB", {"clusters": [ONE], "hosts": hosts(96, diskGiB=599)}),
    ("disk-overcommitted", "warning", "hosts[0].diskGiB", {"hosts": hosts(96, diskGiB=100)}),
    ("every-host-drains", "error", "hosts[0].drain", {"clusters": [ONE], "hosts": hosts(64, drain=True)}),
    ("capacity-unknown", "info", "hosts[1].memoryGiB", {"clusters": [ONE], "hosts": hosts(64, None)}),
    ("capacity-unknown", "warning", "hosts[0].memoryGiB", {"hosts": hosts(None, None), **asks(headroom="host")}),
    ("capacity-exceeded", "warning", "hosts", {"clusters": [ONE], "hosts": hosts(32, 32)}),
    ("capacity-exceeded", "error", "hosts", {"clusters": [ONE], "hosts": hosts(32, 32), **asks(headroom="host")}),
    ("capacity-exceeded", "error", "hosts", {"clusters": [ONE], "hosts": hosts(512), **asks(headroom="host")}),
    (
        "host-loss-not-survived",
        "warning",
        "hosts[0]",
        {
            "clusters": [workers(1, "Standard_D8s_v3")],
            "hosts": [host(1, memoryGiB=60), *hosts(*[None] * 0), *(host(n, memoryGiB=24) for n in range(2, 8))],
        },
    ),
    (
        "no-room-for-upgrade",
        "warning",
        "hosts",
        {"clusters": [workers(1, "Standard_D8s_v3")], "hosts": hosts(40, 24, 24, 24, 24)},
    ),
    (
        "reserve-used",
        "warning",
        "hosts[1].memoryGiB",
        {"clusters": [ONE], "hosts": hosts(64, 18, 64), "lock": at("node2", "a-cp-0", "a-nodepool1-0")},
    ),
    (
        "availability-set-uneven",
        "info",
        "clusters",
        {
            "clusters": [workers(2)],
            "hosts": hosts(None, None),
            "lock": at("node1", "a-nodepool1-0", "a-nodepool1-1"),
        },
    ),
    (
        "machine-moves",
        "warning",
        "hosts[0].drain",
        {
            "clusters": [ONE],
            "hosts": [host(1, drain=True), host(2)],
            "lock": at("node1", "a-nodepool1-0"),
        },
    ),
    ("machine-moves", "warning", "hosts", {"clusters": [ONE], "lock": at("gone", "a-nodepool1-0")}),
    (
        "machine-moves",
        "warning",
        "placement.pins.a-nodepool1-0",
        {
            "clusters": [ONE],
            "hosts": hosts(None, None),
            "lock": at("node1", "a-nodepool1-0"),
            **asks(pins={"a-nodepool1-0": "node2"}),
        },
    ),
    (
        "machine-moves",
        "info",
        "hosts",
        {"clusters": [ONE], "lock": at("node1", "a-nodepool1-0", was="gone", because="gone is gone")},
    ),
    ("control-plane-moves", "warning", "hosts", {"clusters": [ONE], "lock": at("gone", "a-cp-0")}),
    (
        "control-plane-moves",
        "warning",
        "hosts[0].drain",
        {
            "clusters": [ONE],
            "hosts": [host(1, drain=True), host(2)],
            "lock": at("node1", "a-cp-0"),
        },
    ),
    (
        "control-plane-moves",
        "warning",
        "placement.pins.a-cp-0",
        {
            "clusters": [ONE],
            "hosts": hosts(None, None),
            "lock": at("node1", "a-cp-0"),
            **asks(pins={"a-cp-0": "node2"}),
        },
    ),
    (
        "live-drain-of-containers",
        "error",
        "hosts[1].drain",
        {"clusters": [ONE], "hosts": [host(1), host(2, drain="live")], "stack": {"machineType": "container"}},
    ),
    (
        "live-drain-of-lost-host",
        "error",
        "hosts[1].drain",
        {"clusters": [ONE], "hosts": [host(1), host(2, drain="live", lost=True)]},
    ),
    (
        "protected-lost-host",
        "warning",
        "hosts[1].protected",
        {"clusters": [ONE], "hosts": [host(1), host(2, lost=True, protected=True)]},
    ),
    ("host-lost", "warning", "hosts[1].lost", {"clusters": [ONE], "hosts": [host(1), host(2, lost=True)]}),
    (
        "machine-moves",
        "warning",
        "hosts[1].lost",
        {"clusters": [ONE], "hosts": [host(1), host(2, lost=True)], "lock": at("node2", "rb-0")},
    ),
    ("every-host-drains", "error", "hosts[0].lost", {"clusters": [ONE], "hosts": hosts(64, lost=True)}),
    (
        "pin-unknown-host",
        "error",
        "placement.pins.rb-0",
        {
            "clusters": [ONE],
            "hosts": [host(1), host(2, lost=True)],
            "lock": at("node2", "rb-0"),
            **asks(pins={"rb-0": "node2"}),
        },
    ),
    (
        "pin-unknown-machine",
        "error",
        "placement.pins.a-cp-1",
        {"clusters": [ONE], **asks(pins={"a-cp-1": "node1"})},
    ),
    (
        "placement-pin-twice",
        "error",
        "placement.pins.lab-a-cp-0",
        {"clusters": [ONE], "hosts": hosts(64, 64), **asks(pins={"a-cp-0": "node1", "lab-a-cp-0": "node2"})},
    ),
    (
        "pin-unknown-host",
        "error",
        "placement.pins.a-cp-0",
        {"clusters": [ONE], **asks(pins={"a-cp-0": "node9"})},
    ),
    (
        "pin-unknown-host",
        "error",
        "placement.pins.a-cp-0",
        {
            "clusters": [ONE],
            "hosts": [host(1), host(2, drain=True)],
            **asks(pins={"a-cp-0": "node2"}),
        },
    ),
    (
        "pin-without-room",
        "error",
        "placement.pins.rb-0",
        {"clusters": [ONE], "hosts": hosts(64, 4), **asks(pins={"rb-0": "node2"})},
    ),
]


@pytest.mark.parametrize(("rule", "severity", "where", "instance"), CASES)
def test_a_broken_rule_is_found_where_it_stands(
    rule: str, severity: str, where: str, instance: dict[str, Any]
) -> None:
    parts = dict(instance)
    lock = parts.pop("lock", None)
    spec = make_spec(*parts.pop("clusters", ()), **parts)
    plan = checked_placement(spec, lock)
    matching = [one for one in plan.findings if one.rule == rule]
    assert matching, [str(one) for one in plan.findings]
    assert {one.severity for one in matching} == {severity}
    assert where in [one.path.partition(": ")[2] for one in matching]
    assert all(one.message and one.remedy for one in matching)
    assert plan.ok == (severity != "error"), [str(one) for one in plan.findings]


def test_every_rule_has_a_case() -> None:
    assert {rule.id for rule in RULES if rule.part == "placement"} == {rule for rule, *_ in CASES}


@pytest.mark.parametrize(
    "parts",
    [
        {"hosts": hosts(None)},
        {"hosts": hosts(40, diskGiB=600)},
        {"hosts": hosts(48, 48)},
        {"hosts": hosts(32, 32), **asks(headroom="none")},
        {"hosts": hosts(48, 48), **asks(headroom="host", reservePercent=15)},
        {"hosts": hosts(None, None, None), **asks(pins={"a-cp-0": "node2", "rb-0": "node1"})},
        {"hosts": [*hosts(None, None), host(3, drain=True)]},
        {"hosts": hosts(None), "lock": at("node1", "a-cp-0", "a-nodepool1-0", "rb-0")},
    ],
)
def test_what_just_keeps_the_rules_breaks_none(parts: dict[str, Any]) -> None:
    lock = parts.get("lock")
    rest = {key: value for key, value in parts.items() if key != "lock"}
    assert not checked_placement(make_spec(ONE, **rest), lock).findings


def test_a_finding_says_what_would_fit() -> None:
    (finding,) = found("no-room", workers(3), hosts=hosts(16, 16))
    assert finding.message == (
        "no room for a-nodepool1-2 (1 of 3 in a-nodepool1): each takes 8 GiB; "
        "the most that is left is 0 GiB on node1"
    )
    assert finding.remedy.startswith(
        "use vmSize Standard_A2_v2 (4 GiB), which fits; or add a host with memoryGiB 8"
    )


@pytest.mark.parametrize(("percent", "asked"), [(0, 8), (50, 16)])
def test_the_host_that_would_fit_does(percent: int, asked: int) -> None:
    memory = 16 * 100 // (100 - percent)
    parts = asks(reservePercent=percent)
    (finding,) = found("no-room", workers(3), hosts=hosts(memory, memory), **parts)
    assert f"add a host with memoryGiB {asked} or more" in finding.remedy
    assert not found("no-room", workers(3), hosts=hosts(memory, memory, asked), **parts)
    assert found("no-room", workers(3), hosts=hosts(memory, memory, asked - 1), **parts)


def test_the_size_that_would_fit_does() -> None:
    (finding,) = found("no-room", workers(4, BIG), hosts=hosts(24, 24))
    assert "use vmSize Standard_A4_v2 (8 GiB), which fits" in finding.remedy
    assert not found("no-room", workers(4, "Standard_A4_v2"), hosts=hosts(24, 24))


def test_the_reserve_is_named_only_where_it_is_what_lacks() -> None:
    short = found("no-room", workers(3), hosts=hosts(18, 18), **asks(reservePercent=20))
    assert "keep a smaller reservePercent" in short[0].remedy
    lacking = found("no-room", workers(9), hosts=hosts(20, 20), **asks(reservePercent=5))
    assert "reservePercent" not in lacking[0].remedy


def test_an_overfull_host_names_one_machine_that_could_move() -> None:
    lock = at("node1", "rb-0", "a-cp-0", "a-nodepool1-0")
    (finding,) = found("host-overfull", ONE, hosts=hosts(16, 64), lock=lock)
    assert finding.message == "the machines on node1 take 24 GiB; there are 16 for them"
    assert finding.remedy.startswith("move one: azlocal:placement.pins: {rb-0: node2}; or give node1 memoryGiB 24")
    moved = checked_placement(make_spec(ONE, hosts=hosts(16, 64), **asks(pins={"rb-0": "node2"})), lock)
    assert moved.ok
    assert [str(one) for one in moved.placement.moves] == [
        "rb-0 moves from node1 to node2, because azlocal:placement.pins has rb-0; it is re-created there"
    ]


def test_what_disks_may_grow_to_refuses_nothing() -> None:
    """Azure's sizes all say 200 GiB: a nominal sum would refuse what any lab runs."""
    spec = make_spec(workers(2), hosts=hosts(512, diskGiB=150), **asks(pins={"rb-0": "node1"}))
    plan = checked_placement(spec)
    (finding,) = [one for one in plan.findings if one.rule == "disk-overcommitted"]
    assert plan.ok
    assert finding.message == (
        "the disks on node1 may grow to 800 GiB; it has 150, less than rb-0 alone may fill (200)"
    )
    assert "give it diskGiB 800" in finding.remedy
    assert not found("disk-overcommitted", workers(2), hosts=hosts(512, diskGiB=800))


def test_a_host_whose_disk_holds_it_all_is_better_as_long_as_sets_stay_even() -> None:
    sized = [host(1, diskGiB=150), host(2, diskGiB=10_000), host(3, diskGiB=150)]
    plan = checked_placement(make_spec(workers(3), cluster("b"), cluster("c"), hosts=sized))
    single = {name: where for name, where in plan.placement.hosts.items() if not name.startswith("a-nodepool1")}
    assert set(single.values()) == {"node2"}
    assert sorted(where for name, where in plan.placement.hosts.items() if name not in single) == [
        "node1",
        "node2",
        "node3",
    ]
    assert len([one for one in plan.findings if one.rule == "disk-overcommitted"]) == 2


def test_other_instances_disks_are_counted_and_said() -> None:
    lock = PlacementLock({"other/x-0": Place("node1", 1024, 500)})
    (finding,) = found("disk-overcommitted", hosts=hosts(96, diskGiB=600), lock=lock)
    assert finding.message == ("the disks on node1 may grow to 700 GiB, 500 of them other instances'; it has 600")


def test_a_pin_keeps_a_machine_on_a_host_that_drains_and_the_others_leave() -> None:
    draining = [host(1, drain=True), host(2)]
    lock = at("node1", "a-cp-0", "a-nodepool1-0", "rb-0")
    (finding,) = found("control-plane-moves", ONE, hosts=draining, lock=lock)
    assert "azlocal:placement.pins: {a-cp-0: node1}" in finding.remedy
    plan = checked_placement(make_spec(ONE, hosts=draining, **asks(pins={"a-cp-0": "node1"})), lock)
    assert plan.ok
    assert plan.placement.hosts == {"a-cp-0": "node1", "a-nodepool1-0": "node2", "rb-0": "node2"}


def test_machines_without_kubernetes_move_like_any_other() -> None:
    lock = at("gone", "a-cp-0")
    assert not found("control-plane-moves", cluster(provisioning="machines"), lock=lock)
    assert not found("control-plane-moves", cluster(planes=3), lock=lock), "one of three joins again"


def test_a_lost_host_s_machines_move_and_nothing_is_asked_of_it() -> None:
    parts: dict[str, Any] = {"hosts": [host(1), host(2, lost=True)], "lock": at("node2", "a-nodepool1-0")}
    (moves,) = found("machine-moves", ONE, **parts)
    assert moves.message == (
        "a-nodepool1-0 moves from node2 to node1, because node2 is lost; it is re-created there"
    )
    (lost,) = found("host-lost", ONE, **parts)
    assert "make sure that it is off" in lost.remedy
    (every,) = found("every-host-drains", ONE, hosts=[host(1, drain=True), host(2, lost=True)])
    assert every.message == "every host drains or is lost: nothing is left to run 3 machines"


def test_vms_leave_a_host_that_drains_live_with_all_they_hold_control_planes_too() -> None:
    draining = [host(1, drain="live"), host(2)]
    lock = at("node1", "a-cp-0", "a-nodepool1-0")
    moves = found("machine-moves", ONE, hosts=draining, lock=lock)
    assert [one.message for one in moves] == [
        f"{name} moves from node1 to node2, because node1 drains live; it migrates there as it runs"
        for name in ("a-cp-0", "a-nodepool1-0")
    ]
    assert "with memory and disk" in moves[0].remedy
    assert not found("control-plane-moves", ONE, hosts=draining, lock=lock)
    (replaced,) = found("control-plane-moves", ONE, hosts=[host(1, drain=True), host(2)], lock=lock)
    assert replaced.remedy.startswith("write `drain: live`")
    (every,) = found("every-host-drains", ONE, hosts=hosts(64, drain="live"))
    assert every.remedy.endswith("take `drain: live` away")


def test_a_move_to_a_host_that_also_drains_live_is_told_from_where_the_machine_is() -> None:
    lock = at("node2", "rb-0", was="node1", because="node1 drains live")
    draining = [host(1, drain="live"), host(2, drain=True), host(3)]
    (move,) = checked_placement(make_spec(hosts=draining), lock).placement.moves
    assert (move.source, move.target, move.live) == ("node1", "node3", True)


def test_pins_can_exchange_two_machines_of_full_hosts() -> None:
    lock = PlacementLock({**at("node1", "rb-0").machines, **at("node2", "a-cp-0").machines})
    spec = make_spec(
        cluster(agentPools=[{"name": "np1", "count": 1}]),
        hosts=hosts(8, 8, 8),
        **asks(pins={"rb-0": "node2", "a-cp-0": "node1"}),
    )
    assert checked_placement(spec, lock).placement.hosts == {
        "rb-0": "node2",
        "a-cp-0": "node1",
        "a-np1-0": "node3",
    }


def test_other_instances_of_the_site_take_room() -> None:
    lock = PlacementLock({"other/x-0": Place("node1", 40 * 1024, 200)})
    free = checked_placement(make_spec(ONE, hosts=hosts(48)))
    assert free.ok
    full = checked_placement(make_spec(ONE, hosts=hosts(48)), lock)
    assert {one.owner for one in full.placement.unplaced} == {"a-cp-0", "a-nodepool1-0"}
    (first, _) = [one for one in full.findings if one.rule == "no-room"]
    assert "azlocal release" in first.remedy


def test_a_move_is_told_until_an_up_made_it() -> None:
    draining = [host(1, drain=True), host(2), host(3, drain=True)]
    spec = make_spec(ONE, hosts=draining)
    first = checked_placement(spec, at("node1", "a-cp-0"))
    lock = PlacementLock().record("lab", first.placement.places())
    assert lock.machines["lab/a-cp-0"] == Place("node2", 8192, 200, "node1", "node1 drains")
    again = checked_placement(spec, lock)
    assert [(one.source, one.target, one.is_recorded) for one in again.placement.moves] == [
        ("node1", "node2", True)
    ]
    further = [host(1, drain=True), host(2, drain=True), host(3)]
    onward = checked_placement(make_spec(ONE, hosts=further), lock)
    (move,) = [one for one in onward.placement.moves if one.owner == "a-cp-0"]
    assert str(move) == "a-cp-0 moves from node1 to node3, because node2 drains; it is re-created there"
    back = [host(1), host(2, drain=True), host(3, drain=True)]
    returned = checked_placement(make_spec(ONE, hosts=back), lock)
    assert "a-cp-0" not in {one.owner for one in returned.placement.moves}


@pytest.mark.parametrize("name", ["a-cp-0", "lab-a-cp-0", "lab/a-cp-0"])
def test_a_pin_knows_a_machine_by_each_of_its_names(name: str) -> None:
    spec = make_spec(ONE, hosts=hosts(64, 64), **asks(pins={name: "node2"}))
    plan = checked_placement(spec)
    assert plan.placement.hosts["a-cp-0"] == "node2"
    assert not [one for one in plan.findings if one.rule.startswith("pin-")]


@pytest.mark.parametrize(("name", "meant"), [("A-CP-0", "a-cp-0"), ("a-nodepool-0", "a-nodepool1-0")])
def test_a_pin_that_nearly_names_a_machine_is_answered_with_that_machine(name: str, meant: str) -> None:
    (finding,) = checked_placement(make_spec(ONE, **asks(pins={name: "node1"}))).findings
    assert (finding.rule, finding.remedy) == ("pin-unknown-machine", f"did you mean {meant}?")
