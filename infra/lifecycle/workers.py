"""The steps of workers: how they come, leave and are rolled. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from infra.lifecycle.builds import Builds
from infra.lifecycle.cluster import Cluster
from infra.lifecycle.planes import create, wait
from infra.lifecycle.steps import Cordon, DeleteNode, DestroyMachine, Drain, Join, LetIn, Step
from infra.lifecycle.wanted import WantedNode


class Workers:
    """The workers of a cluster whose control plane is sound.

    Cluster API: `core/reconcilers/machineset/machineset_preflight.go`: it is neither being made nor upgraded, and
    kubeadm and kubelet fit it.
    """

    def __init__(self, cluster: Cluster, builds: Builds) -> None:
        self._cluster = cluster
        self._wanted = [
            WantedNode(node.name, node.role, builds.of_worker(node), node.pool) for node in cluster.wanted.workers
        ]

    def steps(self) -> Iterator[Step]:
        """Yield the first of these that there are any of."""
        for stage in (self._end_spent, self._complete, self._remove, self._roll):
            if steps := tuple(stage()):
                yield from steps
                return

    def free_spare(self) -> Iterator[Step]:
        """Have a worker leave the spare address, which the control planes need."""
        spare = self._cluster.wanted.spare
        if spare in self._cluster.standing("worker"):
            yield self.leave(spare, "a control plane needs the spare address")

    def _end_spent(self) -> Iterator[Step]:
        """End what was begun: a worker whose Node is gone was drained, and comes back as a new machine.

        So does a machine that was made from another build and hasn't joined: kubeadm joins its own minor only.
        """
        builds = {node.name: node.build for node in self._wanted}
        for name, machine in self._cluster.standing("worker").items():
            if name in self._cluster.nodes:
                continue
            if machine.booted:
                yield DestroyMachine(target=name, reason="it has left the cluster")
            elif machine.build != builds.get(name, machine.build):
                yield DestroyMachine(target=name, reason=f"it comes back from {builds[name]}")

    def _complete(self) -> Iterator[Step]:
        wanted = [*self._wanted, *self._spare()]
        missing = [node for node in wanted if self._cluster.machine(node.name) is None]
        yield from create(self._cluster, missing, "it is wanted and isn't there")
        for node in wanted:
            if node not in missing and node.name not in self._cluster.nodes:
                yield Join(target=node.name, reason="its machine stands and hasn't joined yet")

    def _remove(self) -> Iterator[Step]:
        """Drain and remove workers that aren't wanted, all cordoned before the first one is drained.

        Else the pods of the first would go to the second.
        """
        stay = {node.name for node in (*self._wanted, *self._spare())}
        unwanted = sorted(self._cluster.standing("worker").keys() - stay)
        nodes = self._cluster.nodes
        if uncordoned := [name for name in unwanted if name in nodes and not nodes[name].cordoned]:
            for name in uncordoned:
                yield Cordon(target=name, reason=self._why(name))
            return
        for name in unwanted:
            yield self.leave(name, self._why(name))

    def let_in(self) -> Iterator[Step]:
        """Let workers that have joined take pods, and services be announced from them.

        Before any other leaves: an address that no node may hold would answer nobody.
        """
        for name in self._cluster.standing("worker"):
            if name in self._cluster.nodes and self._cluster.nodes[name].may_come_in:
                yield LetIn(target=name, reason="it has joined, and forwards packets")

    def leave_in_turn(self, name: str, reason: str) -> Step:
        """Return the next step by which a worker leaves; one that comes back waits until others are Ready."""
        if steps := tuple(self.let_in()):
            return steps[0]
        comes_back = self._cluster.wanted.node(name) is not None and self._cluster.machine(name) is not None
        others = [node.name for node in self._wanted if node.name != name] if comes_back else []
        lacks = tuple(text for other in others for text in self._cluster.worker_lacks(other))
        if lacks:
            return wait(self._cluster, f"{name} is to leave", *lacks)
        if comes_back and name in self._cluster.nodes and (steps := tuple(self._surge(name))):
            return steps[0]
        return self.leave(name, reason)

    def _surge(self, name: str) -> Iterator[Step]:
        """Have a worker on the spare address, which takes the pods of one of its pool that is replaced.

        Of another pool, it leaves first; that waits until no worker of its own pool is still to be replaced.
        Cluster API: `core/reconcilers/machinedeployment/machinedeployment_rolling.go`, maxSurge.
        """
        spare, node = self._cluster.wanted.spare, next(node for node in self._wanted if node.name == name)
        if not spare or not node.pool or spare in self._cluster.planes:
            return
        stands = self._cluster.machine(spare)
        if stands is None:
            reason = f"it takes the pods of {name}, which is replaced"
            yield from create(self._cluster, [WantedNode(spare, "worker", node.build, node.pool)], reason)
        elif (stands.pool, stands.build) != (node.pool, node.build):
            if others := [other.name for other in self._outdated() if other.pool == stands.pool != node.pool]:
                yield wait(self._cluster, f"{name} is to leave", f"{others[0]} is to be replaced first")
            else:
                yield self.leave(spare, f"{name} is of another pool or version")
        elif spare not in self._cluster.nodes:
            yield Join(target=spare, reason=f"it takes the pods of {name}, which is replaced")
        elif lacks := tuple(self._cluster.worker_lacks(spare)):
            yield wait(self._cluster, f"{name} is to leave", *lacks)

    def leave(self, name: str, reason: str) -> Step:
        """Return the next step by which a worker leaves.

        Cluster API: `core/reconcilers/machine/drain/drain.go`: of a node that says nothing nobody waits for pods.
        """
        node = self._cluster.nodes.get(name)
        if node is None:
            return DestroyMachine(target=name, reason=reason)
        if not node.drained and self._cluster.machine(name) is not None:
            return Drain(target=name, reason=reason, silent=node.ready is not True)
        return DeleteNode(target=name, reason=reason)

    def _roll(self) -> Iterator[Step]:
        """Replace workers of another build, one at a time, each only while all others are Ready.

        Cluster API: `core/reconcilers/machinedeployment/machinedeployment_rolling.go`: here the one more is on the
        spare address, and a node comes back at its own.
        """
        for node in self._outdated()[:1]:
            others = {*self._cluster.standing("worker"), *(worker.name for worker in self._wanted)} - {node.name}
            lacks = tuple(text for name in sorted(others) for text in self._cluster.worker_lacks(name))
            if lacks:
                yield wait(self._cluster, f"{node.name} is to be replaced", *lacks)
            elif bring := [step for step in create(self._cluster, [node], "") if step.target != node.name]:
                yield from bring
            else:
                yield self.leave(node.name, self._why(node.name))

    def _outdated(self) -> list[WantedNode]:
        """Return the workers that are to be replaced, those that aren't Ready first."""
        outdated = [
            node
            for node in self._wanted
            if (machine := self._cluster.machine(node.name)) is not None
            and (machine.marked or machine.build != node.build)
        ]
        return sorted(outdated, key=lambda node: (not any(self._cluster.worker_lacks(node.name)), node.name))

    def _spare(self) -> list[WantedNode]:
        """Return the worker on the spare address, while another of its pool is replaced and comes back."""
        spare = self._cluster.wanted.spare
        if not spare or spare in self._cluster.planes:
            return []
        stands = self._cluster.machine(spare)
        rolled = [node for node in self._outdated() if stands is None or stands.pool == node.pool]
        if stands is not None:
            rolled += [node for node in self._wanted if node.pool == stands.pool and not self._is_back(node)]
        return [WantedNode(spare, "worker", node.build, node.pool) for node in rolled[:1]]

    def _is_back(self, node: WantedNode) -> bool:
        return self._cluster.machine(node.name) is not None and node.name in self._cluster.nodes

    def _why(self, name: str) -> str:
        machine = self._cluster.observed.machines[name]
        node = next((node for node in self._wanted if node.name == name), None)
        if node is not None:
            return "it is to be replaced" if machine.marked else f"it comes back from {node.build}"
        return "the rolling change is over" if name == self._cluster.wanted.spare else "it isn't wanted any more"
