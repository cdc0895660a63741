"""The ClusterIdentity kind: made once, kept in the engine's encrypted state, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.guest import API_PORT
from infra.kubernetes.pki import administrator_kubeconfig, generate_pki
from infra.plugin.operation import Operation
from infra.provider.kind import Changes, Kind, Made
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
        if changes.replaces():
            return
        level = state.get("podSecurity")
        if level and level != news["podSecurity"]:
            op.info(
                f"cluster {news['cluster']} keeps podSecurity {level}, which it was founded with. A namespace can "
                "ask for another level: kubectl label namespace NAME pod-security.kubernetes.io/enforce=LEVEL"
            )
        if not state.get("encryptionKeys"):
            op.info(
                f"cluster {news['cluster']} keeps its Secrets in etcd unencrypted, as it was founded. A cluster "
                "that is founded now encrypts them"
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
            encryption_keys=pki.encryption_keys or None,
            kubeconfig=administrator_kubeconfig(name, f"https://{inputs.endpoint}:{API_PORT}", pki.ca),
        )
        return self.made(state)

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
