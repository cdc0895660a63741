"""The ClusterIdentity kind: made once, kept in the engine's encrypted state, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from infra.guest import API_PORT
from infra.kubernetes.pki import administrator_kubeconfig, generate_pki
from infra.model.encryption_keys import ROTATED_AFTER, EncryptionKeys, key_name
from infra.plugin.operation import Operation
from infra.provider.kind import Changes, Kind, Made
from infra.provider.standing import Standing
from infra.resources.cluster_identity import (
    CLUSTER_IDENTITY,
    ClusterIdentityInputs,
    ClusterIdentityState,
    keys_of,
)
from infra.resources.contract import OnChange


class ClusterIdentityKind(Kind[ClusterIdentityInputs, ClusterIdentityState]):
    """Authorities, keys and token of a cluster."""

    contract = CLUSTER_IDENTITY

    def __init__(
        self, standing: Standing | None = None, rotating: Mapping[str, EncryptionKeys] | None = None
    ) -> None:
        """Make the kind.

        Args:
            standing: What stands of an instance that is adopted.
            rotating: By id, what state is to have of Secrets' keys from now on, where these are rotated.
        """
        self._standing = standing.clusters if standing else {}
        self._rotating = rotating or {}

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
        keys, wanted = keys_of(state), self._rotating.get(self.contract.id_of(state))
        if wanted not in (None, keys):
            changes.by_path["encryptionKeys"] = OnChange.UPDATE
        elif keys.current:
            _say_age(op, state, keys)
        else:
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
            # Of a cluster that stands nobody knows it.
            encryption_keys_made=None if stands else dict.fromkeys(map(key_name, pki.encryption_keys), _now()),
            kubeconfig=administrator_kubeconfig(name, f"https://{inputs.endpoint}:{API_PORT}", pki.ca),
        )
        return self.made(state)

    def read(self, op: Operation, id: str, old: ClusterIdentityState | None) -> ClusterIdentityState | None:
        """Return what the state has: there is no other copy, and so nothing to import."""
        return old

    def update(
        self, op: Operation, id: str, old: ClusterIdentityState, inputs: ClusterIdentityInputs
    ) -> ClusterIdentityState:
        """Keep it, but for the keys of Secrets: every change of an input makes another identity."""
        keys = self._rotating.get(id)
        if keys is None:
            return old
        change = {
            "encryption_keys": keys.current,
            "retired_encryption_keys": keys.retired or None,
            "encryption_keys_made": dict(keys.made),
        }
        return old.model_copy(update=change)

    def delete(self, op: Operation, id: str, old: ClusterIdentityState) -> None:
        """Forget it with the state."""


def _say_age(op: Operation, state: Mapping[str, Any], keys: EncryptionKeys) -> None:
    """Say that a rotation of Secrets' key was interrupted, or is due. `up` does none by itself.

    A rotation writes state between its steps, which the engine lets no resource do; and it starts every API server
    again, thrice.
    """
    cluster, remedy = state["cluster"], f"`azlocal rotate-keys STACK --cluster {state['cluster']}`"
    if len(keys.current) > 1:
        op.warning(f"a rotation of the key of cluster {cluster}'s Secrets was interrupted: {remedy} goes on")
        return
    made = keys.made.get(keys.newest)
    if made is None:
        op.warning(f"it isn't known how old the key of cluster {cluster}'s Secrets is: {remedy} makes a new one")
        return
    age = datetime.now(UTC) - datetime.fromisoformat(made)
    if age > ROTATED_AFTER:
        op.warning(
            f"the key of cluster {cluster}'s Secrets is {age.days} days old, and Azure Local changes it each "
            f"{ROTATED_AFTER.days}: {remedy} does"
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
