"""Does a step of a cluster's life: on its API server, its etcd, its control planes, or with the spare."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from typing import Final

from infra.errors import UserError
from infra.kubernetes.api import ClusterApi, ClusterError
from infra.kubernetes.membership import admit_nodes, dismiss_token, drain, forget, uncordon
from infra.kubernetes.nodes import let_nodes_in, look_at_nodes
from infra.kvm.errors import HostError, NoRoom
from infra.lifecycle.backups import comes_before, is_required
from infra.lifecycle.steps import (
    CreateMachine,
    DeleteNode,
    DestroyMachine,
    Drain,
    FinishUpgrade,
    Join,
    JoinAsLearner,
    LetIn,
    MoveLeader,
    PrepareUpgrade,
    RemoveMember,
    Step,
)
from infra.lifecycle.wanted import WantedNode
from infra.plugin.operation import Operation
from infra.provider.backups_before import back_up
from infra.provider.cluster_view import ClusterView
from infra.provider.kinds import address_holders
from infra.provider.kinds.address_protocol import change_protocol
from infra.provider.kinds.cluster_base import logged_in
from infra.provider.lives import ClusterRun, Leaver
from infra.provider.spare import Spare
from infra.provider.upgrade import Upgrade
from infra.resources.control_plane import Member
from infra.resources.node_placement import NodePlacementInputs
from infra.ssh import Shell

_DRAIN_SECONDS: Final = 300.0
_JOIN_PAUSE: Final = 2.0
_NOTICED_SECONDS: Final = 6.0
"""After how long the speakers of MetalLB on other nodes miss one that has ended.

hashicorp/memberlist, DefaultLANConfig, which MetalLB has: asked every second, and suspected for four.
"""


class Executor:
    """Acts on one cluster, as the planner says."""

    def __init__(self, run: ClusterRun, view: ClusterView, spare: Spare) -> None:
        """Take the cluster.

        Args:
            run: What is known of it in this run.
            view: Looks at it.
            spare: Its spare.
        """
        self._run = run
        self._view = view
        self._spare = spare
        self._admitted: set[str] = set()
        self._drained: dict[str, float] = {}
        self.upgrade = Upgrade(run, self.login)

    @property
    def _placement(self) -> NodePlacementInputs:
        return self._run.placement

    @property
    def staying(self) -> set[str]:
        """Return the machines that the cluster is to have."""
        return {*self._placement.control_planes, *self._placement.hosts}

    def login(self, member: Member) -> AbstractContextManager[Shell]:
        """Open a shell on a machine, as somebody who may become root."""
        return logged_in(member, self._run.identity_files)

    def back_up(self, op: Operation, reason: str, *, is_required: bool = False) -> None:
        """Take a snapshot of etcd, once in a run.

        Raises:
            HostError: It is required, and can't be taken.
        """
        back_up(op, self._run, self._view, self._members(self._plane_names()), reason, is_required=is_required)

    def admit(self, op: Operation, name: str) -> None:
        """Let a machine that was made join, with what it needs beside those that stand."""
        if name in self._placement.control_planes:  # it speaks VRRPv3 as soon as it has joined
            planes = [_plane(other, address, "") for other, address in self._placement.control_planes.items()]
            change_protocol(op, self._long_standing_planes(), planes, self.login)
            if self._placement.version:
                self.upgrade.equip(op, self._view.answering(name), self._members([name]))
        admit_nodes(ClusterApi(self._placement.kubeconfig), self._placement.token or "")

    def do(self, op: Operation, step: Step, leaver: Leaver) -> None:
        """Do a step; where it is the first of those that change control planes, after a snapshot of etcd.

        Args:
            op: The operation.
            step: Anything but a wait.
            leaver: The machine for which it is done.

        Raises:
            HostError: It can't be done.
            Blocked: A node can't be drained.
        """
        if comes_before(step, leaver.role):
            required = is_required(step, leaver.name, self._placement.control_planes)
            self.back_up(op, str(step), is_required=required)
        spare = self._spare.leaver
        if spare is not None and step.target == spare.name:
            leaver = spare
        api = self._view.answering(leaver.name)
        planes = [other for other in (spare, leaver) if other and other.role == "controlPlane" and not other.lost]
        etcd = self._view.etcd(
            self._placement.control_planes | {other.name: other.address for other in planes if other.address}
        )
        match step:
            case Drain(silent=silent):
                self._drained[step.target] = time.monotonic()
                try:
                    drain(api, step.target, op.work().within(_DRAIN_SECONDS), silent=silent)
                except UserError:
                    if step.target in self.staying:  # whoever takes the change back has it as it was
                        with suppress(ClusterError):
                            uncordon(api, [step.target])
                    raise
            case MoveLeader(to_id=id):
                etcd.move_leader(step.target, id)
            case RemoveMember(member=id):
                if not leaver.lost:
                    self._give_up_address(op, leaver)
                etcd.remove(id)
            case DeleteNode():
                self._wait_until_noticed(op, step.target)
                forget(api, step.target)
                self._run.replaced.add(step.target)  # its machine stands still: the next one waits for what comes
            case DestroyMachine():
                self.tell_others(op, leaver)
                self._spare.remove(op)
            case LetIn():
                nodes = look_at_nodes(api)
                let_nodes_in(api, {step.target: nodes[step.target]} if step.target in nodes else {})
            case PrepareUpgrade(version=version):
                self.upgrade.prepare(api, version)
            case FinishUpgrade():
                self.upgrade.finish(op, api, self._members(self.staying | self._spare_names()))
            case CreateMachine(node=node):
                self._make_spare(op, node)
            case Join() | JoinAsLearner():
                self._admit_spare(op, step.target)

    def _wait_until_noticed(self, op: Operation, name: str) -> None:
        """Wait until nobody takes a node that was drained for one that holds addresses of services."""
        remaining = self._drained.pop(name, 0.0) + _NOTICED_SECONDS - time.monotonic()
        if remaining > 0:
            op.work().wait(remaining, f"{name} is missed by MetalLB's speakers")

    def _make_spare(self, op: Operation, node: WantedNode) -> None:
        """Make the spare; where its host has no room for a worker more, workers are replaced without one.

        Nobody joins meanwhile by a token that an earlier run left: it would be a node without the images of what
        the cluster still runs, which it is brought before it is admitted.
        """
        self._admitted.discard(node.name)
        dismiss_token(ClusterApi(self._placement.kubeconfig), self._placement.token or "")
        try:
            self._spare.make(op, node)
        except NoRoom as error:
            if node.role == "controlPlane":
                raise
            self._run.surges = False
            op.warning(f"no other machine takes the pods of workers that are replaced: {error}")

    def _admit_spare(self, op: Operation, name: str) -> None:
        """Let the spare join, and wait for it a little: then the cluster is looked at again."""
        if name not in self._admitted and (spare := self._spare.leaver) is not None:
            if spare.role == "controlPlane":
                standing = self._standing_planes()
                change_protocol(op, standing, [*standing, spare.member], self.login)
                peers = {plane.name: [spare.address] for plane in standing}
                address_holders.tell(op, standing, peers, self.login)
            self.upgrade.equip(op, self._view.answering(), [spare.member])
            admit_nodes(ClusterApi(self._placement.kubeconfig), self._placement.token or "")
            self._admitted.add(name)
        op.work().wait(_JOIN_PAUSE, f"{name} joins")

    def _give_up_address(self, op: Operation, leaver: Leaver) -> None:
        try:
            address_holders.give_up(op, leaver.member, self.login)
        except HostError as error:
            op.warning(str(error))

    def tell_others(self, op: Operation, leaver: Leaver) -> None:
        """Tell the others that they hold the cluster's address without one that doesn't come back."""
        if leaver.role == "worker" or leaver.name in self._placement.control_planes:
            return
        planes = {member.name: member for member in self._standing_planes()}
        # Others that are still to go hold it with them until their own turn.
        membership = self._view.etcd(self._placement.control_planes).membership()
        holders = {*self._placement.control_planes.values()}
        holders |= {member.address for member in membership.members} if membership else set()
        peers = {
            name: sorted(holders - {leaver.address, address})
            for name, address in self._placement.control_planes.items()
            if name in planes
        }
        address_holders.tell(op, planes.values(), peers, self.login)

    def _standing_planes(self) -> list[Member]:
        return self._members(self._placement.control_planes)

    def _long_standing_planes(self) -> list[Member]:
        """Return the control planes that stood before this run: others speak VRRPv3 from their first boot."""
        return [plane for plane in self._standing_planes() if plane.name not in self._run.replaced]

    def _members(self, names: Iterable[str]) -> list[Member]:
        """Return machines that stand as those know them who log in there."""
        planes = self._plane_names()
        return [
            Member(
                name=name,
                role="controlPlane" if name in planes else "worker",
                address=self._placement.control_planes.get(name) or machine.address,
                ssh_host_key=machine.host_key,
            )
            for name in names
            if (machine := self._run.machines.get(name)) is not None
            and not machine.lost
            and name not in self._run.absent
        ]

    def _plane_names(self) -> set[str]:
        spare = self._spare.leaver
        return {*self._placement.control_planes} | (
            {spare.name} if spare and spare.role == "controlPlane" else set()
        )

    def _spare_names(self) -> set[str]:
        return {spare.name} if (spare := self._spare.leaver) else set()


def _plane(name: str, address: str, host_key: str) -> Member:
    return Member(name=name, role="controlPlane", address=address, ssh_host_key=host_key)
