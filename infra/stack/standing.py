"""What stands of an instance, as hosts and control planes tell it, and whether it is what the files describe."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from infra.errors import UserError
from infra.guest.api_server import FOLDER, pod_security_of
from infra.kubernetes.pki import PKI_FILES, restore_pki
from infra.kvm import machines
from infra.kvm.claim import Claim, read_claim, unclaimed
from infra.kvm.connection import Hosts, HostSession
from infra.kvm.domain_xml import DomainView
from infra.kvm.ownership import Mark
from infra.provider.kinds.cluster_base import logged_in
from infra.provider.kinds.host_owner import standing_directory
from infra.provider.standing import StandingCluster
from infra.resources.control_plane import Member
from infra.ssh import ShellError
from infra.stack.messages import say

if TYPE_CHECKING:
    from infra.ssh import Shell
    from infra.topology import Cluster, Host, Topology

_PKI: Final = "/etc/kubernetes/pki"
_PEERS: Final = "/etc/keepalived/peers.conf"
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


def look(topology: Topology, stack: str) -> list[StandingHost]:
    """Return the hosts on which something of an instance stands.

    Raises:
        HostUnreachable: one of them can't be asked.
        NotOurs: a claim can't be read.
    """
    hosts = Hosts()
    mark = Mark(topology.instance, stack, "")
    asked = [host for host in topology.hosts if not host.is_lost]

    def ask(host: Host) -> StandingHost | None:
        with hosts.session(host.connection, threading.Event(), say) as session:
            return _host(session, host, mark)

    with ThreadPoolExecutor(len(asked) or 1) as pool:
        return [one for one in pool.map(ask, asked) if one is not None]


def _host(session: HostSession, host: Host, mark: Mark) -> StandingHost | None:
    standing = standing_directory(session, mark)
    directory = standing or host.storage_directory
    claim = read_claim(session.shell, directory)
    if claim is None and standing is None:
        return None
    found = [
        StandingMachine(host.name, machines.persistent_view(domain), bool(domain.isActive()))
        for domain in machines.owned_domains(session, mark)
    ]
    claim = claim or unclaimed(mark.instance, mark.stack)
    found.sort(key=lambda machine: machine.name)
    return StandingHost(host.name, host.connection, directory, claim, tuple(found))


def differences(topology: Topology, found: Iterable[StandingMachine]) -> Iterator[str]:
    """Yield where what stands isn't what the files describe, so that an `up` would remove it or make it twice."""
    planned = {machine.name: machine for machine in topology.machines}
    for one in found:
        wanted = planned.get(one.name)
        if wanted is None:
            yield f"{one.name} stands on {one.host}, and the plan has no machine of that name"
        elif wanted.host != one.host:
            yield f"{one.name} stands on {one.host}, and the plan has it on {wanted.host}"
        elif one.address and one.address != wanted.address:
            yield f"{one.name} has the address {one.address}, and the plan gives it {wanted.address}"
        elif topology.machine_type not in ("auto", one.view.machine_type):
            yield f"{one.name} runs as {one.view.machine_type}, and the files ask for {topology.machine_type}"


def nodes_of(cluster: Cluster, instance: str, found: Iterable[StandingMachine]) -> list[StandingMachine]:
    """Return the nodes of a cluster that stand."""
    return [one for one in found if one.cluster == f"{instance}-{cluster.name}"]


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
    planes = [one for one in nodes if one.role == "controlPlane"]
    if not planes:
        listed = ", ".join(one.name for one in nodes)
        raise UserError(
            f"cluster {name} has no control plane any more, and with it went what its other machines ({listed}) "
            f"know it by. Remove these by hand (`virsh destroy`, `virsh undefine --nvram`); then adopt again, and "
            f"cluster {name} is made from its beginnings"
        )
    reasons = [f"{one.name} doesn't run: start it on {one.host}" for one in planes if not one.is_running]
    for one in planes:
        if not one.is_running:
            continue
        try:
            with logged_in(one.member, identity_files) as shell:
                found = _read(shell)
        except (ShellError, KeyError, ValueError) as error:
            reasons.append(f"{one.name} can't be read: {error}")
            continue
        others = [node.name for node in nodes if node.ca_hash != found.pki.ca_hash]
        if not others:
            return found
        reasons.append(f"{', '.join(others)} of it were made for another cluster than {one.name} holds")
    raise UserError(
        f"what made cluster {name} itself can be read from none of its control planes:\n"
        + "\n".join(f"  - {reason}" for reason in reasons)
    )


def _read(shell: Shell) -> StandingCluster:
    files = {path: _content(shell, f"{_PKI}/{path}") for path in PKI_FILES}
    admission = f"{FOLDER}/admission.yaml"
    is_told = shell.run(["sudo", "test", "-e", admission], check=False).exit_code == 0
    has_peers = shell.run(["sudo", "test", "-e", _PEERS], check=False).exit_code == 0
    return StandingCluster(
        restore_pki(files),
        pod_security_of(_content(shell, admission)) if is_told else None,
        True if has_peers else None,
    )


def _content(shell: Shell, path: str) -> str:
    return shell.run(["sudo", "cat", path], timeout=_READ_SECONDS).stdout
