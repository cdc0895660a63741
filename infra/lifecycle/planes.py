"""The steps of control planes: how they come, leave, are rolled and renewed. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from infra.lifecycle.builds import Builds
from infra.lifecycle.cluster import Cluster
from infra.lifecycle.steps import (
    CreateMachine,
    DeleteNode,
    DestroyMachine,
    DistributeImage,
    Drain,
    FinishUpgrade,
    JoinAsLearner,
    MoveLeader,
    PrepareUpgrade,
    Promote,
    RemoveMember,
    RemoveStaleMember,
    RenewCertificates,
    Step,
    WaitForHealth,
)
from infra.lifecycle.wanted import Build, WantedNode


def create(cluster: Cluster, nodes: list[WantedNode], reason: str) -> Iterator[Step]:
    """Make machines; first bring their images to all hosts.

    Talos: `pkg/cluster/kubernetes/talos_managed.go`, prePullImages: before anything is touched.
    """
    lacking = {node.build.image: node.build for node in nodes if not _has_image(cluster, node.build)}
    for image, build in lacking.items():
        why = f"machines are to be made from {build}"
        yield DistributeImage(target=cluster.wanted.cluster, reason=why, image=image)
    if not lacking:
        for node in nodes:
            yield CreateMachine(target=node.name, reason=reason, node=node)


def wait(cluster: Cluster, reason: str, *lacks: str) -> WaitForHealth:
    """Return the wait for what is missing."""
    return WaitForHealth(target=cluster.wanted.cluster, reason=reason, lacks=lacks)


def _has_image(cluster: Cluster, build: Build) -> bool:
    return not build.image or build.image in cluster.observed.images


class Planes:
    """The control planes of a cluster whose etcd decides."""

    def __init__(self, cluster: Cluster, builds: Builds) -> None:
        self._cluster = cluster
        self._builds = builds
        self._wanted = cluster.wanted

    # -- which of them stay -------------------------------------------------------------------------

    def stays(self, name: str) -> bool:
        """Return whether a control plane is wanted as it stands, be it as the spare of a rolling change."""
        machine = self._cluster.planes[name]
        if machine.marked:
            return False
        if name == self._wanted.spare:
            return self.needs_spare() and machine.build == self._builds.of_planes
        return self._wanted.node(name) is not None and not self._builds.is_outdated(name)

    def needs_spare(self) -> bool:
        """Return whether a rolling change is under way or to begin.

        A second machine joins before the first one leaves. A control plane that is missing may be lost, and is no
        reason to begin with it; but the spare, where it stands, stays until everyone is back.
        """
        stands = self._wanted.spare in self._cluster.planes
        for node in self._wanted.planes if self._wanted.spare else ():
            machine = self._cluster.planes.get(node.name)
            if machine is None or node.name not in self._cluster.voters():
                if stands:
                    return True
            elif machine.marked or self._builds.is_outdated(node.name):
                return True
        return False

    def _why(self, name: str) -> str:
        if self._cluster.planes[name].marked:
            return "it is to be replaced"
        if self._wanted.node(name) is not None:
            return f"it comes back from {self._builds.of_planes}"
        return "the rolling change is over" if name == self._wanted.spare else "it isn't wanted any more"

    # -- leaving ------------------------------------------------------------------------------------

    def clear_members(self) -> Iterator[Step]:
        """Remove members without a machine, a learner first, one at a time.

        Cluster API: `kubeadmcontrolplane_controller.go`, reconcileEtcdMembers. kubeadm's join fails as long as
        such a member is in the list (`cmd/kubeadm/app/util/etcd/etcd.go`, CheckClusterHealth).
        """
        gone = [
            member
            for member in self._cluster.members
            if self._cluster.machine(member.machine) is None and member.healthy is not True
        ]
        for member in sorted(gone, key=lambda member: not member.learner):
            if self._cluster.may_lose(member):
                reason = "its machine is gone, and no other could join beside it"
                name = member.machine or f"{member.id:x}"
                yield RemoveStaleMember(target=name, reason=reason, member=member.id)
                return

    def finish_leaving(self) -> Iterator[Step]:
        """End what was begun: a control plane that has left etcd comes back only as a new machine.

        A machine that only began to join, and isn't wanted any more, goes; its learner first, which could get a
        vote as the machine goes.
        """
        for name, machine in self._cluster.planes.items():
            member = self._cluster.member(name)
            is_voter = member is not None and not member.learner
            if is_voter or (not machine.booted and self.stays(name)):
                continue
            yield from self._leave(name, "it has left etcd" if machine.booted else self._why(name))
            return

    def replace_broken(self) -> Iterator[Step]:
        """Have a control plane leave that goes anyway and is broken, under the weaker check.

        Cluster API: `remediation.go`, checkHealthinessWhileRemediationInProgress: another one is sound, and etcd
        decides without this one. `update.go`: outdated ones that are broken go before those that aren't.
        """
        for name in sorted(self._cluster.planes):
            member = self._cluster.member(name)
            if member is None or member.learner or self.stays(name) or self._cluster.is_sound(name):
                continue
            has_sound = any(self._cluster.is_sound(other) for other in self._cluster.planes if other != name)
            if has_sound and self._cluster.may_lose(member):
                yield from self._leave(name, f"{self._why(name)}, and it is broken")
                return

    def leave(self, name: str, reason: str) -> Iterator[Step]:
        """Have a named control plane leave, whatever is wanted of it, where the others allow that.

        Where it comes back from a newer version, the cluster is prepared for that first. Where it is the only one,
        the spare joins first: it takes the place of the data.
        """
        member, comes_back = self._cluster.member(name), self._wanted.node(name) is not None
        if comes_back and not self._builds.is_prepared:
            yield from self.gated(name, self._prepare(self._builds.of_planes))
        elif self.brings_spare(name) and (steps := tuple(self._bring_spare())):
            yield from steps
        elif member is None or member.learner:
            yield from self._leave(name, reason)
        elif self._cluster.machine(name) is None or not self._cluster.is_sound(name):
            if any(self._cluster.is_sound(other) for other in self._cluster.planes if other != name):
                yield from self._leave(name, reason)
            else:
                yield wait(self._cluster, f"{name} is to leave", *self._cluster.others_lack(name))
        else:
            yield from self.gated(name, self._leave(name, reason))

    def _leave(self, name: str, reason: str) -> Iterator[Step]:
        """Return the next step by which a control plane leaves: drained first, its member before its machine.

        Cluster API: `kubeadmcontrolplane_controller.go`, reconcilePreTerminateHook: with kubelet's local mode,
        removing the member ends that node's API server and its kubelet's view, so pods leave before.
        """
        node, member = self._cluster.nodes.get(name), self._cluster.member(name)
        is_there, is_voter = self._cluster.machine(name) is not None, member is not None and not member.learner
        if member is not None and not self._cluster.may_lose(member):
            yield wait(self._cluster, f"{name} is to leave", f"etcd would have no quorum without {name}")
        elif is_there and is_voter and node is not None and not node.drained:
            yield Drain(target=name, reason=reason, silent=node.ready is not True)
        elif member is not None and member.leader and (to := self._cluster.next_leader(name)):
            yield MoveLeader(target=name, reason=reason, to=to.machine, to_id=to.id)
        elif member is not None:
            remove = RemoveMember if is_there else RemoveStaleMember
            yield remove(target=name, reason=reason, member=member.id)
        elif node is not None:
            yield DeleteNode(target=name, reason=reason)
        else:
            yield DestroyMachine(target=name, reason=reason)

    def brings_spare(self, name: str) -> bool:
        """Return whether a control plane is stood in for by the spare before it leaves."""
        return self._wanted.node(name) is not None and self._is_only_voter(name)

    def _is_only_voter(self, name: str) -> bool:
        return [other for other in self._cluster.voters() if other != self._wanted.spare] == [name]

    # -- coming -------------------------------------------------------------------------------------

    def _bring_spare(self) -> Iterator[Step]:
        """Have the spare join etcd, and wait until it is sound."""
        name, reason = self._wanted.spare, "it holds the data while the only control plane is replaced"
        if not name:
            return
        if self._cluster.machine(name) is None:
            spare = [WantedNode(name, "controlPlane", self._builds.of_planes)]
            # With what an earlier one left, the new machine would pass for one that is joining.
            yield from tuple(self.clear_members()) or create(self._cluster, spare, reason)
        elif self._cluster.member(name) is None:
            yield JoinAsLearner(target=name, reason=reason)
        elif lacks := tuple(self._cluster.plane_lacks(name)):
            yield wait(self._cluster, f"{name} is to join", *lacks)

    def complete(self) -> Iterator[Step]:
        """Make the control planes that are missing, and have them join one after the other.

        Talos: `internal/app/machined/pkg/system/services/etcd.go`: as a learner, promoted when it has caught up.
        etcd takes one learner at a time (kubeadm: `cmd/kubeadm/app/util/etcd/etcd.go`).
        """
        missing = [node for node in self._now() if self._cluster.machine(node.name) is None]
        # kubeadm takes what the lost one left in etcd for the new one.
        forgotten = [node for node in missing if self._cluster.member(node.name) is None]
        joining = [node.name for node in self._now() if node not in missing and self._is_joining(node.name)]
        learners = [name for name in joining if self._cluster.member(name) is not None]
        others = [name for name in self._cluster.planes if name not in joining]
        lacks = tuple(text for name in others for text in self._cluster.plane_lacks(name))
        if forgotten:
            yield from create(self._cluster, forgotten, "it is wanted and isn't there")
        elif learners and (weak := [name for name in learners if not self._is_healthy(name)]):
            waits = [f"etcd on {name} isn't known to be healthy" for name in weak]
            yield wait(self._cluster, f"{weak[0]} is to get its vote", *waits)
        elif learners:
            yield Promote(target=learners[0], reason="it has joined as a learner")
        elif missing:
            waits = [f"etcd would have no quorum without what {node.name} left in it" for node in missing]
            yield wait(self._cluster, f"{missing[0].name} is to come back", *waits)
        elif joining and lacks:
            yield wait(self._cluster, f"{joining[0]} is to join", *lacks)
        elif joining:
            yield JoinAsLearner(target=joining[0], reason="its machine stands and isn't a member yet")

    def _is_joining(self, name: str) -> bool:
        return name not in self._cluster.voters()

    def _is_healthy(self, name: str) -> bool:
        member = self._cluster.member(name)
        return member is not None and member.healthy is True

    def _now(self) -> list[WantedNode]:
        """Return the control planes that are to stand now, from what they are made now."""
        if self._builds.goes_back or not self._builds.is_prepared:
            return []
        names = [node.name for node in self._wanted.planes]
        names += [self._wanted.spare] if self.needs_spare() else []
        return [WantedNode(name, "controlPlane", self._builds.of_planes) for name in names]

    # -- versions -----------------------------------------------------------------------------------

    def go_back(self) -> Iterator[Step]:
        """Take an upgrade back that was prepared, and that no control plane has begun."""
        if self._builds.goes_back:
            version = self._builds.of_planes.version
            reason = f"the upgrade to {self._cluster.observed.configured} is taken back"
            yield PrepareUpgrade(target=self._wanted.cluster, reason=reason, version=version)

    def roll(self) -> Iterator[Step]:
        """Replace control planes of another build, one at a time, each only while all others are sound.

        Cluster API: `update.go`: RBAC for the new kubeadm and its ConfigMap come before any machine.
        """
        build = self._builds.of_planes
        going = [name for name in self._cluster.voters() if name in self._cluster.planes and not self.stays(name)]
        rolled = [name for name in going if self._wanted.node(name) is not None]
        if not self._builds.is_prepared:
            yield from self.gated("", self._prepare(build))
        elif rolled:
            # What an earlier minor left on the spare address goes first: it is older.
            first = self._wanted.spare if self._wanted.spare in going else min(rolled)
            has_image = _has_image(self._cluster, build)
            steps = self._leave(first, self._why(first)) if has_image else self._distribute(build)
            yield from self.gated(first, steps)

    def _prepare(self, build: Build) -> Iterator[Step]:
        if not _has_image(self._cluster, build):
            yield from self._distribute(build)
        else:
            reason = f"its control planes go from {self._cluster.observed.configured} to {build.version}"
            yield PrepareUpgrade(target=self._wanted.cluster, reason=reason, version=build.version)

    def _distribute(self, build: Build) -> Iterator[Step]:
        reason = f"machines are to be made from {build}"
        yield DistributeImage(target=self._wanted.cluster, reason=reason, image=build.image)

    def finish_upgrade(self) -> Iterator[Step]:
        """Bring what kubeadm deploys to the version, once all control planes have it.

        Cluster API: `kubeadmcontrolplane_controller.go`, reconcile, and `pkg/workload_cluster_coredns.go`.
        """
        version = self._builds.of_planes.version
        if self._cluster.observed.add_ons not in ("", version):
            reason = f"all control planes have {version}"
            step = FinishUpgrade(target=self._wanted.cluster, reason=reason, version=version)
            yield from self.gated("", iter((step,)))

    def give_up(self) -> Iterator[Step]:
        """Have control planes leave that aren't wanted, the last one first.

        Cluster API: `scale.go`, scaleDownControlPlane.
        """
        unwanted = [name for name in self._cluster.planes if not self.stays(name)]
        for name in sorted(unwanted, reverse=True)[:1]:
            yield from self.gated(name, self._leave(name, self._why(name)))

    def renew(self) -> Iterator[Step]:
        """Renew certificates before they end, one control plane after the other.

        Cluster API renews by replacing (`pkg/filters.go`, ShouldRolloutBefore); kubeadm can in place.
        """
        late = [name for name, machine in self._cluster.planes.items() if machine.certificates == "due"]
        for name in sorted(late)[:1]:
            yield from self.gated(name, iter((RenewCertificates(target=name, reason="they end soon"),)))

    def renew_ended(self) -> Iterator[Step]:
        """Renew certificates that have ended: whose they are is away already, and can't be waited for."""
        for name, machine in self._cluster.planes.items():
            if machine.certificates == "ended" and self._cluster.member(name) is not None:
                yield RenewCertificates(target=name, reason="they have ended")

    def gated(self, name: str, steps: Iterator[Step]) -> Iterator[Step]:
        """Yield steps where every control plane but the named one is sound; else the wait for that."""
        if lacks := self._cluster.others_lack(name):
            reason = f"{name or 'the cluster'} is to be changed"
            yield wait(self._cluster, reason, *lacks)
        else:
            yield from steps
