"""What a cluster is to be: its nodes, their versions and images. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.model.node import NodeRole


@dataclass(frozen=True)
class Build:
    """What a machine is made from.

    Attributes:
        version: Of Kubernetes, without the v.
        image: The node image, by a name that changes with its content.
    """

    version: str
    image: str

    def __str__(self) -> str:
        return f"{self.version} ({self.image})" if self.image else self.version


@dataclass(frozen=True)
class WantedNode:
    """A node that is to be.

    Attributes:
        name: Of the machine, and of its Node object.
        role: Control plane or worker.
        build: What it is to be made from.
        pool: A worker's pool.
    """

    name: str
    role: NodeRole
    build: Build
    pool: str = ""


@dataclass(frozen=True)
class Wanted:
    """A cluster as it is to be.

    Attributes:
        cluster: Its name, for people.
        nodes: Its nodes; the first control plane among them founds it.
        spare: The machine that stands on the spare address during a rolling change; empty where there is none.
        builds: By version, the node image that can be had: what lies between two minors is taken from here.
    """

    cluster: str
    nodes: tuple[WantedNode, ...]
    spare: str = ""
    builds: Mapping[str, str] = field(default_factory=dict)

    @property
    def planes(self) -> tuple[WantedNode, ...]:
        """Return the control planes."""
        return tuple(node for node in self.nodes if node.role == "controlPlane")

    @property
    def workers(self) -> tuple[WantedNode, ...]:
        """Return the workers."""
        return tuple(node for node in self.nodes if node.role == "worker")

    def node(self, name: str) -> WantedNode | None:
        """Return the node of that name, None where none is wanted."""
        return next((node for node in self.nodes if node.name == name), None)
