"""From the address plan to an instance with everything decided: hosts, networks, machines, clusters.

Pure. What comes after only carries it out.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from infra.addresses import AddressPlan
from infra.addresses.layout import Network, build_networks
from infra.addresses.numbers import address_text, as_ranges, range_text
from infra.arc_topology import Arc, ConnectedCluster, arc_of, connected_cluster_of
from infra.host_networks import HostNetwork, carrier, host_networks
from infra.placement import MachineRole, Placement, plan_placement
from infra.spec import InstanceSpec, SpecError
from infra.spec.hosts import HostSpec
from infra.spec.machine_names import mac_addresses, machine_name
from infra.spec.stack import AgentPool, ClusterSpec, PodSecurity, Provisioning
from infra.spec.vm_sizes import VmSize

MachineType = Literal["auto", "vm", "container", "emulated"]


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that runs machines.

    Attributes:
        name: Its name in hosts/<site>.yaml.
        connection: The libvirt address.
        storage_directory: Where this instance's files are on the host.
        management_address: Its address in the infrastructure network, if it was given.
        underlay_address: Where other hosts reach it, as far as the files tell.
        uplink: The NIC that carries the VLANs; None for NAT networks.
        is_local: Whether it is the machine azlocal runs on.
        prepare: Whether what is missing on it is made, and not only reported.
        is_lost: Whether it is gone for good: it has neither networks nor machines, and nothing is asked of it.
        drains_live: Whether VMs that leave it migrate as they run.
    """

    name: str
    connection: str
    storage_directory: str
    management_address: str | None
    underlay_address: str | None
    uplink: str | None
    is_local: bool
    prepare: bool
    is_lost: bool
    drains_live: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with everything decided.

    Attributes:
        name: Host name and libvirt domain, `<instance>-<owner>`.
        owner: Its name in the address plan, e.g. `a-cp-0`.
        role: What it is.
        cluster: Its cluster, if any.
        pool: Its agent pool, if any.
        host: The host it runs on.
        network: The network of the netplan.
        libvirt_network: The libvirt network on its host.
        address: Its address with the subnet's length, e.g. `10.220.32.18/24`.
        gateway: The default gateway.
        dns_servers: DNS servers.
        mtu: Largest packet on its network, in bytes; None for the usual 1500.
        reached_through: The host from which its network is reached: its own, or the one that holds the gateway.
        jump: That host as ssh names a jump; None: the machine is reached from here directly.
        vm_size: The size's name.
        vcpus: Virtual processors.
        memory_mib: Memory.
        disk_gib: Disk.
        mac_address: `52:54:00:…`, drawn from its name.
        number: In its group: its control plane, its agent pool.
        max_pods: Of a worker: most pods on the node.
        labels: Kubernetes labels of the node.
        taints: Kubernetes taints of the node, `key=value:Effect`.
    """

    name: str
    owner: str
    role: MachineRole
    cluster: str | None
    pool: str | None
    host: str
    network: str
    libvirt_network: str
    address: str
    gateway: str
    dns_servers: tuple[str, ...]
    mtu: int | None
    reached_through: str
    jump: str | None
    vm_size: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    mac_address: str
    number: int
    max_pods: int | None
    labels: Mapping[str, str]
    taints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """An AKS cluster with everything decided.

    Attributes:
        name: Its name.
        kubernetes_version: Patch version.
        network: The network of the netplan.
        endpoint: The API server's address (the VIP).
        vrrp_id: The VRRP id that holds it, unique on the network's VLAN.
        upgrade_spare: The address of the node that joins in an upgrade.
        load_balancer_ranges: MetalLB's ranges, `a-b` or one address.
        pod_cidr: The pods' network.
        service_cidr: The services' network.
        network_policy: The network plugin, lower case.
        pod_security: The level of pods whose namespace says nothing, as a new cluster is founded with.
        provisioning: How far it is built: to running machines, or to Kubernetes.
        add_on_values: Helm values of people's own, by add-on; one that isn't named isn't installed.
        timeout_minutes: How long its API server, and then all of it, may take to come up.
        machines: Names of its machines, control plane first.
        arc: How it is connected to Azure Arc; None where it isn't.
    """

    name: str
    kubernetes_version: str
    network: str
    endpoint: str
    vrrp_id: int
    upgrade_spare: str
    load_balancer_ranges: tuple[str, ...]
    pod_cidr: str
    service_cidr: str
    network_policy: str
    pod_security: PodSecurity
    provisioning: Provisioning
    add_on_values: Mapping[str, Mapping[str, Any]]
    timeout_minutes: float
    machines: tuple[str, ...]
    arc: ConnectedCluster | None


@dataclass(frozen=True, slots=True)
class Topology:
    """An instance with everything decided."""

    instance: str
    site: str
    location: str
    machine_type: MachineType
    hosts: tuple[Host, ...]
    networks: tuple[HostNetwork, ...]
    machines: tuple[Machine, ...]
    clusters: tuple[Cluster, ...]
    arc: Arc | None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A machine before it has a host and an address."""

    owner: str
    role: MachineRole
    network: Network
    vm_size: str
    number: int = 0
    cluster: str | None = None
    pool: AgentPool | None = None


def build_topology(spec: InstanceSpec, plan: AddressPlan, placement: Placement | None = None) -> Topology:
    """Decide everything about an instance.

    Args:
        spec: What people wrote.
        plan: The plan of that spec.
        placement: The placement of that spec; None is where machines go of which none is there yet.

    Raises:
        SpecError: The plan or the placement is not sound; carries its findings.
    """
    placement = placement or plan_placement(spec)
    if not plan.ok or not placement.ok:
        raise SpecError(dict.fromkeys((*plan.findings, *placement.findings)))
    layout = build_networks(spec.netplan)
    addresses = {
        one.owner: one.address for network in plan.networks for one in network.allocations if one.is_recorded
    }
    networks = tuple(host_networks(spec, layout))
    by_place = {(one.host, one.network): one for one in networks}
    carriers = {
        (host.name, network.index): by_place[host.name, carrier(spec, host, network, layout).name]
        for host in spec.standing_hosts
        for network in layout
    }
    gateways = {one.network: one.host for one in networks if one.holds_gateway and one.mode == "mesh"}
    wanted = list(_wanted_machines(spec, layout))
    hosts = placement.hosts
    macs = mac_addresses(machine_name(spec.name, one.owner) for one in wanted)
    sizes = spec.vm_sizes()
    machines = tuple(
        _machine(
            spec.name,
            one,
            host=hosts[one.owner],
            carrier=carriers[hosts[one.owner], one.network.index],
            gateways=gateways,
            jumps={one.name: one.ssh_destination for one in spec.hosts.hosts},
            address=addresses[one.owner],
            size=sizes[one.vm_size],
            macs=macs,
        )
        for one in wanted
    )
    return Topology(
        instance=spec.name,
        site=spec.site,
        location=spec.stack.location,
        machine_type=spec.stack.machine_type,
        hosts=tuple(_host(spec.name, host) for host in spec.hosts.hosts),
        networks=networks,
        machines=machines,
        clusters=tuple(
            _cluster(one, plan, addresses, machines, connected_cluster_of(spec, one))
            for one in _sorted_clusters(spec)
        ),
        arc=arc_of(spec),
    )


def _host(instance: str, host: HostSpec) -> Host:
    return Host(
        name=host.name,
        connection=host.connection,
        storage_directory=host.storage_of(instance),
        management_address=str(host.management_address) if host.management_address else None,
        underlay_address=str(host.underlay_address) if host.underlay_address else None,
        uplink=host.uplink,
        is_local=host.is_local,
        prepare=host.is_prepared,
        is_lost=host.lost,
        drains_live=host.drains_live,
    )


def _sorted_clusters(spec: InstanceSpec) -> list[ClusterSpec]:
    return sorted(spec.stack.clusters, key=lambda cluster: cluster.name)


def _wanted_machines(spec: InstanceSpec, layout: list[Network]) -> Iterator[_Wanted]:
    by_name = {network.name: network for network in layout[1:]}
    yield _Wanted("rb-0", "resourceBridge", layout[0], spec.stack.resource_bridge.vm_size)
    for cluster in _sorted_clusters(spec):
        network, name = by_name[cluster.logical_network], cluster.name
        for number in range(cluster.control_plane.count):
            owner = f"{name}-cp-{number}"
            yield _Wanted(owner, "controlPlane", network, cluster.control_plane.vm_size, number, name)
        for pool in sorted(cluster.agent_pools, key=lambda pool: pool.name):
            for number in range(pool.count):
                owner = f"{name}-{pool.name}-{number}"
                yield _Wanted(owner, "worker", network, pool.vm_size, number, name, pool)


def _machine(
    instance: str,
    wanted: _Wanted,
    *,
    host: str,
    carrier: HostNetwork,
    gateways: Mapping[str, str],
    jumps: Mapping[str, str | None],
    address: str,
    size: VmSize,
    macs: Mapping[str, str],
) -> Machine:
    name, network, pool = machine_name(instance, wanted.owner), wanted.network, wanted.pool
    reached_through = gateways.get(carrier.network, host)
    return Machine(
        name=name,
        owner=wanted.owner,
        role=wanted.role,
        cluster=wanted.cluster,
        pool=pool.name if pool else None,
        host=host,
        network=network.name,
        libvirt_network=carrier.libvirt_name,
        address=f"{address}/{network.prefix_length}",
        gateway=address_text(network.gateway),
        dns_servers=tuple(address_text(server) for server in network.dns_servers),
        mtu=carrier.mtu,
        reached_through=reached_through,
        jump=jumps[reached_through] if carrier.mode != "bridge" else None,
        vm_size=size.name,
        vcpus=size.vcpus,
        memory_mib=size.memory_mib,
        disk_gib=size.disk_gib,
        mac_address=macs[name],
        number=wanted.number,
        max_pods=pool.max_pods if pool else None,
        labels=dict(pool.node_labels) if pool else {},
        taints=pool.node_taints if pool else (),
    )


def _cluster(
    cluster: ClusterSpec,
    plan: AddressPlan,
    addresses: Mapping[str, str],
    machines: Iterable[Machine],
    arc: ConnectedCluster | None,
) -> Cluster:
    services = [
        one.value
        for network in plan.networks
        for one in network.allocations
        if one.use == "loadBalancer" and one.cluster == cluster.name
    ]
    profile = cluster.network_profile
    return Cluster(
        name=cluster.name,
        kubernetes_version=cluster.kubernetes_version,
        network=cluster.logical_network,
        endpoint=addresses[f"{cluster.name}-vip"],
        vrrp_id=next(one.id for one in plan.vrrp_ids if one.owner == cluster.name),
        upgrade_spare=addresses[f"{cluster.name}-spare"],
        load_balancer_ranges=tuple(range_text(one) for one in as_ranges(services)),
        pod_cidr=str(profile.pod_cidr.network),
        service_cidr=str(profile.service_cidr.network),
        network_policy=profile.network_policy.lower(),
        pod_security=cluster.pod_security,
        provisioning=cluster.provisioning,
        add_on_values={name: one.values for name, one in cluster.add_ons.by_name().items()},
        timeout_minutes=cluster.timeout_minutes,
        machines=tuple(one.name for one in machines if one.cluster == cluster.name),
        arc=arc,
    )
