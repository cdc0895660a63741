"""What an instance wants of its hosts: from the files and the plan to what checks compare facts with. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from infra.model.machine import RequestedMachineType
from infra.model.machine_traits import candidates, may_run_containers, may_run_vms
from infra.model.network import NetworkMode
from infra.plan.addresses import AddressPlan
from infra.plan.addresses.layout import build_networks
from infra.plan.host_networks import carrier, host_networks
from infra.plan.inventory import build_inventory
from infra.plan.topology import Topology
from infra.spec import InstanceSpec
from infra.spec.hosts import HostSpec
from infra.spec.machine_names import machine_name

HTTPS: Final = 443


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Something outside that must be reached by TLS."""

    name: str
    port: int = HTTPS

    @property
    def is_address(self) -> bool:
        """Return whether the name is an address, of which no DNS server has to know."""
        try:
            IPv4Address(self.name)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return self.name if self.port == HTTPS else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Outside:
    """What hosts have to reach outside.

    Attributes:
        endpoints: The stack's own Azure.
        authorities: PEM of those that sign for it beside the public ones.
        reason: Why there is nothing to reach; empty where there is.
    """

    endpoints: tuple[Endpoint, ...]
    authorities: str = field(default="", repr=False)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The site's proxy for HTTPS.

    Attributes:
        url: It may hold a password, so it is never shown.
        exceptions: Names, domains and prefixes that are reached without it.
    """

    url: str = field(repr=False)
    exceptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WantedNetwork:
    """A network of the plan on one host.

    Attributes:
        name: In the netplan.
        libvirt_name: libvirt's network.
        prefix: The subnet.
        gateway: Its default gateway.
        mode: `nat`: libvirt holds the gateway; `bridge`: on the uplink; `mesh`: by VXLAN between hosts.
        bridge: The bridge's interface.
        vlan: 0 for untagged.
        holds_gateway: Whether the host's bridge has the gateway's address.
        dns_servers: Those of its machines.
    """

    name: str
    libvirt_name: str
    prefix: IPv4Network
    gateway: IPv4Address
    mode: NetworkMode
    bridge: str
    vlan: int
    holds_gateway: bool
    dns_servers: tuple[IPv4Address, ...]


@dataclass(frozen=True, slots=True)
class WantedMachine:
    """A machine that the plan places on a host; `api_server` is a control plane's own address."""

    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    api_server: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class WantedHost:
    """What one host is to carry.

    Attributes:
        where: File and line that name the host.
        management_address: Its address in the infrastructure network.
        underlay_address: Where other hosts reach it.
        uplink: The NIC that carries bridges; None where no network needs one.
        declared_cpus: Logical processors by the hosts file; None where it doesn't say.
        declared_memory_gib: Memory likewise.
        declared_disk_gib: Room for machines likewise.
        prepare: Whether `up` makes what is missing there.
        machines: None when the plan isn't sound, so that nothing is placed.
    """

    name: str
    connection: str
    where: str
    management_address: IPv4Address | None
    underlay_address: IPv4Address | None
    uplink: str | None
    storage_directory: str
    declared_cpus: int | None
    declared_memory_gib: int | None
    declared_disk_gib: int | None
    prepare: bool
    networks: tuple[WantedNetwork, ...]
    machines: tuple[WantedMachine, ...] | None


@dataclass(frozen=True, slots=True)
class WantedInstance:
    """What all hosts have in common.

    Attributes:
        hosts: Those that aren't given up.
        lost: Names of those that are.
        addresses: Every address of the plan that machines and services will have, with its owner.
        reserved: Prefixes of pods and services, which hold no host (NETCON).
        dns_servers: The infrastructure's.
        proxy: The site's proxy for HTTPS, if there is one.
        outside: What must be reached outside.
        underlay_mtu: The largest packet between hosts, in bytes.
        plan_problem: Why nothing is placed; None when the plan is sound.
        scaled: Names of the machines that autoscaling may have added.
    """

    name: str
    machine_type: RequestedMachineType
    hosts: tuple[WantedHost, ...]
    lost: tuple[str, ...]
    addresses: tuple[tuple[IPv4Address, str], ...]
    reserved: tuple[tuple[IPv4Network, str], ...]
    dns_servers: tuple[IPv4Address, ...]
    proxy: ProxySettings | None
    outside: Outside
    underlay_mtu: int
    plan_problem: str | None
    scaled: frozenset[str] = frozenset()

    @property
    def runs_kvm(self) -> bool:
        """Return whether machines may be VMs under KVM."""
        return "vm" in candidates(self.machine_type)

    @property
    def runs_vms(self) -> bool:
        """Return whether machines may be VMs, under KVM or emulated."""
        return may_run_vms(self.machine_type)

    @property
    def runs_containers(self) -> bool:
        """Return whether machines may be containers."""
        return may_run_containers(self.machine_type)

    @property
    def is_meshed(self) -> bool:
        """Return whether a network spans hosts by VXLAN."""
        return any(network.mode == "mesh" for host in self.hosts for network in host.networks)


def wanted_instance(
    spec: InstanceSpec, plan: AddressPlan, topology: Topology | None, problem: str | None, outside: Outside
) -> WantedInstance:
    """Collect what an instance wants.

    Args:
        spec: What people wrote.
        plan: Its address plan.
        topology: None when the plan isn't sound.
        problem: Why not.
        outside: What hosts have to reach.
    """
    proxy = spec.netplan.proxy
    url = proxy and (proxy.https_proxy or proxy.http_proxy)
    return WantedInstance(
        name=spec.name,
        machine_type=spec.stack.machine_type,
        hosts=tuple(
            _host(spec, index, host, topology) for index, host in enumerate(spec.hosts.hosts) if not host.lost
        ),
        lost=tuple(host.name for host in spec.hosts.hosts if host.lost),
        addresses=tuple(
            (IPv4Address(allocation.value), allocation.owner)
            for network in plan.networks
            for allocation in network.allocations
            if allocation.is_recorded
        ),
        reserved=tuple(_reserved(spec)),
        dns_servers=spec.netplan.infrastructure.dns_servers,
        proxy=ProxySettings(url, proxy.no_proxy) if proxy and url else None,
        outside=outside,
        underlay_mtu=spec.netplan.underlay_mtu,
        plan_problem=problem,
        scaled=frozenset(
            machine_name(spec.name, planned.owner)
            for planned in build_inventory(spec).everything
            if planned.held == "autoscaling"
        ),
    )


def _host(spec: InstanceSpec, index: int, host: HostSpec, topology: Topology | None) -> WantedHost:
    networks = tuple(_networks(spec, host))
    machines: tuple[WantedMachine, ...] | None = None
    if topology is not None:
        machines = tuple(
            WantedMachine(
                machine.name,
                machine.vcpus,
                machine.memory_mib,
                machine.disk_gib,
                machine.address.ip if machine.role == "controlPlane" else None,
            )
            for machine in topology.machines
            if machine.host == host.name
        )
    return WantedHost(
        name=host.name,
        connection=host.connection,
        where=spec.sources.where("hosts", ("hosts", index)),
        management_address=host.management_address,
        underlay_address=host.underlay_address,
        uplink=host.uplink if any(network.mode == "bridge" for network in networks) else None,
        storage_directory=host.storage_of(spec.name),
        declared_cpus=host.cpus,
        declared_memory_gib=host.memory_gib,
        declared_disk_gib=host.disk_gib,
        prepare=host.is_prepared,
        networks=networks,
        machines=machines,
    )


def _networks(spec: InstanceSpec, host: HostSpec) -> Iterator[WantedNetwork]:
    """Yield every network of the netplan, also those that share a bridge on that host."""
    layout = build_networks(spec.netplan)
    bridged = {
        host_network.network: host_network
        for host_network in host_networks(spec, layout)
        if host_network.host == host.name
    }
    for network in layout:
        on = bridged.get(carrier(spec, host, network, layout).name)
        if on is None:
            continue  # a host that is given up has none
        yield WantedNetwork(
            name=network.name,
            libvirt_name=on.libvirt_name,
            prefix=network.prefix,
            gateway=IPv4Address(network.gateway),
            mode=on.mode,
            bridge=on.bridge,
            vlan=network.vlan,
            holds_gateway=on.holds_gateway,
            dns_servers=tuple(IPv4Address(server) for server in network.dns_servers),
        )


def _reserved(spec: InstanceSpec) -> Iterable[tuple[IPv4Network, str]]:
    reserved: dict[IPv4Network, str] = {}
    for cluster in spec.stack.clusters:
        profile = cluster.network_profile
        reserved.setdefault(profile.pod_cidr.network, "pods")
        reserved.setdefault(profile.service_cidr.network, "services")
    return reserved.items()
