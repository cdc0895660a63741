"""How many nodes a pool is to have, from the file and from what it has."""

from __future__ import annotations

from typing import Any

import pytest

from infra.model.run import RunSettings
from infra.spec.stack import AgentPool
from tests.instances import cluster, make_spec

SCALES = {"name": "pool1", "count": 2, "enableAutoScaling": True, "minCount": 2, "maxCount": 4}


@pytest.mark.parametrize(
    ("more", "size", "count"),
    [
        ({}, None, 2),
        ({}, 3, 3),
        ({}, 1, 2),
        ({}, 9, 4),
        ({"enableAutoScaling": False}, 3, 2),
        ({"minCount": None}, 3, 2),
        ({"count": 5}, 3, 5),
    ],
    ids=["begins", "stands", "below min", "above max", "off", "no bound: a rule", "count out of bounds: a rule"],
)
def test_a_size_within_the_bounds_is_kept(more: dict[str, Any], size: int | None, count: int) -> None:
    pool = AgentPool.model_validate({**SCALES, **more})
    assert pool.sized(size).count == count
    assert pool.sized(size).planned_nodes == pool.planned_nodes


def test_only_the_pool_that_is_named_gets_another_size() -> None:
    pools = [SCALES, {**SCALES, "name": "pool2"}]
    spec = make_spec(cluster("a", agentPools=pools), cluster("b", agentPools=pools))
    sized = spec.at(RunSettings(pool_sizes={"a": {"pool2": 3}, "gone": {"pool1": 4}}))
    counts = [[pool.count for pool in one.agent_pools] for one in sized.stack.clusters]
    assert counts == [[2, 3], [2, 2]]
