"""How an instance is: the value that `azlocal status` shows, and that its JSON schema describes."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, TypeAlias

from pydantic import Field

from infra.model.base import Model

SCHEMA: Final = "azlocal.io/status/v1"

Level: TypeAlias = Literal["wrong", "unknown", "warning"]
"""What stands otherwise than planned; what couldn't be looked at; what is worth knowing, and stands."""

State: TypeAlias = Literal["ok", "wrong", "unknown"]

HostState: TypeAlias = Literal["ok", "wrong", "unknown", "lost"]
"""`lost`: the hosts file gives it up, and it isn't asked."""

MachineState: TypeAlias = Literal["running", "off", "missing", "notMade", "notPlanned", "unknown"]
"""`notMade`: planned, and no run has made it yet; `notPlanned`: a run made it, and the files have it no more."""


class Reason(Model):
    """Something that isn't as planned, with all that only follows from it."""

    subject: str = Field(description="What it is about, as `machine lab-a-cp-0`")
    level: Level
    text: str
    remedy: str = Field(default="", description="What helps; empty where the cause says it")
    consequences: tuple[Reason, ...] = ()


class HostStatus(Model):
    """A host, and what room it has."""

    name: str
    state: HostState
    machine_type: str | None = Field(default=None, description="How machines run there, as state has it")
    machines: int = Field(description="How many are planned there")
    planned_memory_mib: int = Field(alias="plannedMemoryMiB", description="Of the machines planned there")
    memory_mib: int | None = Field(default=None, alias="memoryMiB")
    available_memory_mib: int | None = Field(default=None, alias="availableMemoryMiB")
    available_disk_mib: int | None = Field(
        default=None, alias="availableDiskMiB", description="Where the instance's files are"
    )


class MachineStatus(Model):
    """A machine, planned or standing."""

    name: str
    role: str
    cluster: str | None
    host: str
    address: str | None
    state: MachineState
    ready: bool | None = Field(default=None, description="Of its node; null where it has none, or nobody knows")
    version: str | None = Field(default=None, description="Kubernetes of the image that it booted")


class NetworkStatus(Model):
    """A network of the plan."""

    name: str
    address_prefix: str
    vlan: int
    pool_size: int
    pool_free: int
    hosts: int = Field(description="How many hosts are to have it")
    up: int | None = Field(description="On how many it is up; null where no host answers")


class Share(Model):
    """How many of several."""

    count: int
    total: int


class EtcdStatus(Model):
    """A cluster's etcd."""

    healthy: int = Field(description="Members that answer, know a leader and raise no alarm")
    members: int
    has_quorum: bool


class ArcStatus(Model):
    """A cluster's connection to Azure Arc."""

    name: str = Field(description="Of the Azure resource")
    connectivity_status: str | None = Field(description="Azure's word; null where it couldn't be asked")
    agent_version: str | None = None
    last_connectivity: datetime | None = None
    is_emulated: bool


class ClusterStatus(Model):
    """A cluster that Kubernetes is on, or will be."""

    name: str
    state: State
    endpoint: str
    planned_version: str
    version: str | None = Field(default=None, description="As its API server says")
    nodes: Share | None = Field(default=None, description="Ready, of those planned")
    pods: Share | None = Field(default=None, description="Ready, of all that haven't done their work")
    etcd: EtcdStatus | None = None
    services: Share | None = Field(
        default=None, description="Addresses that Services have, of the load balancer's"
    )
    last_snapshot: datetime | None = Field(default=None, description="Of etcd, on any host")
    arc: ArcStatus | None = None


class Certificate(Model):
    """A certificate, and when it ends."""

    name: str
    ends: datetime


class Phase(Model):
    """A part of a run."""

    name: str
    state: Literal["done", "going", "waiting"]
    done: int = Field(description="Resources that are through")
    total: int = Field(description="Resources in all, as far as that is known")
    seconds: float | None = Field(default=None, description="From the beginning of the run to its last resource")
    last_seconds: float | None = Field(default=None, description="The same in the last run of the kind")


class RunStatus(Model):
    """A run that goes on."""

    command: str | None = Field(description="`azlocal up`; null where its process can't be seen from here")
    owner: str = Field(description="Whose process it is, and on which machine")
    since: datetime
    seconds: float
    expected_seconds: float | None = Field(default=None, description="What the last run of the kind took")
    phases: tuple[Phase, ...] = ()


class LastRun(Model):
    """The last run that has ended."""

    command: str
    result: str
    ended: datetime
    seconds: float


class Source(Model):
    """Something that was asked."""

    name: str
    seconds: float
    failure: str | None = Field(default=None, description="Why it told nothing")


class Status(Model):
    """How an instance is."""

    schema_id: Literal["azlocal.io/status/v1"] = Field(default=SCHEMA, alias="schema")
    instance: str
    state: Literal["ok", "wrong", "unknown", "changing"]
    exit_code: int = Field(description="0: as planned; 1: not all could be looked at; 2: wrong; 3: a run goes on")
    asked_at: datetime
    seconds: float = Field(description="What looking took")
    reasons: tuple[Reason, ...] = ()
    run: RunStatus | None = None
    last_run: LastRun | None = None
    hosts: tuple[HostStatus, ...] = ()
    machines: tuple[MachineStatus, ...] = ()
    networks: tuple[NetworkStatus, ...] = ()
    clusters: tuple[ClusterStatus, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    sources: tuple[Source, ...] = ()
