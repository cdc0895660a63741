"""A machine: its disk, its cloud-init seed and its libvirt domain, as one resource."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infra.guest.api_server import PodSecurity
from infra.resources.contract import IGNORE, REPLACE, UPDATE, Contract, Model, Secret
from infra.resources.host import MachineType


class NodeInputs(Model):
    """The Kubernetes node that a machine becomes, without secrets."""

    cluster: str = Field(description="The cluster's name in kubeconfigs")
    role: Literal["controlPlane", "worker"]
    version: str = Field(description="Kubernetes version, without the v")
    endpoint: str = Field(description="The cluster's address")
    ca_certificate: str = Field(description="The cluster CA's certificate, PEM")
    ca_hash: str = Field(description="kubeadm's pin of the CA's public key")
    number: int = Field(default=0, ge=0, description="Of a control plane; number 0 starts the cluster")
    vrrp_id: int = Field(default=1, ge=1, le=255)
    pod_cidr: str = ""
    service_cidr: str = ""
    image_tags: dict[str, str] = Field(default_factory=dict, description="Tags of etcd's and CoreDNS's images")
    max_pods: int | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    taints: list[str] = Field(default_factory=list, description="key=value:Effect")


class NodeSecrets(Model):
    """What a node's seed holds besides, and what no libvirt record and no digest ever does."""

    token: str
    keys: dict[str, str] = Field(default_factory=dict, description="Of a control plane")


class NodeSettings(Model):
    """What a node is told at its first boot, and what no later difference replaces it for."""

    pod_security: PodSecurity | None = Field(
        default=None, description="Of a control plane: the level of pods whose namespace says nothing"
    )
    peers: list[str] = Field(
        default_factory=list, description="Of a control plane: the addresses of its cluster's others"
    )
    unicast_vrrp: bool | None = Field(default=None, description="Of a control plane: VRRP with its peers alone")


class FirstBootInputs(Model):
    """What the machine is told once, through its seed."""

    hostname: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    address: str = Field(description="Static IPv4 address with its prefix length, 10.0.0.5/24")
    gateway: str
    dns_servers: list[str]
    authorized_keys: list[str] = Field(min_length=1, description="OpenSSH public keys that may log in")
    node: NodeInputs | None = None
    mtu: int | None = Field(default=None, ge=1230, description="Bytes in a packet, where it isn't 1500")


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
    first_boot: Annotated[FirstBootInputs, REPLACE]
    # Another token or key is another cluster's, whose caHash in firstBoot differs, too.
    node_secrets: Annotated[NodeSecrets | None, IGNORE, Secret()] = None
    # Beside firstBoot, whose every difference replaces: nodes of 0.1.0 were told less.
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
    migrations: int = Field(default=0, ge=0, description="How often it has come to another host as it ran")


MACHINE = Contract(
    "azlocal:index:Machine",
    MachineInputs,
    MachineState,
    "A VM or system container with a static address, ready when SSH answers with its own host key.",
    "{connection}#{name}",
)
