"""What stands of an instance, as hosts and control planes tell it, and whether it is what the files describe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from infra.errors import UserError
from infra.guest.api_server import FOLDER, pod_security_of
from infra.guest.encryption import FILE, encryption_keys_of
from infra.kubernetes.pki import PKI_FILES, restore_pki
from infra.kvm.claim import Claim, read_claim, unclaimed
from infra.kvm.connection import Hosts, HostSession
from infra.kvm.domain_xml import DomainView
from infra.kvm.machines import owned_machines
from infra.kvm.ownership import Mark
from infra.model.work import Work
from infra.provider.kinds.cluster_base import logged_in
from infra.provider.kinds.host_owner import pool_name, standing_directory
from infra.provider.standing import StandingCluster
from infra.resources.control_plane import Member
from infra.ssh import ShellError
from infra.stack.messages import say

if TYPE_CHECKING:
    from infra.plan.topology import Cluster, Host, Topology
    from infra.spec import InstanceSpec
    from infra.ssh import Shell

_PKI: Final = "/etc/kubernetes/pki"
_READ_SECONDS: Final = 30.0


@dataclass(frozen=True)
class StandingMachine:
    """A machine of the instance on a host.

    Attributes:
        host: the host's name.
        view: what libvirt keeps of it.
        is_running: whether it runs.
    """

    host: str
    view: DomainView
    is_running: bool

    @property
    def name(self) -> str:
        """Return its name."""
        return self.view.name

    @property
    def address(self) -> str:
        """Return its address with the subnet's length, as it was told at its first boot."""
        return str(self.view.record.get("firstBoot", {}).get("address", ""))

    @property
    def role(self) -> str:
        """Return what it is in its cluster; empty where it is no node."""
        return str(self._node.get("role", ""))

    @property
    def cluster(self) -> str:
        """Return the name of its cluster, `INSTANCE-CLUSTER`."""
        return str(self._node.get("cluster", ""))

    @property
    def ca_hash(self) -> str:
        """Return the pin of its cluster's authority."""
        return str(self._node.get("caHash", ""))

    @property
    def member(self) -> Member:
        """Return how to log in."""
        return Member(
            name=self.name,
            role="controlPlane" if self.role == "controlPlane" else "worker",
            address=self.address.partition("/")[0],
            ssh_host_key=str(self.view.record.get("sshHostKey", "")),
        )

    @property
    def _node(self) -> dict[str, object]:
        return self.view.record.get("firstBoot", {}).get("node") or {}


@dataclass(frozen=True)
class StandingHost:
    """A host on which something of the instance stands.

    Attributes:
        name: its name in hosts/SITE.yaml.
        connection: the libvirt address.
        directory: where the instance's files are.
        claim: which state has the instance there.
        machines: of the instance.
    """

    name: str
    connection: str
    directory: str
    claim: Claim
    machines: tuple[StandingMachine, ...]


def topology_of(spec: InstanceSpec) -> Topology:
    """Return what an instance's files describe, with the addresses and places that its lock files have."""
    from infra.plan.instance import plan_instance
    from infra.plan.locks import SiteLocks
    from infra.plan.topology import build_topology

    plan = plan_instance(spec, SiteLocks.of(spec).read())
    return build_topology(spec, plan)


def look(topology: Topology, stack: str) -> list[StandingHost]:
    """Return the hosts on which something of an instance stands.

    Raises:
        HostUnreachable: one of them can't be asked.
        NotOurs: a claim can't be read.
    """
    hosts = Hosts()
    mark = Mark(topology.instance, stack, "")
    to_ask = [host for host in topology.hosts if not host.is_lost]

    def ask(host: Host) -> StandingHost | None:
        with hosts.session(host.connection, Work(status=say)) as session:
            return _host(session, host, mark)

    with ThreadPoolExecutor(len(to_ask) or 1) as pool:
        return [standing for standing in pool.map(ask, to_ask) if standing is not None]


def _host(session: HostSession, host: Host, mark: Mark) -> StandingHost | None:
    standing = standing_directory(session, mark)
    directory = standing or host.storage_directory
    claim = read_claim(session.shell, directory)
    if claim is None and standing is None:
        return None
    machines = [
        StandingMachine(host.name, machine.definition, machine.is_active)
        for machine in owned_machines(session, pool_name(mark.instance), mark)
    ]
    claim = claim or unclaimed(mark.instance, mark.stack)
    machines.sort(key=lambda machine: machine.name)
    return StandingHost(host.name, host.connection, directory, claim, tuple(machines))


def differences(topology: Topology, standing: Iterable[StandingMachine]) -> Iterator[str]:
    """Yield where what stands isn't what the files describe, so that an `up` would remove it or make it twice."""
    planned = {machine.name: machine for machine in topology.machines}
    for machine in standing:
        wanted = planned.get(machine.name)
        if wanted is None:
            yield f"{machine.name} stands on {machine.host}, and the plan has no machine of that name"
        elif wanted.host != machine.host:
            yield f"{machine.name} stands on {machine.host}, and the plan has it on {wanted.host}"
        elif machine.address and machine.address != str(wanted.address):
            yield f"{machine.name} has the address {machine.address}, and the plan gives it {wanted.address}"
        elif topology.machine_type not in ("auto", machine.view.machine_type):
            yield (
                f"{machine.name} runs as {machine.view.machine_type}, and the files ask for "
                f"{topology.machine_type}"
            )


def nodes_of(cluster: Cluster, instance: str, machines: Iterable[StandingMachine]) -> list[StandingMachine]:
    """Return the nodes of a cluster that stand."""
    return [machine for machine in machines if machine.cluster == f"{instance}-{cluster.name}"]


def read_cluster(name: str, nodes: Iterable[StandingMachine], identity_files: Iterable[str]) -> StandingCluster:
    """Read from a control plane that runs what made its cluster itself.

    Args:
        name: the cluster's.
        nodes: those of it that stand.
        identity_files: private keys by which nodes may be logged in to, before the user's own.

    Raises:
        UserError: none runs, or the one that does can't be read; the message says what to do.
    """
    nodes, identity_files = list(nodes), tuple(identity_files)
    planes = [node for node in nodes if node.role == "controlPlane"]
    if not planes:
        listed = ", ".join(node.name for node in nodes)
        raise UserError(
            f"cluster {name} has no control plane any more, and with it went what its other machines ({listed}) "
            f"know it by. Remove these by hand (`virsh destroy`, `virsh undefine --nvram`); then adopt again, and "
            f"cluster {name} is made from its beginnings"
        )
    reasons = [f"{plane.name} doesn't run: start it on {plane.host}" for plane in planes if not plane.is_running]
    for plane in planes:
        if not plane.is_running:
            continue
        try:
            with logged_in(plane.member, identity_files) as shell:
                cluster = _read(shell)
        except (ShellError, KeyError, ValueError) as error:
            reasons.append(f"{plane.name} can't be read: {error}")
            continue
        others = [node.name for node in nodes if node.ca_hash != cluster.pki.ca_hash]
        if not others:
            return cluster
        reasons.append(f"{', '.join(others)} of it were made for another cluster than {plane.name} holds")
    raise UserError(
        f"what made cluster {name} itself can be read from none of its control planes:\n"
        + "\n".join(f"  - {reason}" for reason in reasons)
    )


def _read(shell: Shell) -> StandingCluster:
    files = {path: _content(shell, f"{_PKI}/{path}") for path in PKI_FILES}
    admission = _content_if_any(shell, f"{FOLDER}/admission.yaml")
    encryption = _content_if_any(shell, f"{FOLDER}/{FILE}")
    return StandingCluster(
        restore_pki(files, () if encryption is None else encryption_keys_of(encryption)),
        None if admission is None else pod_security_of(admission),
    )


def _content_if_any(shell: Shell, path: str) -> str | None:
    """Return a file's text; None where a cluster was founded without it.

    Raises:
        ShellError: It can't be seen whether it is there, or it can't be read.
    """
    is_there = ["sudo", "sh", "-c", 'if [ -e "$1" ]; then echo yes; fi', "sh", path]
    return _content(shell, path) if shell.run(is_there, timeout=_READ_SECONDS).stdout else None


def _content(shell: Shell, path: str) -> str:
    return shell.run(["sudo", "cat", path], timeout=_READ_SECONDS).stdout
