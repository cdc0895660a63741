"""The ClusterIdentity kind: made once, kept in the engine's encrypted state, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.guest import API_PORT
from infra.kubernetes.pki import administrator_kubeconfig, generate_pki
from infra.provider.kind import Changes, Kind, Made
from infra.provider.operation import Operation
from infra.provider.standing import Standing
from infra.resources.cluster_identity import CLUSTER_IDENTITY, ClusterIdentityInputs, ClusterIdentityState


class ClusterIdentityKind(Kind[ClusterIdentityInputs, ClusterIdentityState]):
    """Authorities, keys and token of a cluster."""

    contract = CLUSTER_IDENTITY

    def __init__(self, standing: Standing | None = None) -> None:
        """Make the kind; `standing` is what stands of an instance that is adopted."""
        self._standing = standing.clusters if standing else {}

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """Say where a cluster keeps what it was founded with; of a cluster of 0.1.0 nothing is known."""
        kept = state.get("podSecurity")
        if kept and kept != news["podSecurity"] and not changes.replaces():
            op.info(
                f"cluster {news['cluster']} keeps podSecurity {kept}, which it was founded with. A namespace can "
                "ask for another level: kubectl label namespace NAME pod-security.kubernetes.io/enforce=LEVEL"
            )

    def create(self, op: Operation, inputs: ClusterIdentityInputs) -> Made[ClusterIdentityState]:
        """Make new keys; of a cluster that stands, keep those that it has."""
        stands = self._standing.get(self.contract.id_of(inputs.to_wire()))
        pki = stands.pki if stands else generate_pki()
        name = f"{inputs.instance}-{inputs.cluster}"
        state = ClusterIdentityState(
            **inputs.model_dump(exclude={"pod_security"}),
            pod_security=stands.pod_security if stands else inputs.pod_security,
            ca_certificate=pki.ca.certificate,
            ca_hash=pki.ca_hash,
            token=pki.token,
            keys=pki.files,
            unicast_vrrp=stands.unicast_vrrp if stands else True,
            kubeconfig=administrator_kubeconfig(name, f"https://{inputs.endpoint}:{API_PORT}", pki.ca),
        )
        return Made(self.contract.id_of(state.to_wire()), state)

    def read(self, op: Operation, id: str, old: ClusterIdentityState | None) -> ClusterIdentityState | None:
        """Return what the state has: there is no other copy, and so nothing to import."""
        return old

    def update(
        self, op: Operation, id: str, old: ClusterIdentityState, inputs: ClusterIdentityInputs
    ) -> ClusterIdentityState:
        """Keep it: every change of an input makes another identity."""
        return old

    def delete(self, op: Operation, id: str, old: ClusterIdentityState) -> None:
        """Forget it with the state."""
