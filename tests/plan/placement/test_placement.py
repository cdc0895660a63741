"""What holds for every placement."""

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.model.run import RunSettings
from infra.plan.instance import plan_instance
from infra.plan.placement import Placement, PlacementLock, plan_placement
from infra.spec import InstanceSpec
from tests.instances import checked_placement, cluster, host, make_spec

HOSTS = [host(number) for number in range(1, 6)]
POOLS = ["np", "zoo"]


@st.composite
def clusters(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = draw(st.lists(st.sampled_from("abcd"), max_size=4, unique=True))
    return [
        cluster(
            name,
            planes=draw(st.sampled_from([1, 3, 5])),
            agentPools=[
                {
                    "name": pool,
                    "count": draw(st.integers(1, 7)),
                    "vmSize": draw(st.sampled_from(["Small", "Standard_A4_v2", "Standard_D4s_v3"])),
                }
                for pool in draw(st.lists(st.sampled_from(POOLS), min_size=1, unique=True))
            ],
        )
        for name in names
    ]


hosts = st.lists(st.sampled_from(HOSTS), min_size=1, unique_by=lambda one: one["name"])
sized_hosts = st.lists(
    st.builds(
        lambda number, memory, disk, drain: host(number, memoryGiB=memory, diskGiB=disk, drain=drain),
        st.integers(1, 5),
        st.integers(8, 96) | st.none(),
        st.integers(100, 4000) | st.none(),
        st.booleans(),
    ),
    min_size=1,
    unique_by=lambda one: one["name"],
)


def recorded(placement: Placement, lock: PlacementLock | None = None) -> PlacementLock:
    return (lock or PlacementLock()).record(placement.instance, placement.places())


def sets(placement: Placement) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in placement.placed:
        found.setdefault(one.machine.availability_set, []).append(one.host)
    return found


@settings(max_examples=60, deadline=None)
@given(clusters(), hosts)
def test_each_availability_set_spreads_evenly(wanted: list[dict[str, Any]], hosts: list[dict[str, Any]]) -> None:
    placement = plan_placement(make_spec(*wanted, hosts=hosts))
    assert not placement.unplaced
    for members in sets(placement).values():
        assert max(Counter(members).values()) == -(-len(members) // len(hosts))


@settings(max_examples=60, deadline=None)
@given(clusters(), st.permutations(HOSTS))
def test_the_files_order_means_nothing(wanted: list[dict[str, Any]], hosts: list[dict[str, Any]]) -> None:
    placement = plan_placement(make_spec(*wanted, hosts=HOSTS))
    again = plan_placement(make_spec(*reversed(wanted), hosts=hosts))
    assert again.hosts == placement.hosts
    assert [one.host for one in again.held] == [one.host for one in placement.held]


@settings(max_examples=60, deadline=None)
@given(clusters())
def test_even_without_a_lock_others_and_growth_move_nobody(wanted: list[dict[str, Any]]) -> None:
    placement = plan_placement(make_spec(*wanted, hosts=HOSTS))
    for one in wanted:
        grown = [{**pool, "count": pool["count"] + 1} for pool in one["agentPools"]]
        alone = plan_placement(make_spec({**one, "agentPools": grown}, hosts=HOSTS))
        same = {name: where for name, where in placement.hosts.items() if name.startswith(f"{one['name']}-")}
        assert same.items() <= alone.hosts.items()


@settings(max_examples=60, deadline=None)
@given(clusters(), clusters(), sized_hosts, sized_hosts)
def test_with_the_lock_additions_move_nobody(
    before: list[dict[str, Any]],
    added: list[dict[str, Any]],
    hosts: list[dict[str, Any]],
    more: list[dict[str, Any]],
) -> None:
    hosts = [{**one, "drain": False} for one in hosts]
    first = plan_placement(make_spec(*before, hosts=hosts))
    names = {one["name"] for one in before}
    known = {one["name"] for one in hosts}
    spec = make_spec(
        *before,
        *(one for one in added if one["name"] not in names),
        hosts=[*hosts, *(one for one in more if one["name"] not in known)],
    )
    second = plan_placement(spec, recorded(first))
    assert first.hosts.items() <= second.hosts.items()
    assert not second.moves


@settings(max_examples=60, deadline=None)
@given(clusters(), sized_hosts)
def test_only_what_has_to_move_moves(wanted: list[dict[str, Any]], hosts: list[dict[str, Any]]) -> None:
    first = plan_placement(make_spec(*wanted, hosts=[{**one, "drain": False} for one in hosts]))
    second = plan_placement(make_spec(*wanted, hosts=hosts), recorded(first))
    draining = {one["name"] for one in hosts if one["drain"]}
    assert not draining & set(second.hosts.values())
    stay = {name: where for name, where in first.hosts.items() if where not in draining}
    assert stay.items() <= second.hosts.items()
    assert {one.owner for one in second.moves} == second.hosts.keys() & first.hosts.keys() - stay.keys()


@settings(max_examples=60, deadline=None)
@given(clusters(), sized_hosts, st.integers(0, 50) | st.none())
def test_no_host_has_more_than_it_holds(
    wanted: list[dict[str, Any]], hosts: list[dict[str, Any]], percent: int | None
) -> None:
    settings = {} if percent is None else {"placement": {"reservePercent": percent}}
    spec = make_spec(*wanted, hosts=hosts, stack=settings)
    plan = checked_placement(spec)
    placement = plan.placement
    total = {one.machine.owner for one in placement.placed} | {one.owner for one in placement.unplaced}
    assert total == owners(spec)
    assert plan.ok == (not placement.unplaced), "what doesn't fit is an error, and nothing else is here"
    for room in placement.rooms:
        there = placement.on(room.name)
        assert not (room.drain and there)
        if room.memory_mib is not None:
            kept = room.memory_mib * (percent or 0) // 100
            assert sum(one.machine.memory_mib for one in there) + kept <= room.memory_mib
            held = [one for one in placement.held if one.host == room.name]
            assert sum(one.machine.memory_mib for one in (*there, *held)) <= room.memory_mib
        promised = sum(one.machine.disk_gib for one in there)
        is_said = f"the disks on {room.name} may" in " ".join(one.message for one in plan.findings)
        assert is_said == (room.disk_gib is not None and promised > room.disk_gib)


@settings(max_examples=60, deadline=None)
@given(clusters(), sized_hosts)
def test_a_plan_of_what_is_there_changes_nothing(
    wanted: list[dict[str, Any]], hosts: list[dict[str, Any]]
) -> None:
    spec = make_spec(*wanted, hosts=hosts)
    first = plan_placement(spec)
    lock = recorded(first)
    second = plan_placement(spec, lock)
    assert second.hosts.items() >= first.hosts.items()
    if not first.unplaced:
        assert recorded(second, lock) == lock


@settings(max_examples=60, deadline=None)
@given(clusters())
def test_every_machine_has_a_reason(wanted: list[dict[str, Any]]) -> None:
    placement = plan_placement(make_spec(*wanted, hosts=HOSTS))
    assert all(one.why for one in (*placement.placed, *placement.held))


def owners(spec: InstanceSpec) -> set[str]:
    found = {"rb-0"}
    for one in spec.stack.clusters:
        found |= {f"{one.name}-cp-{number}" for number in range(one.control_plane.count)}
        found |= {f"{one.name}-{pool.name}-{n}" for pool in one.agent_pools for n in range(pool.count)}
    return found


SCALES = {"name": "pool1", "count": 1, "enableAutoScaling": True, "minCount": 1, "maxCount": 3}


def test_nodes_that_autoscaling_may_add_have_their_host_before_they_come_and_when_they_went() -> None:
    """Between two plans a run adds and removes them: neither changes the lock, nor moves one."""
    spec = make_spec(cluster("a", agentPools=[SCALES]), hosts=HOSTS)
    sized = spec.at(RunSettings(pool_sizes={"a": {"pool1": 3}}))
    first = plan_placement(spec)
    lock = recorded(first)
    assert {"lab/a-pool1-1", "lab/a-pool1-2"} <= lock.machines.keys()
    assert recorded(plan_placement(sized, lock), lock) == lock
    elsewhere = {name: replace(place, host="node3") for name, place in lock.machines.items()}
    moved = PlacementLock(elsewhere)
    for of_either in (spec, sized):
        assert recorded(plan_placement(of_either, moved), moved) == moved


def test_a_pin_says_where_autoscaling_puts_a_node() -> None:
    pins = {"a-pool1-2": "node2"}
    spec = make_spec(cluster("a", agentPools=[SCALES]), hosts=HOSTS, stack={"placement": {"pins": pins}})
    assert plan_placement(spec).hosts["a-pool1-2"] == "node2"
    assert not [one for one in plan_instance(spec).findings if one.rule.startswith("pin-")]
