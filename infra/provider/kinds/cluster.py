"""The Cluster kind: waits until every node is Ready and every add-on available, and forgets nodes that left."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from infra.kubernetes.api import ClusterApi, ClusterError, ClusterUnreachable
from infra.kubernetes.generated_secrets import ensure_secret
from infra.kubernetes.membership import admit_nodes, dismiss_token, remove_nodes
from infra.kubernetes.watch import NotHealthy, problems, wait_until_healthy
from infra.provider.kind import InitFailed, Kind, Made
from infra.provider.kinds.cluster_base import explain
from infra.provider.operation import Operation
from infra.resources.changes.machine import keep_planes
from infra.resources.cluster import CLUSTER, ClusterInputs, ClusterState

_READY_SECONDS: Final = 600


class ClusterKind(Kind[ClusterInputs, ClusterState]):
    """A Kubernetes cluster as a whole."""

    contract = CLUSTER

    def create(self, op: Operation, inputs: ClusterInputs) -> Made[ClusterState]:
        """Wait for everything."""
        state = self._wait(op, inputs)
        return Made(self.contract.id_of(state.to_wire()), state)

    def read(self, op: Operation, id: str, old: ClusterState | None) -> ClusterState | None:
        """Return whether it is ready now, and what it lacks.

        Without its state, where its keys are, a cluster can't be looked at; `up` makes a new one.
        """
        if old is None:
            return None
        found = problems(ClusterApi(old.kubeconfig), _expected(old), old.namespaces)
        if found:  # the engine shows only that it isn't ready
            op.warning(f"cluster {old.instance}-{old.cluster} lacks: {'; '.join(found)}")
        return old.model_copy(update={"ready": not found, "problems": found})

    def update(self, op: Operation, id: str, old: ClusterState, inputs: ClusterInputs) -> ClusterState:
        """Drain and forget nodes whose machines are to go, then wait for everything."""
        api, staying = ClusterApi(inputs.kubeconfig), {member.name for member in inputs.members}
        leaving = {member.name: member.role for member in old.members if member.name not in staying}
        keep_planes(inputs.cluster, (name for name, role in leaving.items() if role == "controlPlane"))
        for name in remove_nodes(api, leaving, op.cancelled) if leaving else ():
            op.info(f"node {name} was drained and removed from cluster {inputs.cluster}")
        return self._wait(op, inputs)

    def delete(self, op: Operation, id: str, old: ClusterState) -> None:
        """Nothing to do: it goes with its machines."""

    def _wait(self, op: Operation, inputs: ClusterInputs) -> ClusterState:
        """Wait for nodes and add-ons.

        Raises:
            InitFailed: something is missing at the end; says what, why, and where the logs are.
        """
        api, members = ClusterApi(inputs.kubeconfig), _expected(inputs)
        with suppress(ClusterError, ClusterUnreachable):  # then the add-ons' own controllers make them, later
            for one in inputs.generated_secrets:
                ensure_secret(api, one.namespace, one.name, one.key)
        if inputs.token:
            with suppress(ClusterError, ClusterUnreachable):  # the wait says what is the matter
                if not members.keys() <= {node["metadata"]["name"] for node in api.items("/api/v1/nodes")}:
                    admit_nodes(api, inputs.token)
        try:
            wait_until_healthy(
                api,
                members,
                inputs.namespaces,
                deadline=op.deadline(_READY_SECONDS),
                cancelled=op.cancelled,
                status=op.status,
            )
        except NotHealthy as failure:
            fields = inputs.model_dump() | {"ready": False, "problems": list(failure.reasons)}
            state = ClusterState.model_validate(fields)
            name = f"{inputs.instance}-{inputs.cluster}"
            raise InitFailed(
                Made(self.contract.id_of(state.to_wire()), state),
                explain(op, name, api, failure, inputs.namespaces, inputs.members, inputs.identity_files),
            ) from failure
        if inputs.token:
            with suppress(ClusterError, ClusterUnreachable):  # then it ends by itself, two hours later
                dismiss_token(api, inputs.token)
        return ClusterState(**inputs.model_dump())


def _expected(inputs: ClusterInputs) -> dict[str, float]:
    return {member.name: member.started for member in inputs.members}
