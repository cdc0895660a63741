"""The inventory is the only list of an instance's machines and of their names."""

import ast
from collections.abc import Iterator
from pathlib import Path

from infra.plan import inventory
from infra.plan.instance import plan_instance
from infra.plan.inventory import build_inventory
from infra.plan.topology import build_topology
from tests.instances import cluster, make_spec

INFRA = Path(inventory.__file__).parents[1]
GROWS = {"name": "pool1", "count": 1, "enableAutoScaling": True, "minCount": 1, "maxCount": 3, "vmSize": "Small"}
SPEC = make_spec(cluster("b", planes=3), cluster("a", agentPools=[{"name": "pool2", "count": 1}, GROWS]))


def test_machines_come_in_an_order_that_is_not_the_files() -> None:
    assert [(one.owner, one.held) for one in build_inventory(SPEC).everything] == [
        ("rb-0", None),
        ("a-cp-0", None),
        ("a-pool1-0", None),
        ("a-pool2-0", None),
        *((f"b-cp-{number}", None) for number in range(3)),
        ("b-nodepool1-0", None),
        ("a-pool1-1", "autoscaling"),
        ("a-pool1-2", "autoscaling"),
        ("rb-spare", "bridgeUpgrade"),
        ("a-spare", "clusterUpgrade"),
        ("b-spare", "clusterUpgrade"),
    ]


def test_everything_in_the_inventory_has_an_address_and_what_is_there_a_host() -> None:
    plan = plan_instance(SPEC)
    topology = build_topology(SPEC, plan)
    everything = build_inventory(SPEC)
    owners = {one.owner for network in plan.addresses.networks for one in network.allocations}
    assert {one.owner for one in everything.everything} <= owners
    there = [one.owner for one in everything.machines]
    assert [one.owner for one in topology.machines] == there
    assert [one.machine.owner for one in plan.placement.placed] == there
    nodes = {one.spec.name: one.spec.planned_nodes for one in everything.clusters}
    assert nodes == {one.spec.name: len(one.nodes) for one in everything.clusters} == {"a": 5, "b": 4}


def test_nothing_else_makes_up_a_name() -> None:
    others = {path for path in INFRA.rglob("*.py") if path != Path(inventory.__file__)}
    made_up = {
        f"{path.relative_to(INFRA)}: {text}"
        for path in others
        for text in _texts(path)
        if text in {inventory.BRIDGE_MACHINE, inventory.BRIDGE_SPARE, inventory.BRIDGE_ENDPOINT}
        or text.startswith(("-cp-", "-vip", "-spare", "-lb-"))
    }
    assert made_up == set()


def _texts(path: Path) -> Iterator[str]:
    """Yield the constant texts of a module, those between the values of an f-string too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
