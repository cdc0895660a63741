"""The runs of the engine by which a stack gets to what its files say, and what each of them goes by besides.

A control plane passes every minor (kubernetes.io/releases/version-skew-policy), and the engine replaces a machine
once in a run. So an edit over several minors takes several runs, one after the other; after one that was killed,
the next command begins where state says that machines are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from infra.lifecycle.versions import order, stages
from infra.model.run import PoolSizes, RunSettings
from infra.model.versions import BUILT, NodeVersions, Stage
from infra.spec import SpecError
from infra.spec.loader import load_stack
from infra.stack.pool_sizes import pool_sizes_of
from infra.stack.state import Stack

_MACHINE = "azlocal:index:Machine"


def runs_of(stack: Stack, pool_sizes: PoolSizes | None = None) -> list[RunSettings]:
    """Return what each run goes by that the files don't say.

    Args:
        stack: The stack.
        pool_sizes: How many nodes pools with autoscaling are to have; None: as many as they have.
    """
    sizes = pool_sizes_of(stack) if pool_sizes is None else pool_sizes
    return [RunSettings(stage, sizes) for stage in stages_of(stack)]


def stages_of(stack: Stack) -> list[Stage]:
    """Return what clusters are to have in each run; the last one, which is empty, is what the files say."""
    try:
        config, _, _ = load_stack(stack.name, stack.directory)
    except SpecError:
        return [{}]  # the run says what is wrong with them
    standing = standing_versions(stack.name, stack.deployment().get("resources") or ())
    builds = {version.version: version.version for version in BUILT}
    *passed, _ = stages(standing, config.node_versions, builds)
    return [*passed, {}]


def standing_versions(instance: str, resources: Iterable[Mapping[str, Any]]) -> dict[str, NodeVersions]:
    """Return the oldest versions of each cluster's nodes, by its name, as state has its machines. Pure."""
    versions: dict[str, dict[str, list[str]]] = {}
    for resource in resources:
        if resource["type"] != _MACHINE or resource.get("delete"):
            continue
        node = ((resource.get("outputs") or {}).get("firstBoot") or {}).get("node")
        if node:
            cluster = node["cluster"].removeprefix(f"{instance}-")
            versions.setdefault(cluster, {}).setdefault(node["role"], []).append(node["version"])
    return {
        cluster: NodeVersions(
            planes=min(of["controlPlane"], key=order),
            workers=min(of.get("worker") or of["controlPlane"], key=order),
        )
        for cluster, of in versions.items()
        if "controlPlane" in of
    }


def step_of(stage: Stage) -> str:
    """Say what a run on the way brings. Pure."""
    return "; ".join(
        f"cluster {name}: control planes get Kubernetes {versions.planes} on their way to a later minor"
        + ("" if versions.workers == versions.planes else f", workers keep {versions.workers} meanwhile")
        for name, versions in stage.items()
    )
