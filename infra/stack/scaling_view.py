"""From what people wrote of a cluster's pools, and what its API server says, to what their size is decided by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from infra.errors import UserError
from infra.kubernetes.scheduling import Scheduling
from infra.lifecycle.scaling.objects import Node, Taint
from infra.lifecycle.scaling.view import Pool, Profile, View
from infra.model.run import PoolSizes
from infra.node_labels import POOL_LABEL
from infra.plan.inventory import PlannedMachine, build_inventory
from infra.spec import InstanceSpec
from infra.spec.auto_scaler import AutoScalerProfile, time_of
from infra.spec.machine_names import machine_name
from infra.spec.stack import AgentPool, ClusterSpec

_MIB: Final = 1024 * 1024 * 1000
"""A MiB in thousandths of a byte."""
_EVICTS_BELOW: Final = 100
"""Of memory, in MiB, which pods don't get (kubelet's evictionHard)."""


def scaling_clusters(spec: InstanceSpec, name: str | None) -> list[ClusterSpec]:
    """Return the clusters that have pools which scale.

    Args:
        spec: What people wrote.
        name: The only one that is meant; None: all.

    Raises:
        UserError: There is none.
    """
    scaling = {
        cluster.name: cluster
        for cluster in spec.stack.clusters
        if cluster.provisioning == "kubernetes" and any(pool.enable_auto_scaling for pool in cluster.agent_pools)
    }
    if name is None and scaling:
        return [*scaling.values()]
    if name is not None and name in scaling:
        return [scaling[name]]
    known = ", ".join(cluster.name for cluster in spec.stack.clusters) or "none"
    if name is not None and all(cluster.name != name for cluster in spec.stack.clusters):
        raise UserError(f"Pulumi.{spec.name}.yaml has no cluster {name!r}; it has {known}")
    raise UserError(
        f"no pool of {f'cluster {name}' if name else spec.name} scales by itself; write `enableAutoScaling: true` "
        f"with minCount and maxCount into a pool of a cluster in Pulumi.{spec.name}.yaml, which Kubernetes runs on"
    )


def view_of(spec: InstanceSpec, cluster: str, sizes: PoolSizes, seen: Scheduling, now: datetime) -> View:
    """Return a cluster as the size of its pools is decided by. Pure.

    Args:
        spec: What people wrote.
        cluster: The cluster.
        sizes: How many nodes its pools have.
        seen: What its API server says.
        now: When.
    """
    return View(now, pools_of(spec, cluster, sizes), seen.nodes, seen.pods, seen.daemons, seen.allowed)


def pools_of(spec: InstanceSpec, cluster: str, sizes: PoolSizes) -> tuple[Pool, ...]:
    """Return a cluster's pools that scale, with the sizes that they have. Pure."""
    planned = next(planned for planned in build_inventory(spec).clusters if planned.spec.name == cluster)
    machines: dict[str, list[PlannedMachine]] = {}
    for node in planned.nodes:
        if node.pool is not None and node.pool.enable_auto_scaling:
            machines.setdefault(node.pool.name, []).append(node)
    return tuple(
        _pool(spec, of_pool, sizes.get(cluster, {}))
        for of_pool in machines.values()
        if of_pool[0].pool and of_pool[0].pool.min_count is not None and of_pool[0].pool.max_count is not None
    )


def _pool(spec: InstanceSpec, machines: list[PlannedMachine], sizes: Mapping[str, int]) -> Pool:
    first = machines[0]
    assert first.pool is not None  # noqa: S101 - only workers come here
    pool = first.pool.sized(sizes.get(first.pool.name))
    return Pool(
        name=pool.name,
        machines=tuple(machine_name(spec.name, machine.owner) for machine in machines),
        size=pool.count,
        least=pool.min_count or 1,
        most=pool.max_count or 1,
        template=_template(first, pool),
    )


def _template(machine: PlannedMachine, pool: AgentPool) -> Node:
    """Return a node as a machine's size promises it."""
    size = machine.size
    taints = []
    for text in pool.node_taints:
        key, _, effect = text.rpartition(":")
        name, _, value = key.partition("=")
        taints.append(Taint(name, value, effect))
    return Node(
        name="new",
        allocatable={
            "cpu": size.vcpus * 1000,
            "memory": (size.memory_mib - _EVICTS_BELOW) * _MIB,
            "ephemeral-storage": size.disk_gib * 1024 * _MIB,
            "pods": pool.max_pods * 1000,
        },
        labels={**pool.node_labels, POOL_LABEL: pool.name, "kubernetes.io/os": "linux"},
        taints=tuple(taints),
    )


def profile_of(written: AutoScalerProfile, *, loses_volumes: bool = False) -> Profile:
    """Return how eagerly pools grow and shrink, from AKS's texts, and whether volumes may go with nodes. Pure."""
    return Profile(
        expander="most-pods" if written.expander == "most-pods" else "least-waste",
        new_pod_delay=time_of(written.new_pod_scale_up_delay),
        delay_after_add=time_of(written.scale_down_delay_after_add),
        unneeded_time=time_of(written.scale_down_unneeded_time),
        utilization_threshold=float(written.scale_down_utilization_threshold),
        skips_local_storage=written.skip_nodes_with_local_storage == "true",
        skips_system_pods=written.skip_nodes_with_system_pods == "true",
        loses_volumes=loses_volumes,
        ignores_daemonsets=written.ignore_daemonsets_utilization == "true",
    )
