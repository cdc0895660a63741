"""From what machines are made now: the wanted build, or one on the way there. Pure."""

from __future__ import annotations

from infra.lifecycle.cluster import Cluster
from infra.lifecycle.versions import KUBELET_SKEW, minor, next_version, order
from infra.lifecycle.wanted import Build, WantedNode


class Builds:
    """What a cluster's machines are made from at the moment.

    A control plane goes minor by minor: only once all its machines, kube-proxy and CoreDNS have the version that
    kubeadm's ConfigMap names, the next one begins. So what is missing meanwhile comes at that version, too.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.of_planes = self._of_planes()

    @property
    def is_prepared(self) -> bool:
        """Return whether kubeadm's ConfigMap names the version of `of_planes`, as far as it is known."""
        configured = self._cluster.observed.configured
        return not configured or configured == self.of_planes.version

    @property
    def goes_back(self) -> bool:
        """Return whether an upgrade was prepared that isn't wanted any more."""
        return not self.is_prepared and order(self._cluster.observed.configured) > order(self.of_planes.version)

    def of_worker(self, node: WantedNode) -> Build:
        """Return what a worker is made from: nothing newer than the control planes."""
        version = self._cluster.observed.configured or self.of_planes.version
        return node.build if order(node.build.version) <= order(version) else self._build(version)

    def is_outdated(self, name: str) -> bool:
        """Return whether a control plane is to come from another build; one that has come further stays."""
        build = self._cluster.observed.machines[name].build
        is_newer = order(build.version) > order(self.of_planes.version)
        return build != self.of_planes and not (is_newer and name in self._cluster.voters())

    def _of_planes(self) -> Build:
        final = self._cluster.wanted.planes[0].build
        voting = [machine.build for name in self._cluster.voters() if (machine := self._cluster.machine(name))]
        if not voting:
            return final
        oldest = min((build.version for build in voting), key=order)
        base = self._cluster.observed.configured or oldest
        if order(base) >= order(final.version):
            return final
        if self._cluster.observed.configured and not self._has_arrived(base):
            return self._build(base)
        if minor(final.version) > minor(base) and self._holds_back(base):
            return self._build(base)
        version = next_version(base, final.version, self._cluster.wanted.builds)
        return final if version == final.version else self._build(version)

    def _has_arrived(self, version: str) -> bool:
        """Return whether all that has to have a version has it."""
        machines = {name: self._cluster.machine(name) for name in self._cluster.voters()}
        is_everyone_there = {node.name for node in self._cluster.wanted.planes} <= machines.keys()
        have_it = all(machine is not None and machine.build.version == version for machine in machines.values())
        return is_everyone_there and have_it and (self._cluster.observed.add_ons or version) == version

    def _holds_back(self, version: str) -> bool:
        """Return whether workers come before the control planes' next minor.

        One is missing, perhaps since it is being replaced; or its kubelet would be too old.
        """
        workers = self._cluster.standing("worker")
        if any(node.name not in self._cluster.nodes for node in self._cluster.wanted.workers):
            return True
        return any(
            minor(machine.build.version) < minor(version) + 1 - KUBELET_SKEW for machine in workers.values()
        )

    def _build(self, version: str) -> Build:
        """Return the build of a version: what can be had, or what machines of that version were made from."""
        wanted = self._cluster.wanted
        final = wanted.planes[0].build
        if version == final.version:
            return final
        standing = {m.build.version: m.build for m in self._cluster.planes.values()}
        return standing.get(version) or Build(version, wanted.builds.get(version, ""))
