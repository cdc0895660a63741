"""Where a cluster's workers are: those that move to another host leave the cluster before their machines go."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.resources.contract import IGNORE, REPLACE, UPDATE, Contract, Secret


class Spare(Model):
    """A machine that stands only while another one is replaced, in all else as that one."""

    name: str
    address: str = Field(description="Static IPv4 address with its prefix length, 10.0.0.5/24")
    mac_address: str = Field(pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")

    @property
    def host_address(self) -> str:
        """Return the address without its prefix length."""
        return self.address.partition("/")[0]


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
    # What the plugin knows a cluster by before it makes, replaces or removes one of its machines.
    control_planes: Annotated[dict[str, str], IGNORE] = Field(
        default_factory=dict, description="Address of each control plane, by its name"
    )
    etcd_keys: Annotated[dict[str, str], IGNORE, Secret()] = Field(
        default_factory=dict, description="The authority of the cluster's etcd, which lets the plugin in"
    )
    token: Annotated[str | None, IGNORE, Secret()] = Field(
        default=None, description="The bootstrap token, by which machines that are replaced join"
    )
    identity_files: Annotated[list[str], IGNORE] = Field(
        default_factory=list, description="Private keys that may log in to the machines"
    )
    namespaces: Annotated[list[str], IGNORE] = Field(
        default_factory=list,
        description="Whose workloads run elsewhere before a machine that left is removed",
    )
    version: Annotated[str, UPDATE] = Field(
        default="", description="Kubernetes version that all nodes are to have, without the v"
    )
    final_version: Annotated[str, IGNORE] = Field(
        default="", description="The version that later runs go on to, where this one is on the way"
    )
    rolls_images: Annotated[bool, IGNORE] = Field(
        default=False, description="Whether nodes are replaced for a newer node image of the same version"
    )
    surging: Annotated[dict[str, str], IGNORE] = Field(
        default_factory=dict,
        description="The pool of each worker whose pods the spare takes while it is replaced, by its name",
    )
    deletes_volumes: Annotated[bool, IGNORE] = Field(
        default=False,
        description="Whether volumes on the disk of a node may go with it: without it, such a node doesn't go",
    )
    archives: Annotated[dict[str, str], IGNORE] = Field(
        default_factory=dict,
        description="Each image of that version's bundle as an OCI archive on this machine, by name and tag",
    )
    spare: Annotated[Spare | None, IGNORE] = Field(
        default=None, description="What takes the place of the only control plane, or of a worker, meanwhile"
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
