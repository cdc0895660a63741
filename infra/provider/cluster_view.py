"""A cluster as it is seen in this run: what state says of its machines, what its API servers and etcd answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from infra.kubernetes.api import ClusterApi, ClusterError
from infra.kubernetes.certificates import at_server
from infra.kubernetes.etcd import PORT, Etcd, Membership
from infra.kubernetes.nodes import NodeFacts, look_at_nodes
from infra.kubernetes.pki import etcd_client
from infra.kubernetes.upgrade import add_on_version, configured_version
from infra.lifecycle.observed import Machine, Member, Node, Observed
from infra.lifecycle.wanted import Build, Wanted, WantedNode
from infra.model.node import NodeRole
from infra.provider.lives import ClusterRun, Leaver
from infra.provider.spare import Spare
from infra.resources.node_placement import NodePlacementInputs

_ANY_VERSION: Final = "0.0.0"
"""Every machine's, where the program names none: then nobody goes by it."""


class ClusterView:
    """Looks at one cluster that stays."""

    def __init__(self, run: ClusterRun, spare: Spare) -> None:
        """Take what is known of it in this run."""
        self._run = run
        self._spare = spare

    @property
    def _placement(self) -> NodePlacementInputs:
        return self._run.placement

    def wanted(self, observed: Observed) -> Wanted:
        """Return the cluster as it is to be, less workers that are only coming: they are admitted after this."""
        known, build = {*(observed.nodes or {}), *self._run.replaced}, self._build()
        planes = [WantedNode(name, "controlPlane", build) for name in self._placement.control_planes]
        pools = self._placement.surging if self._run.surges else {}
        workers = [
            WantedNode(name, "worker", build, pools.get(name, ""))
            for name in self._placement.hosts
            if name in known
        ]
        spare = self._placement.spare
        return Wanted(self._placement.cluster, (*planes, *workers), spare.name if spare else "")

    def observe(self, leaver: Leaver | None = None) -> Observed:
        """Return the cluster as it is.

        Args:
            leaver: A machine of it that may not be wanted any more, or that is gone already.
        """
        roles: dict[str, NodeRole] = dict.fromkeys(self._placement.control_planes, "controlPlane")
        roles |= dict.fromkeys(self._placement.hosts, "worker")
        addresses = dict(self._placement.control_planes)
        gone = {name for name, machine in [*self._run.machines.items()] if machine.lost} | self._run.absent
        for other in filter(None, (self._spare.leaver, leaver)):
            roles[other.name] = other.role
            if other.role == "controlPlane":
                addresses[other.name] = other.address
        if leaver is not None:
            gone = gone - {leaver.name} | ({leaver.name} if leaver.lost else set())
        standing = {name: address for name, address in addresses.items() if name not in gone}
        membership = self.etcd(standing).membership()
        if membership is None and (spare := self._placement.spare) is not None:
            # A run that was killed may have left the data on the spare alone, of which nobody knows yet.
            standing[spare.name] = addresses[spare.name] = spare.host_address
            membership = self.etcd({spare.name: spare.host_address}).membership()
        # Where no etcd answers, no API server of its own address does; each would take seconds to say so.
        api, facts = self._facts(standing if membership else {})
        machines = {
            name: Machine(
                role,
                self._build_of(name, facts),
                stands=name not in gone,
                runs=name not in gone,
                booted=True,
                marked=name in self._run.replacing,
                pool=self._spare.pool if name == self._spare.name else "",
            )
            for name, role in roles.items()
        }
        return Observed(
            founded=True,
            machines=machines,
            nodes={name: _node(node) for name, node in facts.items()} if api else None,
            members=_members(membership, addresses) if membership else None,
            agreed=membership is not None and membership.agreed,
            configured=configured_version(api) if api and self._placement.version else "",
            add_ons=add_on_version(api) if api and self._placement.version else "",
            images=frozenset({self._build().image}),  # hosts have it before the first machine is made or replaced
        )

    def etcd(self, planes: Mapping[str, str]) -> Etcd:
        """Return the cluster's etcd; `planes` are addresses of control planes by their names."""
        keys = self._placement.etcd_keys
        urls = {name: f"https://{address}:{PORT}" for name, address in planes.items()}
        return Etcd(urls, keys["etcd/ca.crt"], etcd_client(keys))

    def servers(self) -> list[ClusterApi]:
        """Return the API server of each control plane that stands, at its own address."""
        standing = [a for n, a in self._placement.control_planes.items() if n not in self._run.absent]
        return [ClusterApi(at_server(self._placement.kubeconfig, address)) for address in standing]

    def answering(self, but: str = "") -> ClusterApi:
        """Return an API server that answers; where none does, the cluster's address, whose error then tells.

        Args:
            but: A machine that goes, and isn't asked at its own address.
        """
        addresses = dict(self._placement.control_planes)
        if (spare := self._spare.leaver) is not None:
            addresses[spare.name] = spare.address
        others = {name: address for name, address in addresses.items() if name not in self._run.absent | {but}}
        for api in self._apis(others):
            try:
                api.text("/readyz")
            except ClusterError:
                continue
            return api
        return ClusterApi(self._placement.kubeconfig)

    def _build(self) -> Build:
        """Return what nodes are to be made from; the image only where its being newer replaces them."""
        planned = [plan.image for name in self._placement.control_planes if (plan := self._run.planned.get(name))]
        image = planned[0] if planned and self._placement.rolls_images else ""
        return Build(self._placement.version or _ANY_VERSION, image)

    def _build_of(self, name: str, facts: Mapping[str, NodeFacts]) -> Build:
        """Return what a machine was made from, as its kubelet says, or state; else what is wanted."""
        node, machine, wanted = facts.get(name), self._run.machines.get(name), self._build()
        version = (node.version if node else "") or (machine.version if machine else "")
        image = machine.image if machine and machine.image and wanted.image else wanted.image
        return Build(version if version and self._placement.version else wanted.version, image)

    def _facts(self, planes: Mapping[str, str]) -> tuple[ClusterApi | None, dict[str, NodeFacts]]:
        """Return the nodes, and which API server told: at the cluster's address, or at its own."""
        for api in self._apis(planes):
            try:
                return api, look_at_nodes(api)
            except ClusterError:
                continue
        return None, {}

    def _apis(self, planes: Mapping[str, str]) -> Iterator[ClusterApi]:
        yield ClusterApi(self._placement.kubeconfig)
        for address in planes.values():
            yield ClusterApi(at_server(self._placement.kubeconfig, address))


def _node(facts: NodeFacts) -> Node:
    return Node(
        ready=facts.ready,
        components=facts.components,
        cordoned=facts.cordoned,
        drained=not (facts.pods if facts.ready else facts.pods - facts.ended),
        joining=facts.is_joining,
        may_come_in=facts.may_come_in,
    )


def _members(membership: Membership, addresses: Mapping[str, str]) -> tuple[Member, ...]:
    machines = {address: name for name, address in addresses.items()}
    return tuple(
        Member(
            id=member.id,
            machine=machines.get(member.address, member.name if member.name in addresses else ""),
            learner=member.learner,
            healthy=True if member.id in membership.healthy else None,
            leader=member.id == membership.leader,
        )
        for member in membership.members
    )
