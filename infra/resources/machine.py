"""A machine: its disk, its cloud-init seed and its libvirt domain, as one resource."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.model.first_boot import FirstBoot
from infra.model.machine import MachineType
from infra.model.node import NodeSecrets, NodeSettings
from infra.resources.contract import IGNORE, REPLACE, UPDATE, Contract, Secret


class MachineInputs(Model):
    """What the program says of a machine."""

    instance: Annotated[str, REPLACE]
    connection: Annotated[str, REPLACE] = Field(description="libvirt URI of the host")
    pool: Annotated[str, REPLACE] = Field(description="The host's storage pool")
    name: Annotated[str, REPLACE] = Field(description="The libvirt domain's name")
    machine_type: Annotated[MachineType, REPLACE]
    image: Annotated[str, REPLACE] = Field(description="The image volume that the disk is a copy of")
    network: Annotated[str, REPLACE] = Field(description="The libvirt network of its only interface")
    mac_address: Annotated[str, REPLACE] = Field(pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")
    first_boot: Annotated[FirstBoot, REPLACE] = Field(
        description="What it is told once; labels, taints, maxPods and login keys are changed as it runs"
    )
    # Another token or key is another cluster's, whose caHash in firstBoot differs, too.
    node_secrets: Annotated[NodeSecrets | None, IGNORE, Secret()] = None
    # Beside firstBoot, whose differences replace, but for what is patched: nodes of 0.1.0 were told less.
    node_settings: Annotated[NodeSettings | None, IGNORE] = None
    vcpus: Annotated[int, UPDATE] = Field(ge=1, le=512)
    memory_mib: Annotated[int, UPDATE] = Field(ge=128, alias="memoryMiB")
    disk_gib: Annotated[int, UPDATE] = Field(ge=2, alias="diskGiB", description="Grows in place, never shrinks")
    secure_boot: Annotated[bool, REPLACE] = Field(default=False, description="VMs only")
    tpm: Annotated[bool, REPLACE] = Field(default=False, description="VMs only: a vTPM 2.0")
    seed_digest: Annotated[str | None, REPLACE] = Field(
        default=None, description="Content of the seed, filled in: what azlocal would render today"
    )
    reached_through: Annotated[str | None, UPDATE] = Field(
        default=None, description="libvirt URI of the host from which its network is reached; its own when absent"
    )
    # Paths on whoever's machine runs Pulumi: no property of the machine.
    identity_files: Annotated[list[str], IGNORE] = Field(
        default_factory=list, description="Private keys that may log in to the machine, to change its login keys"
    )
    running: Annotated[bool, UPDATE] = True
    migrates_from: Annotated[list[str], IGNORE] = Field(
        default_factory=list,
        description="libvirt URIs of hosts that drain live: a VM that is on one of them comes from there running",
    )


class MachineState(MachineInputs):
    """The machine as it stands."""

    uuid: str
    ssh_host_key: str = Field(description="The OpenSSH public host key that the machine must answer with")
    started: int = Field(
        default=0, description="When it was last started, in seconds since 1970; 0 while it is off"
    )
    lost: bool = Field(
        default=False,
        description="A control plane that is gone from its host: `up` has another one join in its place",
    )
    keeps_volumes: bool = Field(
        default=False,
        description="A node's: whether volumes on its disk are on a data volume, which a machine that takes its "
        "place on its host takes over. Nodes of before have none",
    )
    migrations: int = Field(default=0, ge=0, description="How often it has come to another host as it ran")


MACHINE = Contract(
    "azlocal:index:Machine",
    MachineInputs,
    MachineState,
    "A VM or system container with a static address, ready when SSH answers with its own host key.",
    "{connection}#{name}",
)
