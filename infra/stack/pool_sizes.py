"""How many nodes the pools with autoscaling of a stack have: its state knows, and not its files.

The file's `count` is what such a pool begins with. Afterwards its machines in state count, and what the last run
that succeeded wrote into the stack's outputs: the higher number, so that neither a machine that was lost nor a run
that failed makes a pool smaller. Each run clamps it to the pool's bounds (infra.spec.stack.AgentPool.sized).
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from infra.errors import UserError
from infra.model.run import PoolSizes, RunSettings
from infra.plan.inventory import build_inventory
from infra.spec import InstanceSpec, SpecError, load_instance
from infra.spec.loader import load_stack
from infra.spec.machine_names import machine_name
from infra.stack.environment import BACKEND
from infra.stack.state import Stack

OUTPUT: Final = "agentPools"
"""The output in which a run notes the sizes: {CLUSTER: {POOL: NODES}}."""
_MACHINE: Final = "azlocal:index:Machine"
_STACK: Final = "pulumi:pulumi:Stack"


def pool_sizes_of(stack: Stack) -> PoolSizes:
    """Return the sizes of a stack's pools with autoscaling; state is only asked where there are any.

    Raises:
        EngineFailed: State can't be read.
    """
    try:
        config, _, _ = load_stack(stack.name, stack.directory)
        if not any(pool.enable_auto_scaling for cluster in config.clusters for pool in cluster.agent_pools):
            return {}
        spec = load_instance(stack.name, stack.directory)
    except SpecError:
        return {}  # the run says what is wrong with them
    resources = stack.deployment().get("resources") or ()
    return sizes_of(spec, machines_of(resources), recorded_of(resources))


def settings_of_bare_run(project: Path) -> RunSettings:
    """Return what a run goes by that nobody told anything: a user's of the bare command, from within it.

    Raises:
        pulumi.RunError: State can't be read. A run without it would make pools as large as the files say.
    """
    import pulumi

    stack = Stack(pulumi.get_stack(), project, os.environ.get(BACKEND, ""))
    try:
        return RunSettings(pool_sizes=pool_sizes_of(stack))
    except UserError as error:
        raise pulumi.RunError(
            "pools of this stack scale by themselves, and how many nodes they have can't be read from its state, "
            f"so nothing was changed: {error}. `azlocal up {stack.name}` reads it before the run begins"
        ) from None


def machines_of(resources: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of the machines that a state has, less those that are only to be deleted. Pure."""
    return frozenset(
        str(resource["outputs"]["name"])
        for resource in resources
        if resource["type"] == _MACHINE
        and not resource.get("delete")
        and "name" in (resource.get("outputs") or {})
    )


def recorded_of(resources: Iterable[Mapping[str, Any]]) -> PoolSizes:
    """Return the sizes that the last run which succeeded wrote down. Pure."""
    for resource in resources:
        if resource["type"] == _STACK:
            sizes: PoolSizes = (resource.get("outputs") or {}).get(OUTPUT) or {}
            return sizes
    return {}


def sizes_of(spec: InstanceSpec, machines: Container[str], recorded: PoolSizes) -> PoolSizes:
    """Return the sizes of an instance's pools with autoscaling, of those that have any. Pure.

    A pool's machines are numbered from 0, and one that is gone from the middle is made again: so the highest
    number says how many there are.

    Args:
        spec: What people wrote.
        machines: The names of those that stand.
        recorded: The sizes that the last run left.
    """
    sizes: dict[str, dict[str, int]] = {}
    for cluster in build_inventory(spec).clusters:
        own = recorded.get(cluster.spec.name, {})
        for node in cluster.nodes:
            if node.pool is None or not node.pool.enable_auto_scaling:
                continue
            pools = sizes.setdefault(cluster.spec.name, {})
            highest = node.number + 1 if machine_name(spec.name, node.owner) in machines else 0
            pools[node.pool.name] = max(pools.get(node.pool.name, 0), highest, own.get(node.pool.name, 0))
    return {
        cluster: {pool: size for pool, size in pools.items() if size}
        for cluster, pools in sizes.items()
        if any(pools.values())
    }
