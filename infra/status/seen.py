"""What an instance is judged by: what its state has, and what hosts, clusters and Azure told. Plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from infra.arc.model import Connected
from infra.hosts.facts.libvirt import Running
from infra.kubernetes.etcd import Membership
from infra.kubernetes.health import Snapshot
from infra.model.backup import Backup, ScheduleStatus
from infra.status.model import Source

T = TypeVar("T")


@dataclass(frozen=True)
class Unseen:
    """What couldn't be looked at.

    Attributes:
        why: For people.
        is_refusal: Whether that is itself an answer: what was asked is reached, or would be, and doesn't work.
    """

    why: str
    is_refusal: bool = False


Seen: TypeAlias = T | Unseen


@dataclass(frozen=True)
class StateMachine:
    """A machine, as state has it.

    Attributes:
        connection: Of its host.
        version: Kubernetes of the image that it booted; empty where that isn't known, or it has none.
        address: With the subnet's length.
        role: What it is in its cluster; empty where it is in none.
        cluster: Its cluster's name.
        started: When it was started last, in seconds since 1970; 0 where that isn't known.
    """

    connection: str
    version: str = ""
    address: str = ""
    role: str = ""
    cluster: str = ""
    started: float = 0


@dataclass(frozen=True)
class StateHost:
    """A host, as state has it.

    Attributes:
        name: In the hosts file.
        boot_id: Of its run in which it was looked at last; empty where that isn't known.
        machine_type: How machines run there.
        networks: What libvirt calls those that were made there.
    """

    name: str
    boot_id: str = ""
    machine_type: str = ""
    networks: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PhaseRecord:
    """How far a part of a run is, or was.

    Attributes:
        seconds: When each of its resources that is through was, after the run's beginning.
        going: How many are being made or changed now.
        total: How many resources it has.
    """

    seconds: tuple[float, ...] = ()
    going: int = 0
    total: int = 0


@dataclass(frozen=True)
class Lock:
    """The lock of a run that goes on.

    Attributes:
        owner: User and machine.
        since: In seconds since 1970.
        command: What is run, as the user knows it; empty where that can't be seen.
    """

    owner: str
    since: float
    command: str = ""


@dataclass(frozen=True)
class PastRun:
    """A run that has ended.

    Attributes:
        command: By azlocal's name.
        result: The engine's word.
        ended: In seconds since 1970.
        seconds: How long it took.
    """

    command: str
    result: str
    ended: float
    seconds: float


@dataclass(frozen=True)
class StackState:
    """What a stack's state has.

    Attributes:
        machines: By name.
        hosts: By connection.
        lock: Of a run that goes on.
        unsettled: What runs before have left, a clause each.
        last_run: That has ended.
        last_alike: The last one of the kind that goes on, that succeeded and changed something.
        phases: Of the run that goes on, by name.
        last_phases: Of the last one of the kind.
    """

    machines: Mapping[str, StateMachine] = field(default_factory=dict)
    hosts: Mapping[str, StateHost] = field(default_factory=dict)
    lock: Lock | None = None
    unsettled: tuple[str, ...] = ()
    last_run: PastRun | None = None
    last_alike: PastRun | None = None
    phases: Mapping[str, PhaseRecord] = field(default_factory=dict)
    last_phases: Mapping[str, PhaseRecord] = field(default_factory=dict)


@dataclass(frozen=True)
class SeenHost:
    """What a host told.

    Attributes:
        running: What its libvirt runs, virtual machines and containers together.
        boot_id: Of its run; empty where it doesn't say.
        memory_mib: All of it; None where it doesn't say. So are the others.
        available_memory_mib: What programs can have.
        disk_mib: Of the file system where the instance's files are.
        available_disk_mib: What can be written there.
        backups: Snapshots that it keeps, of all clusters.
        schedules: How its timers do, by cluster.
    """

    running: Seen[Running]
    boot_id: str = ""
    memory_mib: int | None = None
    available_memory_mib: int | None = None
    disk_mib: int | None = None
    available_disk_mib: int | None = None
    backups: tuple[Backup, ...] = ()
    schedules: Mapping[str, ScheduleStatus] = field(default_factory=dict)


@dataclass(frozen=True)
class Objects:
    """What a cluster's API server told.

    Attributes:
        version: Of Kubernetes, without the v.
        snapshot: The objects of azlocal's own namespaces, and the nodes.
        pods: Of all namespaces.
        services: Likewise.
    """

    version: str
    snapshot: Snapshot
    pods: Sequence[Mapping[str, Any]] = ()
    services: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class SeenCluster:
    """What a cluster told, each part by itself.

    Attributes:
        objects: By its address.
        silent: Control planes whose own API server isn't ready.
        etcd: Its members; None where not one answers.
        certificates: When each API server's ends, by control plane that answers.
        administrator: When the certificate of the kubeconfig in state ends.
    """

    objects: Seen[Objects]
    silent: Seen[tuple[str, ...]]
    etcd: Seen[Membership | None]
    certificates: Seen[Mapping[str, datetime]]
    administrator: datetime | None = None


@dataclass(frozen=True)
class Observations:
    """Everything that was seen, at one time.

    Attributes:
        at: When.
        seconds: What looking took.
        state: What the stack's state has.
        keys: Why state doesn't give the keys of clusters, without which these can't be asked; None: it does.
        hosts: By name.
        clusters: By name.
        connections: How each connected cluster is, by cluster; None where Azure has no such resource.
        azure_clock: Azure's time, which an emulator's user may have set forward.
        emulator: Whether the emulator runs; None where there is none.
        sources: All that was asked.
    """

    at: datetime
    seconds: float
    state: StackState
    keys: Unseen | None = None
    hosts: Mapping[str, Seen[SeenHost]] = field(default_factory=dict)
    clusters: Mapping[str, SeenCluster] = field(default_factory=dict)
    connections: Mapping[str, Seen[Connected | None]] = field(default_factory=dict)
    azure_clock: datetime | None = None
    emulator: bool | None = None
    sources: tuple[Source, ...] = ()
