"""What a drill finds: the machines that carry the stack's mark, the cluster's address and health, lab hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from infra.errors import UserError
from infra.kubernetes.kubeconfig import select_cluster
from infra.kvm.connection import Hosts
from infra.kvm.container import Container
from infra.kvm.ownership import Mark
from infra.kvm.vm import Vm
from infra.lab.host import LabHost
from infra.login_keys import identity_files
from infra.model.add_ons import add_on_namespaces
from infra.model.run import RunSettings
from infra.model.work import Work
from infra.provider.kinds.cluster_base import logged_in
from infra.ssh import ShellError
from infra.stack.backup import StackBackups
from infra.stack.clusters import cluster_of
from infra.stack.command import stack_output
from infra.stack.drills.decision import Node, Situation, choose_cluster
from infra.stack.drills.health import Health
from infra.stack.drills.lab_hosts import lab_hosts
from infra.stack.messages import say
from infra.stack.pool_sizes import pool_sizes_of
from infra.stack.restore.source import newest
from infra.stack.settle import is_this_states, owners_of, resources_of
from infra.stack.standing import StandingHost, StandingMachine, look, topology_of

if TYPE_CHECKING:
    from infra.model.backup import Backup
    from infra.plan.topology import Topology
    from infra.ssh import SshShell
    from infra.stack.state import Stack

_LOOK_SECONDS: Final = 20.0
_HEALTHY_SECONDS: Final = 30.0
"""How long a cluster may take to be seen healthy: a busy API server drops a connection now and then."""


@dataclass(frozen=True)
class Scene:
    """A standing cluster, and everything by which a drill reaches it.

    Attributes:
        situation: What is decided from.
        mark: The stack's, on everything that it made.
        connections: By host, its libvirt address.
        machines: By name, those of the instance that stand.
        lab_hosts: By host, those that are a lab's.
        kubeconfig: An administrator's, of the cluster.
        health: Looks at the cluster.
        keys: Private keys that log in to machines.
    """

    situation: Situation
    mark: Mark
    connections: Mapping[str, str]
    machines: Mapping[str, StandingMachine]
    lab_hosts: Mapping[str, LabHost]
    kubeconfig: str
    health: Health
    keys: tuple[str, ...]

    def login(self, machine: str) -> AbstractContextManager[SshShell]:
        """Return a shell on a machine, as somebody who may become root."""
        return logged_in(self.machines[machine].member, self.keys)


def find(stack: Stack, wanted: str | None, *, backups: bool = False) -> Scene:
    """Look at a stack's machines and at one of its clusters; nothing is changed.

    Args:
        stack: The stack.
        wanted: The cluster that the user named, if any.
        backups: Whether it matters which snapshots of etcd are kept.

    Raises:
        DrillRefused: There is no such cluster.
        UserError: Files, hosts or cluster can't be read; or another state has the instance.
    """
    from infra.spec import load_instance

    spec = load_instance(stack.name, stack.directory).at(RunSettings(pool_sizes=pool_sizes_of(stack)))
    topology = topology_of(spec)
    runs = {cluster.name: cluster for cluster in topology.clusters if cluster.provisioning == "kubernetes"}
    cluster = runs[choose_cluster(runs, wanted)]
    hosts = look(topology, stack.name)
    _require_own(stack, hosts)
    machines = {machine.name: machine for host in hosts for machine in host.machines}
    nodes = tuple(_nodes(topology, machines.values()))
    text = stack_output(stack.name, stack.directory, "kubeconfig")
    kubeconfig = select_cluster(text, f"{topology.instance}-{cluster.name}")
    planes = [node.name for node in nodes if node.cluster == cluster.name and node.role == "controlPlane"]
    health = Health(
        kubeconfig,
        planes={name: machines[name].member.address for name in planes},
        nodes=cluster.machines,
        namespaces=add_on_namespaces(cluster.add_on_values),
    )
    mark, keys = Mark(topology.instance, stack.name, ""), identity_files(spec)
    connections = {host.name: host.connection for host in hosts}
    labs = lab_hosts(connections)
    situation = Situation(
        stack=stack.name,
        cluster=cluster.name,
        nodes=nodes,
        holder=_holder(cluster.endpoint, {name: machines[name] for name in planes}, keys),
        lacks=health.look_for(_HEALTHY_SECONDS).lacks,
        lab_hosts=frozenset(labs),
        strangers={name: _strangers(connections[name], mark) for name in labs},
        backup=_newest_backup(stack, cluster.name) if backups else None,
    )
    return Scene(situation, mark, connections, machines, labs, kubeconfig, health, keys)


def _require_own(stack: Stack, hosts: list[StandingHost]) -> None:
    """See that what stands is this very state's.

    Raises:
        UserError: It is another's.
    """
    owners = owners_of(resources_of(stack.deployment()))
    for host in hosts:
        if not is_this_states(host.claim, owners):
            raise UserError(f"{host.name}: {host.claim.refusal()}")


def _nodes(topology: Topology, machines: Iterable[StandingMachine]) -> Iterator[Node]:
    prefix = f"{topology.instance}-"
    for machine in machines:
        if machine.cluster:
            cluster = machine.cluster.removeprefix(prefix)
            yield Node(machine.name, cluster, machine.member.role, machine.host)


def _holder(endpoint: IPv4Address, planes: Mapping[str, StandingMachine], keys: tuple[str, ...]) -> str:
    """Return the control plane that has the cluster's address; the first one where none is known to have it."""
    command = ["ip", "-oneline", "address", "show", "to", f"{endpoint}/32"]
    for name, machine in planes.items():
        try:
            with logged_in(machine.member, keys) as shell:
                if shell.run(command, timeout=_LOOK_SECONDS).stdout.strip():
                    return name
        except ShellError as error:
            say(f"{name} can't be asked whether it has the cluster's address: {error}")
    return min(planes, default="")


def _newest_backup(stack: Stack, name: str) -> Backup | None:
    cluster = cluster_of(stack, name)
    stored = newest(cluster, StackBackups(stack).listed(cluster))
    return stored.backup if stored else None


def _strangers(connection: str, mark: Mark) -> tuple[str, ...]:
    """Return the machines that run on a host and aren't this stack's."""
    with Hosts().session(connection, Work(status=say)) as session:
        domains = [domain for kind in (Vm, Container) for domain in kind.hypervisor(session).listAllDomains()]
        return tuple(
            sorted(
                domain.name()
                for domain in domains
                if domain.isActive() and not mark.owns("domain", domain.name(), domain.UUIDString())
            )
        )
