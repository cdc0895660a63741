"""The steps that a cluster's life is made of. Each is repeatable: done again, it changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from infra.lifecycle.wanted import WantedNode


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something to do with one machine, node or member, or with the cluster.

    Attributes:
        target: The machine's name, or the cluster's.
        reason: Why, as a clause.
    """

    text: ClassVar[str]
    target: str
    reason: str

    def __str__(self) -> str:
        return f"{self.text.format(self)}: {self.reason}"


# -- machines ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CreateMachine(Step):
    """Make a machine, with a first boot that makes it a node."""

    text = "create {0.target} from {0.node.build}"
    node: WantedNode


@dataclass(frozen=True, kw_only=True)
class StartMachine(Step):
    """Switch on a machine that stands."""

    text = "start {0.target}"


@dataclass(frozen=True, kw_only=True)
class DestroyMachine(Step):
    """Remove a machine that is no node any more, with its disk."""

    text = "remove the machine {0.target}"


@dataclass(frozen=True, kw_only=True)
class RenewCertificates(Step):
    """Have kubeadm sign a control plane's certificates again, and its components start with them."""

    text = "renew the certificates of {0.target}"


@dataclass(frozen=True, kw_only=True)
class DistributeImage(Step):
    """Bring a node image to all hosts."""

    text = "bring the node image {0.image} to all hosts"
    image: str


# -- nodes ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class FoundCluster(Step):
    """Let the first control plane make the cluster, and wait until it answers."""

    text = "{0.target} founds the cluster"


@dataclass(frozen=True, kw_only=True)
class Join(Step):
    """Admit a worker, and wait until its kubelet says that it is Ready."""

    text = "{0.target} joins"


@dataclass(frozen=True, kw_only=True)
class Cordon(Step):
    """Have nothing scheduled on a node, and note that azlocal did that."""

    text = "cordon {0.target}"


@dataclass(frozen=True, kw_only=True)
class Uncordon(Step):
    """Take a cordon of azlocal's back."""

    text = "uncordon {0.target}"


@dataclass(frozen=True, kw_only=True)
class LetIn(Step):
    """Let a worker that has joined take pods, or have services announced from it."""

    text = "let pods and services come to {0.target}"


@dataclass(frozen=True, kw_only=True)
class Drain(Step):
    """Cordon a node and evict its pods, as their disruption budgets allow.

    Attributes:
        silent: Its kubelet says nothing: pods are evicted, and nobody waits until they have ended.
    """

    text = "drain {0.target}"
    silent: bool = False


@dataclass(frozen=True, kw_only=True)
class DeleteNode(Step):
    """Delete a Node object."""

    text = "delete the Node {0.target}"


# -- etcd -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class JoinAsLearner(Step):
    """Admit a control plane; kubeadm adds its member of etcd without a vote."""

    text = "{0.target} joins etcd as a learner"


@dataclass(frozen=True, kw_only=True)
class Promote(Step):
    """Give a learner that has caught up its vote; kubeadm does, and the node becomes Ready."""

    text = "{0.target} gets its vote in etcd"


@dataclass(frozen=True, kw_only=True)
class MoveLeader(Step):
    """Have another member lead etcd, before the leader goes."""

    text = "etcd's leadership goes from {0.target} to {0.to}"
    to: str
    to_id: int


@dataclass(frozen=True, kw_only=True)
class RemoveMember(Step):
    """Remove a member from etcd before its machine goes."""

    text = "remove {0.target} from etcd"
    member: int


@dataclass(frozen=True, kw_only=True)
class RemoveStaleMember(RemoveMember):
    """Remove a member from etcd whose machine is gone."""

    text = "remove what {0.target} left in etcd"


# -- the cluster ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PrepareUpgrade(Step):
    """Grant what the new kubeadm needs, and write the version into kubeadm's ConfigMap."""

    text = "prepare the cluster for {0.version}"
    version: str


@dataclass(frozen=True, kw_only=True)
class FinishUpgrade(Step):
    """Bring kube-proxy and CoreDNS, its Corefile migrated, to the control planes' version."""

    text = "bring kube-proxy and CoreDNS to {0.version}"
    version: str


@dataclass(frozen=True, kw_only=True)
class WaitForHealth(Step):
    """Wait until the cluster may be changed; what is missing at the end of the wait is the error.

    Attributes:
        lacks: What is missing, a clause each.
    """

    text = "wait until {0.target} is healthy"
    lacks: tuple[str, ...]
