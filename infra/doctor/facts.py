"""Everything that is learned of one host, as plain data. What couldn't be learned says why."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, Literal, TypeAlias, TypeVar

T = TypeVar("T")

AccessStage: TypeAlias = Literal[
    "reached", "unreachable", "hostKeyUnknown", "hostKeyChanged", "hostKeyRevoked", "loginRefused"
]
ObjectKind: TypeAlias = Literal["domain", "network", "pool"]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that couldn't be learned, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Access:
    """How far the way to the host goes.

    Attributes:
        stage: Where it ends.
        message: What stands in the way, with the remedy; empty when the host was reached.
        user: Who we are there.
        is_root: Whether that is root.
        can_sudo: Whether that user becomes root without a password.
        over_ssh: False for this machine itself.
        server_address: The host's address that the SSH connection comes in at.
        forwarding: Why sshd lets no connection through to the host's own ports; None when it does.
    """

    stage: AccessStage
    message: str = ""
    user: str = ""
    is_root: bool = False
    can_sudo: bool = False
    over_ssh: bool = True
    server_address: IPv4Address | None = None
    forwarding: str | None = None

    @property
    def acts_as_root(self) -> bool:
        """Return whether commands can run as root there."""
        return self.is_root or self.can_sudo


@dataclass(frozen=True, slots=True)
class Clock:
    """The host's time against this machine's.

    Attributes:
        offset: Seconds that the host is ahead.
        uncertainty: Seconds that the offset may be wrong by: half of what the question took.
        synchronised: Whether systemd says that something keeps the clock right; None where it can't say.
    """

    offset: float
    uncertainty: float
    synchronised: bool | None


@dataclass(frozen=True, slots=True)
class Processor:
    """`lscpu`'s words."""

    architecture: str
    vendor: str
    model: str
    logical: int
    flags: frozenset[str]
    hypervisor: str | None


@dataclass(frozen=True, slots=True)
class System:
    """The operating system and the machine it runs on.

    Attributes:
        distribution: ID of /etc/os-release, e.g. `debian`.
        alike: Distributions that it is made from, by ID_LIKE.
        version: VERSION_ID; None for testing versions.
        pretty_name: As the distribution calls itself.
        kernel: The kernel's release.
        manufacturer: Of the machine, by DMI; None where there is none.
        product: The machine's model, by DMI.
        identity: The same for two names of one running machine: boot and network namespace.
        memory_bytes: Physical memory.
        tpm_version: Major version of the host's TPM; None without one.
        uefi: Whether the host booted by UEFI.
        secure_boot: Whether Secure Boot is on; None where that can't be told.
        kvm_device: Whether /dev/kvm is there.
        loop_control: Whether /dev/loop-control is there.
        cgroup_controllers: Controllers of cgroups, v1 and v2 together.
        inotify_instances: fs.inotify.max_user_instances.
        active_units: Those of the systemd units asked for that run; None without systemd.
    """

    distribution: str
    alike: frozenset[str]
    version: str | None
    pretty_name: str
    kernel: str
    manufacturer: str | None
    product: str | None
    identity: str
    memory_bytes: int
    tpm_version: int | None
    uefi: bool
    secure_boot: bool | None
    kvm_device: bool
    loop_control: bool
    cgroup_controllers: frozenset[str]
    inotify_instances: int
    active_units: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A mounted file system; sizes in bytes."""

    target: str
    source: str
    kind: str
    size: int
    available: int


@dataclass(frozen=True, slots=True)
class Disk:
    """A whole drive; size in bytes.

    Attributes:
        mount_points: Where it, its partitions and what lies on them are mounted.
    """

    name: str
    size: int
    model: str | None
    mount_points: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Storage:
    """Drives, file systems, and which files are behind loop devices."""

    disks: tuple[Disk, ...]
    file_systems: tuple[FileSystem, ...]
    loop_files: tuple[tuple[str, str], ...]

    def holding(self, path: str) -> FileSystem | None:
        """Return the file system that holds a path, whether that exists yet or not."""
        parts = path.rstrip("/").split("/")
        for length in range(len(parts), 0, -1):
            prefix = "/".join(parts[:length]) or "/"
            found = [one for one in self.file_systems if one.target == prefix]
            if found:
                return found[-1]  # the last one mounted there covers the others
        return None


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface.

    Attributes:
        name: Its name.
        kind: `bridge`, `vlan`, `vxlan` …; None for a plain NIC.
        mtu: Bytes.
        is_up: Whether it is switched on.
        has_carrier: Whether the other end answers.
        master: The bridge or bond that it is a port of.
        parent: What a VLAN or VXLAN interface sends through.
        speed: Mbit/s where the driver tells.
        is_wireless: Wi-Fi can't be a port of a bridge.
        addresses: Its IPv4 addresses.
    """

    name: str
    kind: str | None
    mtu: int
    is_up: bool
    has_carrier: bool
    master: str | None
    parent: str | None
    speed: int | None
    is_wireless: bool
    addresses: tuple[IPv4Interface, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """An IPv4 route of the main table."""

    destination: IPv4Network
    device: str | None
    gateway: IPv4Address | None


@dataclass(frozen=True, slots=True)
class Network:
    """Interfaces and routes."""

    links: tuple[Link, ...]
    routes: tuple[Route, ...]
    resolvers: tuple[str, ...]

    def link(self, name: str) -> Link | None:
        """Return the interface of that name."""
        return next((one for one in self.links if one.name == name), None)

    def holder(self, address: IPv4Address) -> Link | None:
        """Return the interface that has an address."""
        return next((link for link in self.links for one in link.addresses if one.ip == address), None)

    @property
    def default_devices(self) -> frozenset[str]:
        """Return the interfaces that default routes leave by."""
        return frozenset(one.device for one in self.routes if one.destination.prefixlen == 0 and one.device)


@dataclass(frozen=True, slots=True)
class LinkKinds:
    """Which kinds of interface the kernel makes: each was made in a network namespace of its own."""

    bridge: bool
    vlan: bool
    vxlan: bool


@dataclass(frozen=True, slots=True)
class Firewall:
    """What decides about forwarded packets.

    Attributes:
        dropping: Chains on the way of forwarded packets whose policy is to drop, e.g. `ip filter FORWARD`.
        refusing: Those on the way of packets to the host itself.
        bridge_calls_iptables: Whether frames inside a bridge pass iptables too (br_netfilter).
        forwards: net.ipv4.ip_forward.
    """

    dropping: tuple[str, ...]
    refusing: tuple[str, ...]
    bridge_calls_iptables: bool
    forwards: bool


@dataclass(frozen=True, slots=True)
class LibvirtObject:
    """A domain, network or pool, whoever made it.

    Attributes:
        instance: The instance that a domain's mark names; None for other kinds and for domains without a mark.
        place: A network's bridge, a pool's folder.
    """

    kind: ObjectKind
    name: str
    uuid: str
    active: bool
    instance: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Hypervisor:
    """libvirt and QEMU.

    Attributes:
        libvirt: Version.
        qemu: Version; None where libvirt finds no QEMU.
        host_uuid: By which libvirt tells hosts apart.
        secure_boot: Whether guests can have Secure Boot.
        tpm: Whether guests can have a TPM 2.0.
        containers: Why machines can't be containers; None when they can.
        objects: All that libvirt has.
    """

    libvirt: tuple[int, int, int]
    qemu: tuple[int, int, int] | None
    host_uuid: str
    secure_boot: bool
    tpm: bool
    containers: str | None
    objects: tuple[LibvirtObject, ...]


@dataclass(frozen=True, slots=True)
class BootProbe:
    """Whether a guest booted under KVM."""

    boots: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is missing on the host, by infra.kvm.preparation.

    Attributes:
        steps: How to make it: each step's id, and what it does.
        faults: Why it can't be done; each with what to do after a colon.
    """

    steps: tuple[tuple[str, str], ...] = ()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """What a DNS server answered.

    Attributes:
        problem: Why there is no answer; None when there is one.
        code: The answer's code, e.g. NOERROR, SERVFAIL.
    """

    server: IPv4Address
    problem: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """Whether an endpoint was reached by TLS; `problem` is None when it was.

    Attributes:
        untrusted: It answered, with a certificate that nobody vouches for: a proxy that looks into TLS does so.
    """

    name: str
    port: int
    problem: str | None
    untrusted: bool = False


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """Whether another host answers an echo request.

    Attributes:
        answers: To a small one.
        carries: To one of the largest packet planned between hosts, not to be cut into pieces.
    """

    address: IPv4Address
    answers: bool
    carries: bool


@dataclass(frozen=True, slots=True)
class ServedCertificate:
    """The certificate that a control plane on the host serves, and in how many days it ends."""

    machine: str
    days: float


_NOT_ASKED = Unknown("the host wasn't asked: the time was over")


@dataclass(frozen=True, slots=True)
class HostFacts:
    """All of one host. Grows while the host is asked, so that a host which hangs shows what came before."""

    access: Access
    clock: Clock | Unknown = _NOT_ASKED
    processor: Processor | Unknown = _NOT_ASKED
    system: System | Unknown = _NOT_ASKED
    storage: Storage | Unknown = _NOT_ASKED
    network: Network | Unknown = _NOT_ASKED
    link_kinds: LinkKinds | Unknown = _NOT_ASKED
    firewall: Firewall | Unknown = _NOT_ASKED
    packages: frozenset[str] | Unknown = _NOT_ASKED
    preparation: Preparation | Unknown = _NOT_ASKED
    hypervisor: Hypervisor | Unknown = _NOT_ASKED
    boot_probe: BootProbe | Unknown = _NOT_ASKED
    dns: tuple[DnsAnswer, ...] | Unknown = _NOT_ASKED
    endpoints: tuple[EndpointAnswer, ...] | Unknown = _NOT_ASKED
    peers: tuple[PeerAnswer, ...] | Unknown = _NOT_ASKED
    certificates: tuple[ServedCertificate, ...] | Unknown = _NOT_ASKED


def broken_off(facts: HostFacts, reason: str) -> HostFacts:
    """Return the facts of a host that could be asked some things, with why it wasn't asked the others."""
    left: dict[str, Any] = {
        one.name: Unknown(reason) for one in fields(facts) if getattr(facts, one.name) == _NOT_ASKED
    }
    return replace(facts, **left)


def unreached(access: Access, reason: str) -> HostFacts:
    """Return the facts of a host that can't be asked anything."""
    nothing = Unknown(reason)
    return HostFacts(
        access,
        clock=nothing,
        processor=nothing,
        system=nothing,
        storage=nothing,
        network=nothing,
        link_kinds=nothing,
        firewall=nothing,
        packages=nothing,
        preparation=nothing,
        hypervisor=nothing,
        boot_probe=nothing,
        dns=nothing,
        endpoints=nothing,
        peers=nothing,
        certificates=nothing,
    )
