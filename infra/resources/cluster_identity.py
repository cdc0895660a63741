"""A cluster's identity: its authorities, service-account key, bootstrap token and kubeconfig."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from infra.guest.api_server import PodSecurity
from infra.resources.contract import IGNORE, REPLACE, Contract, Model, Secret


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
    # No input: what a cluster of 0.1.0 doesn't have isn't taken from the program.
    unicast_vrrp: bool | None = Field(
        default=None, description="Its control planes hold the address by VRRP among themselves, not by multicast"
    )
    kubeconfig: Annotated[str, Secret()] = Field(description="An administrator's kubeconfig")


def _unsettled(state: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether the program asks for another level than the cluster was founded with, which it keeps."""
    return state.get("podSecurity") not in (None, news.get("podSecurity"))


CLUSTER_IDENTITY = Contract(
    "azlocal:index:ClusterIdentity",
    ClusterIdentityInputs,
    ClusterIdentityState,
    "A cluster's CAs, service-account key, bootstrap token and kubeconfig.",
    "{instance}/{cluster}",
    unsettled=_unsettled,
)
