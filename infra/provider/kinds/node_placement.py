"""The NodePlacement kind: what the plugin knows a cluster by, before any machine of it comes, moves or goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.plugin.operation import Operation
from infra.provider.kind import Changes, Kind, Made
from infra.provider.lives import ClusterRun, Lives
from infra.provider.local_volumes import name_lost, see_that_none_is_lost
from infra.resources.changes import Refused
from infra.resources.contract import Fault
from infra.resources.node_placement import NODE_PLACEMENT, NodePlacementInputs, NodePlacementState


class NodePlacementKind(Kind[NodePlacementInputs, NodePlacementState]):
    """A cluster that stays. Machines wait for it, so it is known before the first of them leaves."""

    contract = NODE_PLACEMENT

    def __init__(self, lives: Lives | None = None) -> None:
        """Make the kind; `lives` are told of each cluster that the program names."""
        self._lives = lives or Lives()

    def check(self, inputs: dict[str, Any], unknown: frozenset[str]) -> list[Fault]:
        """Take the cluster as one that stays, before any machine of it is looked at."""
        if not unknown & self.contract.properties.keys() and inputs["etcdKeys"]:
            self._lives.announce(NodePlacementInputs.model_validate(inputs))
        return []

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """Note that the nodes' version changes; a state of before has none, and says nothing of it.

        Until their login keys have changed, machines are logged in to as before.

        Raises:
            Refused: Control planes are to come or go in the same run.
        """
        cluster = self._lives.of(f"{state['instance']}-{state['cluster']}")
        if cluster is not None:
            files = dict.fromkeys((*cluster.placement.identity_files, *(state.get("identityFiles") or ())))
            cluster.placement = cluster.placement.model_copy(update={"identity_files": [*files]})
        if cluster is not None and not cluster.is_new:
            self._see_that_volumes_stay(op, state, news, cluster)
        old, new = state.get("version", ""), news.get("version", "")
        if not old or old == new:
            changes.by_path.pop("version", None)
            return
        if cluster is not None:
            cluster.rolls = True
        if set(state.get("controlPlanes") or {}) != set(news.get("controlPlanes") or {}):
            raise Refused(
                f"cluster {state['cluster']} would go from Kubernetes {old} to {new} and change its number of "
                "control planes: make one change after the other"
            )

    def _see_that_volumes_stay(
        self, op: Operation, state: Mapping[str, Any], news: Mapping[str, Any], cluster: ClusterRun
    ) -> None:
        """See that no node that goes for good takes volumes with it: no diff shows such a machine.

        Raises:
            Refused: One does, and nobody accepted that.
        """
        before, after = (
            {*(side.get("hosts") or ()), *(side.get("controlPlanes") or ())} for side in (state, news)
        )
        lost = set(news.get("lost") or ())
        for name in sorted(before - after):
            if state["hosts"].get(name) in lost:
                name_lost(op, name, cluster)
            else:
                see_that_none_is_lost(op, name, "would go", cluster, keeps=False)

    def create(self, op: Operation, inputs: NodePlacementInputs) -> Made[NodePlacementState]:
        """Note where the workers are to be, and that there is no cluster yet."""
        self._lives.begin(inputs)
        state = NodePlacementState(**inputs.model_dump())
        return self.made(state)

    def read(self, op: Operation, id: str, old: NodePlacementState | None) -> NodePlacementState | None:
        """Return what was noted: which machines stand where, they say themselves."""
        return old

    def update(
        self, op: Operation, id: str, old: NodePlacementState, inputs: NodePlacementInputs
    ) -> NodePlacementState:
        """Note what is wanted now: a node leaves with its machine."""
        return NodePlacementState(**inputs.model_dump())

    def delete(self, op: Operation, id: str, old: NodePlacementState) -> None:
        """Nothing to do: it goes with its machines."""
