"""A cluster's identity: its authorities, service-account key, encryption keys, bootstrap token, kubeconfig."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from infra.model.base import Model
from infra.model.encryption_keys import ROTATED_AFTER, EncryptionKeys
from infra.model.node import PodSecurity
from infra.resources.contract import IGNORE, REPLACE, Contract, Secret


class ClusterIdentityInputs(Model):
    """What the program says of an identity."""

    instance: Annotated[str, REPLACE] = Field(description="The Azure Local instance")
    cluster: Annotated[str, REPLACE] = Field(description="The cluster's name")
    endpoint: Annotated[str, REPLACE] = Field(description="The API server's address; immutable, as on Azure Local")
    # Kept here, where it was written when the cluster was founded, so that every control plane is told the same.
    pod_security: Annotated[PodSecurity | None, IGNORE] = Field(
        default=None,
        description="The level of pods whose namespace says nothing; absent: nothing is asked of them",
    )


class ClusterIdentityState(ClusterIdentityInputs):
    """The identity. It exists only here: a cluster whose state is lost can't be joined by new nodes."""

    ca_certificate: str = Field(description="The cluster CA's certificate, PEM")
    ca_hash: str = Field(description="kubeadm's pin of the CA's public key")
    token: Annotated[str, Secret()] = Field(description="Bootstrap token of joining nodes, valid for two hours")
    keys: Annotated[dict[str, str], Secret()] = Field(
        description="Certificates and keys of the control plane by path under /etc/kubernetes/pki"
    )
    encryption_keys: Annotated[tuple[str, ...] | None, Secret()] = Field(
        default=None,
        description="Keys of Secrets in etcd, the one in use first; absent: the cluster was founded without. More "
        "than one: `azlocal rotate-keys` was interrupted",
    )
    retired_encryption_keys: Annotated[tuple[str, ...] | None, Secret()] = Field(
        default=None, description="Keys that no control plane has any more, by which older snapshots are read"
    )
    encryption_keys_made: dict[str, str] | None = Field(
        default=None, description="When each of these keys was made, by its name, as RFC 3339 has it"
    )
    unicast_vrrp: bool | None = Field(
        default=None, description="Only in states in which control planes spoke VRRPv2; without effect"
    )
    kubeconfig: Annotated[str, Secret()] = Field(description="An administrator's kubeconfig")


def keys_of(state: Mapping[str, Any]) -> EncryptionKeys:
    """Return the keys of a cluster's Secrets that a state, by wire names, has."""
    return EncryptionKeys(
        tuple(state.get("encryptionKeys") or ()),
        tuple(state.get("retiredEncryptionKeys") or ()),
        dict(state.get("encryptionKeysMade") or {}),
    )


def _unsettled(state: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether something is to be said of a cluster: it keeps what it was founded with, or without.

    So it is where its Secrets' key is older than a month, or of unknown age, or its rotation was interrupted.
    """
    if state.get("podSecurity") not in (None, news.get("podSecurity")):
        return True
    keys = keys_of(state)
    if len(keys.current) != 1 or keys.newest not in keys.made:
        return True
    return datetime.now(UTC) - datetime.fromisoformat(keys.made[keys.newest]) > ROTATED_AFTER


CLUSTER_IDENTITY = Contract(
    "azlocal:index:ClusterIdentity",
    ClusterIdentityInputs,
    ClusterIdentityState,
    "A cluster's CAs, service-account key, encryption keys, bootstrap token and kubeconfig.",
    "{instance}/{cluster}",
    unsettled=_unsettled,
)
