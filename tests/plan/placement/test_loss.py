"""What a host's loss leaves."""

from typing import Any

from infra.plan.placement import Place, PlacementLock, plan_placement
from infra.plan.placement.loss import every_loss, lose
from tests.instances import cluster, host, make_spec


def on(**hosts: str) -> PlacementLock:
    return PlacementLock({f"lab/{owner.replace('_', '-')}": Place(at, 8192, 200) for owner, at in hosts.items()})


AVSET = on(a_cp_0="node1", a_cp_1="node2", a_cp_2="node2", a_np1_0="node1", a_np1_1="node2", rb_0="node1")
SPEC: dict[str, Any] = {"agentPools": [{"name": "np1", "count": 2}], "loadBalancer": {"count": 2}}


def test_the_article_s_example() -> None:
    """AVSET: A has CP1 and W1, B has CP2, CP3 and W2; B down, all are on A."""
    placement = plan_placement(make_spec(cluster(planes=3, **SPEC), hosts=[host(1), host(2)]), AVSET)
    loss = lose(placement, "node2")
    assert {one.machine.owner: where for one, where in loss.restarted} == dict.fromkeys(
        ("a-cp-1", "a-cp-2", "a-np1-1"), "node1"
    )
    assert [(one.name, one.members - one.lost, one.stands) for one in loss.sets] == [
        ("a-cp", 1, False),
        ("a-np1", 1, True),
    ]
    assert [(one.owner, one.stands) for one in loss.virtual] == [("a-vip", False), ("a-lb", True)]
    other = lose(placement, "node1")
    assert [(one.owner, one.stands) for one in other.virtual] == [
        ("rb-vip", False),
        ("a-vip", True),
        ("a-lb", True),
    ]


def test_who_has_no_room_elsewhere_is_named_the_largest_placed_first() -> None:
    hosts = [host(1, memoryGiB=64), host(2, memoryGiB=24)]
    spec = make_spec(cluster(agentPools=[{"name": "np1", "count": 1, "vmSize": "Standard_D4s_v3"}]), hosts=hosts)
    lock = on(rb_0="node1", a_cp_0="node1", a_np1_0="node1")
    loss = lose(plan_placement(spec, lock), "node1")
    assert [(one.machine.owner, where) for one, where in loss.restarted] == [
        ("a-np1-0", "node2"),
        ("rb-0", "node2"),
    ]
    assert [one.machine.owner for one in loss.stranded] == ["a-cp-0"]


def test_the_reserve_may_be_used_and_a_draining_host_not() -> None:
    hosts = [host(1, memoryGiB=32), host(2, memoryGiB=24), host(3, memoryGiB=512, drain=True)]
    spec = make_spec(cluster(), hosts=hosts, stack={"placement": {"reservePercent": 20}})
    placement = plan_placement(spec, on(rb_0="node1", a_cp_0="node1", a_nodepool1_0="node1"))
    assert {where for _, where in lose(placement, "node1").restarted} == {"node2"}
    assert not lose(placement, "node1").stranded


def test_every_host_is_asked_about_and_an_empty_one_loses_nothing() -> None:
    placement = plan_placement(make_spec(hosts=[host(10), host(9), host(2, drain=True)]))
    losses = every_loss(placement)
    assert [one.host for one in losses] == ["node2", "node9", "node10"]
    assert (losses[0].restarted, losses[0].stranded, losses[0].sets) == ((), (), ())
