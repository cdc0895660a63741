"""hosts/<site>.yaml: the physical nodes and extra VM sizes. The hardware team's file.

Sources (azure_local_facts.md §0): SCALE, SYS, DASYS (1-16 machines, 64 of a disaggregated instance; 512 logical
processors, 24 TB of memory and 2,048 virtual processors a host, 4 PB of storage a system, 64 TB a volume), SCALE
§1.2 for the sizes that exist already.
"""

from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from infra.model.local_libvirt import QEMU
from infra.spec.connections import (
    CONNECTION_PATTERN,
    Connection,
    connection_fault,
    read_connection,
)
from infra.spec.findings import shown
from infra.spec.forms import HOST_NAME, NIC_NAME, Example
from infra.spec.types import Address, Boolean, Integer, Model, Name, fault, published

DEFAULT_STORAGE_DIRECTORY = "/var/lib/azlocal"
_OF_THE_KERNEL = frozenset({"proc", "sys", "dev"})  # hier(7)
_LONGEST_NAME = 255  # limits.h: NAME_MAX
_LONGEST_FOLDER = 2048  # half of PATH_MAX: azlocal's own folders and files are below it


def _check_connection(text: str) -> str:
    wrong = connection_fault(text)
    if wrong is not None:
        reason, remedy = wrong
        raise fault("bad-connection", f"azlocal can't work with {shown(text)}: {reason}", remedy)
    return text


def _check_folder(text: str) -> str:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not text.startswith("/"):
        why = "is not an absolute path"
    elif ".." in parts:
        why = "goes up by `..`"
    elif not text.isprintable():
        why = "has characters that can't be seen"
    elif len(text.encode()) > _LONGEST_FOLDER or any(len(part.encode()) > _LONGEST_NAME for part in parts):
        why = f"has more than {_LONGEST_NAME} bytes in a name, or {_LONGEST_FOLDER} in all"
    elif parts and parts[0] in _OF_THE_KERNEL:
        why = f"is the kernel's: no file is kept under /{parts[0]}"
    else:
        return text
    raise fault("bad-folder", f"{shown(text)} {why}", f"write it as {DEFAULT_STORAGE_DIRECTORY}")


def _read_drain(value: object) -> object:
    if isinstance(value, bool) or value == "live":
        return value
    raise fault(
        "wrong-value",
        f"{shown(value)} is not one of true, false, live",
        "write `drain: live` to migrate VMs as they run, `drain: true` to re-create machines on other hosts",
    )


Drain = Annotated[
    bool | Literal["live"], BeforeValidator(_read_drain), WithJsonSchema({"enum": [False, True, "live"]})
]


class HostSpec(Model):
    """One machine that runs KVM or, where it can't, containers. Sizes absent here are asked of the host."""

    name: Annotated[Name, HOST_NAME] = Field(description="Short host name, lower case.")
    connection: Annotated[
        str,
        AfterValidator(_check_connection),
        published(pattern=CONNECTION_PATTERN),
        Example("qemu+ssh://root@192.0.2.11/system, or qemu:///system for this machine"),
    ] = Field(description="qemu:///system for this machine, else qemu+ssh://user@address/system.")
    management_address: Address | None = Field(
        None, description="The host's address in the infrastructure network; optional for this machine."
    )
    dns_servers: tuple[Address, ...] | None = Field(
        None,
        description="The host's own DNS servers, where they are known; the infrastructure's must be the same.",
    )
    cpus: Annotated[Integer, Field(ge=1, le=512)] | None = Field(None, description="Logical processors.")
    memory_gib: Annotated[Integer, Field(ge=1, le=24 * 1024)] | None = Field(
        None, alias="memoryGiB", description="Memory in GiB."
    )
    disk_gib: Annotated[Integer, Field(ge=1, le=4 * 1024 * 1024)] | None = Field(
        None,
        alias="diskGiB",
        description="Room for machines and images in GiB; disks are thin, so more is a warning and no fault.",
    )
    uplink: Annotated[str, NIC_NAME] | None = Field(
        None, description="The NIC that carries the VLANs. Absent: libvirt makes NAT networks."
    )
    tunnel_address: Address | None = Field(
        None,
        description="Where other hosts reach this one for VXLAN; absent: the address that connection names.",
    )
    storage_directory: Annotated[str, AfterValidator(_check_folder), Example(DEFAULT_STORAGE_DIRECTORY)] | None = (
        Field(None, description="Where azlocal keeps its files on the host; /var/lib/azlocal when absent.")
    )
    local_availability_zone: Name | None = Field(
        None, description="The zone, usually a room or rack, of a host of a rack-aware instance."
    )
    prepare: Boolean | None = Field(
        None,
        description="Install packages, start libvirtd and make the uplink's bridges where they are missing. When "
        "absent: on other machines yes; on this one, which `make setup` prepares, they are only reported.",
    )
    drain: Drain = Field(
        False,
        description="No machine is placed here; those that are here move to other hosts with the next `up`: made "
        "again there (true), or, VMs only, migrated as they run with memory and disk (live).",
    )
    lost: Boolean = Field(
        False,
        description="The host is gone for good, and switched off: its machines move as from one that drains, but "
        "nothing on it is asked or removed. Once it is back without this key, `up` removes what it still has.",
    )
    protected: Boolean = Field(
        False,
        description="`azlocal audit --clean` removes nothing from this host, whatever is left there. `up` and "
        "`down` work as ever: they remove what their state has.",
    )

    def storage_of(self, instance: str) -> str:
        """Return the folder on the host that holds an instance's images, disks and seeds."""
        return f"{(self.storage_directory or DEFAULT_STORAGE_DIRECTORY).rstrip('/')}/{instance}"

    @property
    def drains_live(self) -> bool:
        """Tell whether its VMs leave it as they run; a host that is lost lets none go."""
        return self.drain == "live" and not self.lost

    @property
    def is_local(self) -> bool:
        """Tell whether this is the machine that azlocal runs on."""
        return self.connection == QEMU

    @property
    def is_prepared(self) -> bool:
        """Tell whether what is missing on it is made, and not only reported."""
        return not self.is_local if self.prepare is None else self.prepare

    @property
    def ssh_destination(self) -> str | None:
        """Return `user@host:port` as ssh takes it for a jump; None for this machine."""
        return None if self.is_local else self.connection.split("/")[2]

    @property
    def way(self) -> Connection:
        """Return what `connection` says."""
        return read_connection(self.connection)

    @property
    def underlay_address(self) -> Address | None:
        """Return where other hosts reach this one; None where the files don't tell."""
        named = self.way.address
        return self.tunnel_address or (named if isinstance(named, IPv4Address) else None)


class VmSizeSpec(Model):
    """A VM size beside Azure's own table."""

    vcpus: Annotated[Integer, Field(ge=1, le=2048)] = Field(description="Virtual processors.")
    memory_gib: Annotated[Integer, Field(ge=1, le=24 * 1024)] = Field(alias="memoryGiB", description="GiB.")
    disk_gib: Annotated[Integer, Field(ge=4, le=64 * 1024)] = Field(
        200, alias="diskGiB", description="OS disk in GiB, grown on demand."
    )


class HostsFile(Model):
    """All of hosts/<site>.yaml."""

    hosts: Annotated[tuple[HostSpec, ...], published(minItems=1, maxItems=64)] = Field(
        description="The physical nodes, 1-16; 64 where the stack's deploymentClass is disaggregated."
    )
    vm_sizes: dict[Name, VmSizeSpec] = Field({}, description="VM sizes beside Azure's own.")
