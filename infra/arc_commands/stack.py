"""What the `azlocal arc` commands need of a stack: what people wrote of Arc, and what `up` made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from infra.arc.azure import Azure
from infra.arc.endpoints import Settings
from infra.arc.errors import ArcError
from infra.arc.model import Proxy, short_location
from infra.arc_commands.access import azure_of
from infra.arc_topology import Arc, ConnectedCluster, arc_of, connected_cluster_of
from infra.login_keys import identity_files
from infra.pulumi_cli import stack_outputs
from infra.spec import InstanceSpec, load_instance

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
        written = self.connected.settings
        return Settings(
            location=short_location(self.connected.location),
            cluster_connect=self.connected.cluster_connect,
            azure_rbac=written.azure_rbac.enabled,
            auto_upgrade=written.agent_auto_upgrade,
            private_link=self.arc.spec.private_link_scope is not None,
            gateway="" if self.arc.spec.gateway else None,
        )

    @property
    def proxy(self) -> Proxy | None:
        """Return the proxy by which agents go."""
        found, file = self.connected.proxy, self.arc.spec.proxy_ca_file
        certificate = (self.spec.directory / file).expanduser().read_text(encoding="ascii") if file else ""
        if found is None:
            return Proxy(certificate=certificate) if certificate else None
        return Proxy(str(found.https_proxy or ""), str(found.http_proxy or ""), tuple(found.no_proxy), certificate)


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
    found = next((one for one in spec.stack.clusters if one.name == cluster), None)
    if found is None:
        known = ", ".join(one.name for one in spec.stack.clusters)
        raise ArcError("cluster", f"stack {stack} has no cluster {cluster!r}; it has {known}")
    connected = connected_cluster_of(spec, found)
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
        f"{stack}-{one['owner']}"
        for network in (outputs.get("plan") or {}).get("networks", [])
        for one in network.get("allocations", [])
        if one.get("cluster") == cluster
    }
    machines: Mapping[str, Any] = outputs.get("machines") or {}
    found = [
        Machine(name, one["address"], one["sshHostKey"], one.get("jump"))
        for name, one in machines.items()
        if name in own
    ]
    if not found:
        raise ArcError("no-nodes", f"cluster {cluster} of stack {stack} has no nodes", f"make up STACK={stack}")
    return found


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
    unknown = sorted(set(names) - {one.name for one in machines})
    if unknown:
        known = ", ".join(one.name for one in machines)
        raise ArcError("node", f"there is no node {', '.join(unknown)}; there are {known}")
    return [one for one in machines if one.name in names] or [machines[-1]]


@contextmanager
def shell_on(machine: Machine, keys: Sequence[str]) -> Iterator[SshShell]:
    """Log in to a node, by keys that `up` put there."""
    from infra.guest import LOGIN_USER
    from infra.ssh import machine_shell

    with TemporaryDirectory(prefix="azlocal-arc-") as folder:
        known_hosts = Path(folder) / "known_hosts"
        shell = machine_shell(LOGIN_USER, machine.address, machine.host_key, known_hosts, keys, machine.jump)
        try:
            yield shell
        finally:
            shell.close()
