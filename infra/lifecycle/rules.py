"""What isn't done to a cluster, and why: each rule with the place that it is from. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from infra.counting import counted
from infra.lifecycle.cluster import Cluster
from infra.lifecycle.versions import KUBELET_SKEW, minor, missing_minors, order

RuleName = Literal[
    "last-control-plane",
    "even-control-planes",
    "downgrade",
    "skipped-minor",
    "kubelet-skew",
    "no-spare-address",
    "quorum-lost",
    "unhealthy-control-plane",
]


@dataclass(frozen=True)
class Refusal:
    """Why a cluster isn't changed.

    Attributes:
        rule: The rule's name.
        reason: What is wrong, a clause.
        remedy: What to do instead, a clause.
    """

    rule: RuleName
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy} ({self.rule})"


Rule = Callable[[Cluster], Iterator[Refusal]]


def last_control_plane(cluster: Cluster) -> Iterator[Refusal]:
    """A cluster keeps a control plane: it has the data.

    Cluster API: `webhooks/admission/kubeadmcontrolplane.go`, validateKubeadmControlPlaneSpec (replicas > 0), and
    `pkg/workload_cluster_etcd.go` (the last member is never removed).
    """
    if cluster.observed.founded and not cluster.wanted.planes:
        yield Refusal(
            "last-control-plane",
            f"cluster {cluster.wanted.cluster} would lose its last control plane, and its data with it",
            "keep one; or, if the cluster may go, remove it from the stack's file",
        )


def even_control_planes(cluster: Cluster) -> Iterator[Refusal]:
    """Control planes with etcd on them are odd in number: one more to an odd number adds a way to lose quorum.

    Cluster API: `webhooks/admission/kubeadmcontrolplane.go`, "cannot be an even number when etcd is stacked".
    """
    count = len(cluster.wanted.planes)
    if count and count % 2 == 0:
        yield Refusal(
            "even-control-planes",
            f"cluster {cluster.wanted.cluster} would have {count} control planes, and etcd with an even number of "
            f"members survives no more losses than with {count - 1}",
            "write 1, 3 or 5 as controlPlane.count",
        )


def downgrade(cluster: Cluster) -> Iterator[Refusal]:
    """No node goes back to an older version.

    kubeadm tolerates one minor (`cmd/kubeadm/app/phases/upgrade/policy.go`); Kubernetes' skew policy knows no way
    back, since etcd may hold objects that the older API server can't read. Before a control plane of the newer
    version has joined, an upgrade is taken back by its edit.
    """
    for node in cluster.wanted.nodes:
        machine = cluster.machine(node.name)
        if machine and node.name in cluster.nodes and order(node.build.version) < order(machine.build.version):
            yield _back(cluster, node.name, machine.build.version, node.build.version)
    spare = cluster.machine(cluster.wanted.spare)
    for node in cluster.wanted.planes[:1]:
        if (
            spare
            and cluster.wanted.spare in cluster.voters()
            and order(node.build.version) < order(spare.build.version)
        ):
            yield _back(cluster, cluster.wanted.spare, spare.build.version, node.build.version)


def _back(cluster: Cluster, name: str, old: str, new: str) -> Refusal:
    return Refusal(
        "downgrade",
        f"{name} of cluster {cluster.wanted.cluster} would go back from Kubernetes {old} to {new}",
        f"write {old} or newer as kubernetesVersion",
    )


def skipped_minor(cluster: Cluster) -> Iterator[Refusal]:
    """A control plane passes every minor between two versions, so a build of each is needed.

    Cluster API: `webhooks/admission/kubeadmcontrolplane.go`, validateVersion: one minor at most.
    """
    oldest = min((machine.build.version for machine in cluster.planes.values()), key=order, default=None)
    for node in cluster.wanted.planes[:1] if oldest else ():
        assert oldest is not None  # noqa: S101 - the loop's condition, which mypy doesn't follow
        lacking = missing_minors(oldest, node.build.version, cluster.wanted.builds)
        if lacking:
            yield Refusal(
                "skipped-minor",
                f"cluster {cluster.wanted.cluster} is at Kubernetes {oldest}, and {node.build.version} is more "
                f"than one minor newer, with no node image of {', '.join(lacking)} between",
                f"upgrade to a version of {lacking[0]} first",
            )


def kubelet_skew(cluster: Cluster) -> Iterator[Refusal]:
    """A worker is no newer than its control planes, and three minors older at most.

    Cluster API: `core/reconcilers/machineset/machineset_preflight.go`, kubernetesVersionPreflightCheck.
    """
    versions = [node.build.version for node in cluster.wanted.planes]
    for node in cluster.wanted.workers if versions else ():
        version = node.build.version
        if order(version) > order(versions[0]) or minor(version) < minor(versions[0]) - KUBELET_SKEW:
            yield Refusal(
                "kubelet-skew",
                f"{node.name} would run kubelet {version} below control planes of {versions[0]}",
                f"a kubelet is as new as its control planes, or up to {KUBELET_SKEW} minors older",
            )


def no_spare_address(cluster: Cluster) -> Iterator[Refusal]:
    """A single control plane is replaced by way of a second one, which needs an address.

    Cluster API: `webhooks/admission/kubeadmcontrolplane.go`, validateRolloutAndCertValidityFields: without a surge
    machine there have to be three.
    """
    planes = cluster.wanted.planes
    if len(planes) != 1 or cluster.wanted.spare:
        return
    machine = cluster.machine(planes[0].name)
    if machine and cluster.voters() == [planes[0].name] and (machine.marked or machine.build != planes[0].build):
        yield Refusal(
            "no-spare-address",
            f"{planes[0].name} is the only control plane of cluster {cluster.wanted.cluster} and would be "
            "replaced, and the plan has no spare address for a second one to join first",
            "give the cluster's network one address more, or the cluster three control planes",
        )


def quorum_lost(cluster: Cluster) -> Iterator[Refusal]:
    """Where most of etcd's members are gone for good, `up` changes nothing: a restore is for a person to decide.

    kubespray: `roles/recover_control_plane/etcd/tasks/recover_lost_quorum.yml`; Talos:
    `internal/integration/api/etcd-recover.go`. Cluster API doesn't remediate (`remediation.go`, canSafelyRemove…).
    """
    if not cluster.observed.founded or cluster.decides:
        return
    known = {name: m for name, m in cluster.observed.machines.items() if m.role == "controlPlane"}
    if cluster.observed.members is None and any(
        m.stands and (not m.runs or m.certificates == "ended") for m in known.values()
    ):
        return  # what can be brought back may know that the others have left
    voters = (
        cluster.voters() if cluster.observed.members is not None else [n for n, m in known.items() if m.booted]
    )
    # A member whose machine nobody knows may be one that only goes later.
    gone = [name for name in voters if name and cluster.machine(name) is None]
    if voters and len(voters) - len(gone) < len(voters) // 2 + 1:
        listed = ", ".join(gone)
        yield Refusal(
            "quorum-lost",
            f"etcd of cluster {cluster.wanted.cluster} has lost its quorum: of {counted(len(voters), 'member')}, "
            f"{listed} {'are' if len(gone) != 1 else 'is'} gone",
            "bring their disks back; or restore the cluster from what still stands or from a snapshot (`azlocal "
            f"restore STACK {cluster.wanted.cluster}`), and run `pulumi up` again; or, if it may go, remove it "
            "from the stack's file, run `pulumi up`, and add it again",
        )


RULES: Final[tuple[Rule, ...]] = (
    *(last_control_plane, even_control_planes, downgrade, skipped_minor, kubelet_skew, no_spare_address),
    quorum_lost,
)


def refusals(cluster: Cluster) -> tuple[Refusal, ...]:
    """Return why a cluster isn't changed as it is wanted, all reasons at once."""
    return tuple(refusal for rule in RULES for refusal in rule(cluster))
