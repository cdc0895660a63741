"""What an upgrade does in a cluster whose machines are replaced one after the other, and which images that needs.

No node pulls an image: what it runs is in its own store, filled from its version's bundle. While machines of two
versions stand beside each other, kube-proxy and CoreDNS of either may be scheduled on any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from infra.image.bundle.store import find_bundle_of
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.upgrade import (
    add_on_images,
    add_on_version,
    configured_version,
    finish_upgrade,
    objections,
    prepare_upgrade,
)
from infra.kvm.errors import HostError
from infra.lifecycle.versions import passed
from infra.model.versions import BUILT
from infra.plugin.operation import Operation
from infra.provider.kinds.cluster_base import Login
from infra.provider.kinds.node_images import bring
from infra.provider.lives import ClusterRun
from infra.provider.settings_check import SettingsCheck
from infra.resources.control_plane import Member
from infra.resources.node_placement import NodePlacementInputs


class Upgrade:
    """The way of one cluster to the version that its nodes are to have."""

    def __init__(self, run: ClusterRun, login: Login) -> None:
        """Take what the program says of the cluster.

        Args:
            run: The cluster in this run.
            login: Opens a shell on a node, as somebody who may become root.
        """
        self._run = run
        self._login = login
        self._against: list[str] | None = None

    @property
    def _placement(self) -> NodePlacementInputs:
        return self._run.placement

    def objections(self, op: Operation, servers: Sequence[ClusterApi]) -> list[str]:
        """Return why the cluster, whose API servers these are, can't go to its version, a sentence each.

        So it is of all versions on the way, the first time: a run that is on the way to another one would else
        change half of what there is to change.
        """
        if self._against is None:
            self._against = self._look(op, servers)
        return self._against

    def _look(self, op: Operation, servers: Sequence[ClusterApi]) -> list[str]:
        version, final = self._placement.version, self._placement.final_version
        against = objections(servers, final or version, self._placement.archives)
        op.status("asking the programs of the new version whether they take the cluster's settings")
        bundles = filter(
            None, map(find_bundle_of, passed(version, final or version, [each.version for each in BUILT]))
        )
        against += SettingsCheck(bundles, op.warning).objections(servers[0])
        try:
            self._archives_of(configured_version(servers[0]))
        except HostError as error:
            against.append(str(error))
        return against

    def prepare(self, api: ClusterApi, version: str) -> None:
        """Have kubeadm make new control planes of a version."""
        prepare_upgrade(api, version, self._archives_of(version))

    def equip(self, op: Operation, api: ClusterApi, newcomers: Iterable[Member]) -> None:
        """Bring nodes of the new version what the cluster still runs of the old one's.

        Raises:
            HostError: The old version's bundle isn't on this machine; or a node doesn't take an image.
        """
        old = add_on_version(api)
        if old and self._placement.version and old != self._placement.version:
            self._bring(op, newcomers, old)

    def finish(self, op: Operation, api: ClusterApi, nodes: Iterable[Member]) -> None:
        """Bring kube-proxy and CoreDNS to the new version.

        Args:
            op: The operation.
            api: The cluster.
            nodes: Those that stand, of whichever version.

        Raises:
            HostError: A node doesn't take an image.
            NotReady: They don't run in time.
        """
        self._bring(op, nodes, self._placement.version)
        finish_upgrade(api, self._placement.archives, op.work())

    def _archives_of(self, version: str) -> Mapping[str, str]:
        """Return the archives of a version's images, by name and tag.

        Raises:
            HostError: Its bundle isn't on this machine.
        """
        if version == self._placement.version:
            return self._placement.archives
        bundle = find_bundle_of(version)
        if bundle is None:
            raise HostError(
                f"nodes of Kubernetes {self._placement.version} need the container images of {version} until all "
                "control planes are new, and its bundle isn't on this machine: run `azlocal image build "
                f"--kubernetes-version {version}`"
            )
        return bundle.archives

    def _bring(self, op: Operation, nodes: Iterable[Member], version: str) -> None:
        """Bring nodes a version's kube-proxy and CoreDNS."""
        archives = self._archives_of(version)
        bring(op, nodes, {name: archives[name] for name in add_on_images(archives)}, self._login)
