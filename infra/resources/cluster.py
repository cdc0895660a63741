"""A cluster as a whole: every node Ready, every add-on available."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.model.node import NodeMarks
from infra.resources.contract import IGNORE, REPLACE, UPDATE, Contract, Secret
from infra.resources.control_plane import Member


class GeneratedSecret(Model):
    """A Secret with a random key that add-ons need to start; in the cluster alone, and never in state."""

    namespace: str
    name: str
    key: str = Field(description="What the random value is called in it")


class ClusterInputs(Model):
    """What the program says of a cluster."""

    instance: Annotated[str, REPLACE]
    cluster: Annotated[str, REPLACE]
    kubeconfig: Annotated[str, UPDATE, Secret()]
    token: Annotated[str | None, IGNORE, Secret()] = Field(
        default=None,
        description="The bootstrap token: renewed for nodes that are still to join, revoked after them",
    )
    # Paths on whoever's machine runs Pulumi: no property of the cluster.
    identity_files: Annotated[list[str], IGNORE] = Field(
        default_factory=list, description="Private keys that may log in to the machines, to collect logs"
    )
    members: Annotated[list[Member], UPDATE] = Field(
        description="Its machines; another node is drained and removed"
    )
    nodes: Annotated[dict[str, NodeMarks], UPDATE] = Field(
        default_factory=dict,
        description="Labels and taints of each node that azlocal gives any; those of others stay",
    )
    namespaces: Annotated[list[str], UPDATE] = Field(description="Whose workloads have to be available")
    add_ons: Annotated[dict[str, int], UPDATE] = Field(
        default_factory=dict, description="Revision of each add-on's Helm release: a new one is waited for"
    )
    generated_secrets: Annotated[list[GeneratedSecret], UPDATE] = Field(
        default_factory=list, description="Made where they aren't there yet; what stands stays"
    )
    ready: Annotated[bool, UPDATE] = Field(default=True, description="Everything is there and available")


class ClusterState(ClusterInputs):
    """The cluster as it stands."""

    problems: list[str] = Field(default_factory=list, description="What is missing, and why")


CLUSTER = Contract(
    "azlocal:index:Cluster",
    ClusterInputs,
    ClusterState,
    "A Kubernetes cluster, ready when its nodes are and its add-ons are available.",
    "{instance}/{cluster}",
)
