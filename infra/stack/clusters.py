"""A stack's clusters as its state has them, with the keys that let us in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from infra.errors import UserError
from infra.kubernetes.etcd import Etcd
from infra.model.encryption_keys import EncryptionKeys
from infra.provider.backups import etcd_of
from infra.resources.cluster_identity import CLUSTER_IDENTITY, keys_of
from infra.resources.control_plane import CONTROL_PLANE, Member
from infra.resources.host import HOST
from infra.resources.machine import MACHINE, MachineState
from infra.resources.node_placement import NODE_PLACEMENT, NodePlacementState
from infra.resources.snapshot_schedule import SNAPSHOT_SCHEDULE, SnapshotScheduleState
from infra.stack.state import Stack

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"


@dataclass(frozen=True)
class StackCluster:
    """A cluster of a stack.

    Attributes:
        placement: What the program says of it, keys among it.
        version: Of its control planes when it was last seen whole, without the v.
        ca_hash: The pin of its authority.
        machines: Its nodes, by name.
        urns: What the engine calls its machines, its placement and its identity, by name.
        hosts: Connections of the instance's hosts that aren't lost.
        schedules: The timers of hosts that take snapshots of it.
        keys: Of its Secrets in etcd.
    """

    placement: NodePlacementState
    version: str
    ca_hash: str
    machines: Mapping[str, MachineState]
    urns: Mapping[str, str]
    hosts: tuple[str, ...]
    schedules: tuple[SnapshotScheduleState, ...] = ()
    keys: EncryptionKeys = field(default_factory=EncryptionKeys)

    @property
    def instance(self) -> str:
        """Return the instance's name."""
        return self.placement.instance

    @property
    def name(self) -> str:
        """Return the cluster's name in its instance."""
        return self.placement.cluster

    @property
    def key(self) -> str:
        """Return its name, as its nodes have it."""
        return f"{self.instance}-{self.name}"

    @property
    def identity(self) -> str:
        """Return the id of its ClusterIdentity."""
        return CLUSTER_IDENTITY.id_of({"instance": self.instance, "cluster": self.name})

    @property
    def planes(self) -> dict[str, MachineState]:
        """Return its control planes, by name; also those that are to leave, and still have what etcd holds."""
        return {name: machine for name, machine in self.machines.items() if _is_plane(machine)}

    @property
    def addresses(self) -> dict[str, str]:
        """Return the addresses of its control planes, by name."""
        own = {name: machine.first_boot.host_address for name, machine in self.planes.items()}
        return {**self.placement.control_planes, **own}

    def etcd(self, planes: Iterable[str]) -> Etcd:
        """Return the members of its etcd on some control planes."""
        return etcd_of(self.placement, {name: self.addresses[name] for name in planes})

    def member(self, name: str) -> Member:
        """Return a machine as those know it who log in there."""
        machine = self.machines[name]
        return Member(
            name=name,
            role="controlPlane" if name in self.planes else "worker",
            address=machine.first_boot.host_address,
            ssh_host_key=machine.ssh_host_key,
        )


def clusters_of(stack: Stack) -> list[StackCluster]:
    """Return the clusters of a stack that Kubernetes is on.

    Raises:
        UserError: There is no such stack; or the engine doesn't say what it has.
    """
    stack.require()
    resources = stack.secret_resources()
    of = {
        kind.token: [
            (each["urn"], _plain(each.get("outputs") or {})) for each in resources if each["type"] == kind.token
        ]
        for kind in (
            NODE_PLACEMENT,
            MACHINE,
            HOST,
            CONTROL_PLANE,
            SNAPSHOT_SCHEDULE,
            CLUSTER_IDENTITY,
        )
    }
    hosts = tuple(host["connection"] for _, host in of[HOST.token] if not host.get("lost"))
    machines = [(urn, MachineState.model_validate(outputs)) for urn, outputs in of[MACHINE.token]]
    versions = {
        (each["instance"], each["cluster"]): each.get("version", "") for _, each in of[CONTROL_PLANE.token]
    }
    schedules = [SnapshotScheduleState.model_validate(outputs) for _, outputs in of[SNAPSHOT_SCHEDULE.token]]
    identities = {CLUSTER_IDENTITY.id_of(each): (urn, each) for urn, each in of[CLUSTER_IDENTITY.token]}
    clusters = []
    for urn, outputs in of[NODE_PLACEMENT.token]:
        placement = NodePlacementState.model_validate(outputs)
        key = f"{placement.instance}-{placement.cluster}"
        nodes = {m.name: (u, m) for u, m in machines if m.first_boot.node and m.first_boot.node.cluster == key}
        identity = CLUSTER_IDENTITY.id_of(outputs)
        identity_urn, known = identities.get(identity, ("", {}))
        version = versions.get((placement.instance, placement.cluster), "").removeprefix("v")
        clusters.append(
            StackCluster(
                placement,
                version or placement.version,
                next((m.first_boot.node.ca_hash for _, m in nodes.values() if m.first_boot.node), ""),
                {name: machine for name, (_, machine) in nodes.items()},
                {key: urn, identity: identity_urn, **{name: each for name, (each, _) in nodes.items()}},
                hosts,
                tuple(each for each in schedules if f"{each.instance}-{each.cluster}" == key),
                keys_of(known),
            )
        )
    return clusters


def _is_plane(machine: MachineState) -> bool:
    return machine.first_boot.node is not None and machine.first_boot.node.role == "controlPlane"


def cluster_of(stack: Stack, name: str) -> StackCluster:
    """Return the cluster of that name.

    Raises:
        UserError: There is none, or as above.
    """
    clusters = clusters_of(stack)
    for cluster in clusters:
        if cluster.name == name:
            return cluster
    listed = ", ".join(cluster.name for cluster in clusters) or "none that Kubernetes is on"
    raise UserError(f"stack {stack.name} has no cluster {name!r}; it has {listed}")


def _plain(value: Any) -> Any:
    """Return a value of an export in which secrets are readable."""
    if isinstance(value, Mapping):
        if _SIGNATURE in value:
            return json.loads(value["plaintext"])
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
