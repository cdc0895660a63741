"""A physical node: how it is reached, what it can run, and the folder that azlocal keeps on it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.model.host import Bridge
from infra.model.machine import MachineType, RequestedMachineType
from infra.resources.contract import IGNORE, REPLACE, UPDATE, Contract


class HostInputs(Model):
    """What the program says of a host."""

    instance: Annotated[str, REPLACE] = Field(description="The Azure Local instance the host belongs to")
    name: Annotated[str, REPLACE] = Field(description="The host's name in hosts/<site>.yaml")
    connection: Annotated[str, REPLACE] = Field(description="libvirt URI, qemu:///system or qemu+ssh://…")
    storage_directory: Annotated[str, REPLACE] = Field(
        description="Folder on the host that holds images, disks and seeds of this instance, and nothing else"
    )
    requested_machine_type: Annotated[RequestedMachineType, UPDATE] = Field(
        default="auto", description="auto takes vm where a probe guest really boots under KVM, else container"
    )
    prepare: Annotated[bool, UPDATE] = Field(
        default=False,
        description="Packages, libvirtd and bridges are made where they are missing, not only reported",
    )
    uplink: Annotated[str | None, UPDATE] = Field(default=None, description="The NIC that carries the bridges")
    bridges: Annotated[list[Bridge], UPDATE] = Field(
        default_factory=list, description="Bridges on the uplink, one for each VLAN"
    )
    machines: Annotated[list[str], IGNORE] = Field(
        default_factory=list,
        description="The instance's machines that belong here: others under its mark are left from before, and go",
    )
    owner: Annotated[str | None, UPDATE] = Field(
        default=None, description="The id of the state that makes the instance (StackIdentity); no other may"
    )
    lost: Annotated[bool, UPDATE] = Field(
        default=False, description="It is gone for good: nothing is asked of it, and what it had is forgotten"
    )
    prepared: Annotated[bool, UPDATE] = Field(
        default=True, description="Nothing of what preparation makes is missing on the host"
    )
    available: Annotated[bool, UPDATE] = Field(
        default=True, description="The storage directory is mounted and its pool started"
    )


class HostState(HostInputs):
    """What the host turned out to be."""

    pool: str = Field(description="libvirt storage pool over the storage directory")
    machine_type: MachineType = Field(description="How machines run on this host")
    machine_type_reason: str = Field(description="Why that one")
    clone_store: str = Field(description="How disks are copied at once: native reflinks or an XFS file of ours")
    architecture: str
    cpus: int = Field(description="Logical processors")
    memory_mib: int = Field(alias="memoryMiB", description="Physical memory in MiB")
    secure_boot: bool = Field(description="OVMF with Secure Boot keys is installed")
    tpm: bool = Field(description="swtpm is installed, so that VMs get a vTPM 2.0")
    boot_id: str = Field(default="", description="Of the host's run in which it was last looked at")


HOST = Contract(
    "azlocal:index:Host",
    HostInputs,
    HostState,
    "A KVM host: connection, facts, and azlocal's storage on it.",
    "{connection}#{instance}",
)
