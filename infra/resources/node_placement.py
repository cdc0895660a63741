"""Where a cluster's workers are: those that move to another host leave the cluster before their machines go."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.resources.contract import IGNORE, REPLACE, UPDATE, Contract, Model, Secret


class NodePlacementInputs(Model):
    """What the program says of the workers' hosts."""

    instance: Annotated[str, REPLACE]
    cluster: Annotated[str, REPLACE]
    kubeconfig: Annotated[str, UPDATE, Secret()]
    hosts: Annotated[dict[str, str], UPDATE] = Field(description="libvirt URI of each worker's host, by its name")
    lost: Annotated[list[str], UPDATE] = Field(
        default_factory=list, description="libvirt URIs of hosts that are lost: nothing on them can be drained"
    )
    live: Annotated[list[str], IGNORE] = Field(
        default_factory=list, description="libvirt URIs of hosts that drain live: nodes leave them as they run"
    )


class NodePlacementState(NodePlacementInputs):
    """Where the workers are."""


NODE_PLACEMENT = Contract(
    "azlocal:index:NodePlacement",
    NodePlacementInputs,
    NodePlacementState,
    "Which hosts a cluster's workers are on; one that moves is drained and removed from the cluster first.",
    "{instance}/{cluster}",
)
