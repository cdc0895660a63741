"""A machine as a node of a Kubernetes cluster."""

from typing import Literal

from pydantic import Field

from infra.model.base import Model

NodeRole = Literal["controlPlane", "worker"]

PodSecurity = Literal["privileged", "baseline", "restricted"]
"""A level of Kubernetes' Pod Security Standards."""


class NodeMarks(Model):
    """What azlocal writes on a Node object: other labels and taints of it are somebody else's."""

    labels: dict[str, str] = Field(default_factory=dict)
    taints: tuple[str, ...] = Field(default=(), description="key=value:Effect")


class NodeInputs(Model):
    """The Kubernetes node that a machine becomes, without secrets."""

    cluster: str = Field(description="The cluster's name in kubeconfigs")
    role: NodeRole
    version: str = Field(description="Kubernetes version, without the v")
    endpoint: str = Field(description="The cluster's address")
    ca_certificate: str = Field(description="The cluster CA's certificate, PEM")
    ca_hash: str = Field(description="kubeadm's pin of the CA's public key")
    number: int = Field(default=0, ge=0, description="Of a control plane; number 0 starts the cluster")
    vrrp_id: int = Field(default=1, ge=1, le=255)
    pod_cidr: str = ""
    service_cidr: str = ""
    image_tags: dict[str, str] = Field(default_factory=dict, description="Tags of etcd's and CoreDNS's images")
    max_pods: int | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    taints: tuple[str, ...] = Field(default=(), description="key=value:Effect")

    @property
    def marks(self) -> NodeMarks:
        """Return what its Node object gets when it registers."""
        return NodeMarks(labels=self.labels, taints=self.taints)


class NodeSecrets(Model):
    """What a node's seed holds besides, and what no libvirt record and no digest ever does."""

    token: str = Field(repr=False)
    keys: dict[str, str] = Field(default_factory=dict, repr=False, description="Of a control plane")
    encryption_keys: tuple[str, ...] | None = Field(
        default=None, repr=False, description="Of a control plane: of Secrets in etcd, the one in use first"
    )


class NodeSettings(Model):
    """What a node is told at its first boot, and what no later difference replaces it for."""

    pod_security: PodSecurity | None = Field(
        default=None, description="Of a control plane: the level of pods whose namespace says nothing"
    )
    peers: tuple[str, ...] = Field(
        default=(), description="Of a control plane: the addresses of its cluster's others"
    )
    joins_workers: bool | None = Field(
        default=None, description="Of a worker: others take pods already; it takes none before it forwards packets"
    )
    unicast_vrrp: bool | None = Field(
        default=None, description="Only in states in which control planes spoke VRRPv2; without effect"
    )


def taint_object(text: str) -> dict[str, str]:
    """Return a taint, `key=value:Effect` or `key:Effect`, as Kubernetes' API has it."""
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "value": value, "effect": effect} if value else {"key": key, "effect": effect}
