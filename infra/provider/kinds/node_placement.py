"""The NodePlacement kind: a worker that moves to another host leaves its cluster before its machine is removed."""

from __future__ import annotations

from infra.kubernetes.api import ClusterApi, ClusterUnreachable
from infra.kubernetes.membership import remove_nodes
from infra.provider.kind import Kind, Made
from infra.provider.operation import Operation
from infra.resources.node_placement import NODE_PLACEMENT, NodePlacementInputs, NodePlacementState


class NodePlacementKind(Kind[NodePlacementInputs, NodePlacementState]):
    """The workers' hosts. Machines wait for it, so it knows of a move before they do."""

    contract = NODE_PLACEMENT

    def create(self, op: Operation, inputs: NodePlacementInputs) -> Made[NodePlacementState]:
        """Note where the workers are to be."""
        state = NodePlacementState(**inputs.model_dump())
        return Made(self.contract.id_of(state.to_wire()), state)

    def read(self, op: Operation, id: str, old: NodePlacementState | None) -> NodePlacementState | None:
        """Return what was noted: which machines stand where, they say themselves."""
        return old

    def update(
        self, op: Operation, id: str, old: NodePlacementState, inputs: NodePlacementInputs
    ) -> NodePlacementState:
        """Drain and forget the nodes that move; those of a lost host can't be drained, and are only forgotten.

        Nodes that migrate as they run stay in the cluster.
        """
        state = NodePlacementState(**inputs.model_dump())
        moving = {
            name
            for name, host in old.hosts.items()
            if inputs.hosts.get(name, host) != host and host not in inputs.live
        }
        if not moving or old.kubeconfig != inputs.kubeconfig:  # else they are another cluster's by now
            return state
        lost = {name for name in moving if old.hosts[name] in inputs.lost}
        api = ClusterApi(inputs.kubeconfig)
        try:
            op.status(f"removing {', '.join(sorted(moving))} from the cluster")
            gone = remove_nodes(api, lost, op.cancelled, drain=False)
            drained = remove_nodes(api, moving - lost, op.cancelled)
        except ClusterUnreachable as error:
            if moving != lost:
                raise
            op.warning(f"nodes of lost hosts stay listed in cluster {inputs.cluster}: {error}")
            return state
        for name in gone:
            op.info(f"node {name} was on a lost host, and is removed from cluster {inputs.cluster}")
        for name in drained:
            op.info(f"node {name} was drained and removed from cluster {inputs.cluster}, before it moves")
        return state

    def delete(self, op: Operation, id: str, old: NodePlacementState) -> None:
        """Nothing to do: it goes with its machines."""
