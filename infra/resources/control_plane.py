"""A cluster's control plane: the API server behind the cluster's address, which machines may join."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import Field

from infra.model.base import Model
from infra.model.node import NodeRole
from infra.resources.contract import IGNORE, REPLACE, UPDATE, Contract, Secret


class Member(Model):
    """A machine of a cluster."""

    name: str = Field(description="Of the machine, and of its node")
    role: NodeRole
    address: str
    ssh_host_key: str = Field(description="Another one means that the machine was replaced")
    started: int = Field(default=0, description="When the machine was last started, in seconds since 1970")


class ControlPlaneInputs(Model):
    """What the program says of a control plane."""

    instance: Annotated[str, REPLACE]
    cluster: Annotated[str, REPLACE]
    kubeconfig: Annotated[str, UPDATE, Secret()]
    token: Annotated[str, UPDATE, Secret()] = Field(description="The bootstrap token, renewed for new machines")
    # Paths on whoever's machine runs Pulumi: no property of the cluster.
    identity_files: Annotated[list[str], IGNORE] = Field(
        default_factory=list, description="Private keys that may log in to the machines, to collect logs"
    )
    members: Annotated[list[Member], UPDATE] = Field(description="All machines of the cluster")
    images: Annotated[list[str], UPDATE] = Field(
        default_factory=list, description="The container images of the bundle, which every node has in its store"
    )
    # Paths, as above.
    archives: Annotated[dict[str, str], IGNORE] = Field(
        default_factory=dict, description="The OCI archive of each of these images, for nodes that lack it"
    )


class ControlPlaneState(ControlPlaneInputs):
    """The control plane as it answers."""

    version: str = Field(description="What the API server says it is")
    cluster_uid: str = Field(description="The UID of its kube-system namespace: another one is another cluster")
    certificates_end: str | None = Field(
        default=None, description="When the first certificate of its API servers ends, as RFC 3339 has it"
    )
    vrrp_version: int | None = Field(
        default=None, description="The version of VRRP by which its machines hold its address; absent: 2"
    )


VRRP_VERSION: Final = 3
"""The version of VRRP that control planes speak (infra.guest.keepalived)."""


def _unsettled(state: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether certificates end soon or at an unknown time, or VRRPv2 is spoken: as in a state of 0.1.0."""
    from infra.kubernetes.certificates import is_due

    if state.get("vrrpVersion") != VRRP_VERSION:
        return True
    end = state.get("certificatesEnd")
    return end is None or is_due(datetime.fromisoformat(end), datetime.now(UTC))


CONTROL_PLANE = Contract(
    "azlocal:index:ControlPlane",
    ControlPlaneInputs,
    ControlPlaneState,
    "A cluster's API server, ready when it answers behind the cluster's address.",
    "{instance}/{cluster}",
    unsettled=_unsettled,
)
