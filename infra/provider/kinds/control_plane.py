"""The ControlPlane kind: waits for the API server, and admits machines that come later."""

from __future__ import annotations

from typing import Final

from infra.kubernetes.api import ClusterApi
from infra.kubernetes.membership import admit_nodes
from infra.kubernetes.watch import NotHealthy, wait_until_answering
from infra.provider.kind import InitFailed, Kind, Made
from infra.provider.kinds.cluster_base import explain
from infra.provider.operation import Operation
from infra.resources.control_plane import CONTROL_PLANE, ControlPlaneInputs, ControlPlaneState

_READY_SECONDS: Final = 600


class ControlPlaneKind(Kind[ControlPlaneInputs, ControlPlaneState]):
    """The API server behind a cluster's address."""

    contract = CONTROL_PLANE

    def create(self, op: Operation, inputs: ControlPlaneInputs) -> Made[ControlPlaneState]:
        """Wait until it answers, and let machines join that come late: the first run may have been long ago."""
        state = self._wait(op, inputs)
        admit_nodes(ClusterApi(inputs.kubeconfig), inputs.token)
        return Made(self.contract.id_of(state.to_wire()), state)

    def read(self, op: Operation, id: str, old: ControlPlaneState | None) -> ControlPlaneState | None:
        """Return what is known: an API server that doesn't answer is down, not gone."""
        return old

    def update(
        self, op: Operation, id: str, old: ControlPlaneState, inputs: ControlPlaneInputs
    ) -> ControlPlaneState:
        """Wait until it answers, and let machines join that were made since."""
        state = self._wait(op, inputs)
        admit_nodes(ClusterApi(inputs.kubeconfig), inputs.token)
        return state

    def delete(self, op: Operation, id: str, old: ControlPlaneState) -> None:
        """Nothing to do: it goes with its machines."""

    def _wait(self, op: Operation, inputs: ControlPlaneInputs) -> ControlPlaneState:
        """Wait until the API server answers.

        Raises:
            InitFailed: it doesn't answer in time; says where the machines' logs are.
        """
        api = ClusterApi(inputs.kubeconfig)
        try:
            answer = wait_until_answering(
                api, deadline=op.deadline(_READY_SECONDS), cancelled=op.cancelled, status=op.status
            )
        except NotHealthy as failure:
            state = ControlPlaneState(**inputs.model_dump(), version="", cluster_uid="")
            name = f"{inputs.instance}-{inputs.cluster}"
            raise InitFailed(
                Made(self.contract.id_of(state.to_wire()), state),
                explain(op, name, api, failure, ["kube-system"], inputs.members, inputs.identity_files),
            ) from failure
        return ControlPlaneState(**inputs.model_dump(), version=answer.version, cluster_uid=answer.cluster_uid)
