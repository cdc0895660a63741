"""Everything that is learned of one host, as plain data. What couldn't be learned says why."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from ipaddress import IPv4Address
from typing import Any, Literal, TypeAlias

from infra.hosts.facts.network import Firewall, LinkKinds, Network
from infra.hosts.facts.storage import Storage
from infra.hosts.facts.system import Clock, Processor, System

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
        member.name: Unknown(reason) for member in fields(facts) if getattr(facts, member.name) == _NOT_ASKED
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
