"""What the `azlocal arc` commands need of a stack: what people wrote of Arc, and what `up` made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.arc.azure import Azure
from infra.arc.endpoints import Settings
from infra.arc.errors import ArcError
from infra.arc.model import Proxy
from infra.doctor.azure import azure_of
from infra.doctor.cloud import endpoint_settings
from infra.login_keys import identity_files
from infra.plan.arc_topology import Arc, ConnectedCluster, arc_of, connected_cluster_of
from infra.spec import InstanceSpec, load_instance
from infra.spec.machine_names import machine_name
from infra.spec.reading import local_file
from infra.stack.command import stack_outputs

if TYPE_CHECKING:
    from infra.ssh import SshShell


@dataclass(frozen=True)
class Machine:
    """A node of the cluster, and how to log in to it."""

    name: str
    address: str
    host_key: str
    jump: str | None


@dataclass(frozen=True)
class ClusterOfStack:
    """One cluster of a stack, as its Arc commands see it."""

    spec: InstanceSpec
    name: str
    arc: Arc
    connected: ConnectedCluster

    def azure(self) -> Azure:
        """Return the door to the cluster's resource group; the emulator is started if need be."""
        return azure_of(self.spec, self.arc)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the private keys here that log in to its nodes."""
        return identity_files(self.spec)

    @property
    def settings(self) -> Settings:
        """Return what decides which endpoints are needed."""
        return endpoint_settings(self.arc, self.connected)

    @property
    def proxy(self) -> Proxy | None:
        """Return the proxy by which agents go."""
        proxy, file = self.connected.proxy, self.arc.spec.proxy_ca_file
        certificate = local_file(self.spec.directory, file).read_text(encoding="ascii") if file else ""
        if proxy is None:
            return Proxy(certificate=certificate) if certificate else None
        return Proxy(str(proxy.https_proxy or ""), str(proxy.http_proxy or ""), tuple(proxy.no_proxy), certificate)


def cluster_of_stack(stack: str, cluster: str, directory: Path) -> ClusterOfStack:
    """Read what people wrote of a cluster's connection.

    Raises:
        SpecError: It can't be read.
        ArcError: There is no such cluster, or it isn't connected.
    """
    spec = load_instance(stack, directory)
    arc = arc_of(spec)
    if arc is None:
        raise ArcError("no-arc", f"Pulumi.{stack}.yaml has no azlocal:arc", "say there which Azure is meant")
    described = next((candidate for candidate in spec.stack.clusters if candidate.name == cluster), None)
    if described is None:
        known = ", ".join(candidate.name for candidate in spec.stack.clusters)
        raise ArcError("cluster", f"stack {stack} has no cluster {cluster!r}; it has {known}")
    connected = connected_cluster_of(spec, described)
    if connected is None:
        raise ArcError("cluster", f"cluster {cluster} of stack {stack} isn't connected (arc.enabled: false)")
    return ClusterOfStack(spec, cluster, arc, connected)


def machines_of(stack: str, cluster: str, directory: Path) -> list[Machine]:
    """Return a cluster's nodes, as `up` made them.

    Raises:
        UserError: The engine doesn't say.
        ArcError: There are none.
    """
    outputs = stack_outputs(stack, directory)
    own = {
        machine_name(stack, allocation["owner"])
        for network in (outputs.get("plan") or {}).get("networks", [])
        for allocation in network.get("allocations", [])
        if allocation.get("cluster") == cluster
    }
    machines: Mapping[str, Any] = outputs.get("machines") or {}
    nodes = [
        Machine(name, machine["address"], machine["sshHostKey"], machine.get("jump"))
        for name, machine in machines.items()
        if name in own
    ]
    if not nodes:
        raise ArcError("no-nodes", f"cluster {cluster} of stack {stack} has no nodes", f"make up STACK={stack}")
    return nodes


def kubeconfig_of(stack: str, cluster: str, directory: Path) -> str | None:
    """Return a cluster's kubeconfig, None where `up` hasn't made it.

    Raises:
        UserError: The engine doesn't say.
    """
    from infra.errors import UserError
    from infra.kubernetes.kubeconfig import select_cluster

    text = stack_outputs(stack, directory, secrets=True).get("kubeconfig")
    if not text:
        return None
    try:
        return select_cluster(str(text), f"{stack}-{cluster}")
    except UserError:
        return None


def chosen(machines: Sequence[Machine], names: Sequence[str]) -> list[Machine]:
    """Return the nodes to look from: those named, all of them, or the last, which is a worker where there is one.

    Raises:
        ArcError: There is no such node.
    """
    if "all" in names:
        return list(machines)
    unknown = sorted(set(names) - {machine.name for machine in machines})
    if unknown:
        known = ", ".join(machine.name for machine in machines)
        raise ArcError("node", f"there is no node {', '.join(unknown)}; there are {known}")
    return [machine for machine in machines if machine.name in names] or [machines[-1]]


def shell_on(machine: Machine, keys: Sequence[str]) -> AbstractContextManager[SshShell]:
    """Return a shell on a node, by keys that `up` put there."""
    from infra.guest import LOGIN_USER
    from infra.ssh import machine_shell

    return machine_shell(LOGIN_USER, machine.address, machine.host_key, keys, machine.jump)
